#pragma once

namespace dormouse::hibernate {

// The den's process: see role/process.h for what every role is given and does. Exit status.
int den_main();

}  // namespace dormouse::hibernate
