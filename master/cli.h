#pragma once
// The command line.

namespace dormouse::master {

int run_command_line(int argc, char** argv);

}  // namespace dormouse::master
