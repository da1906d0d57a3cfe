#pragma once
// `dormouse role NAME`: where a process that the master started becomes its role.

#include <string>

namespace dormouse::master {

// The role's exit status; 64 (EX_USAGE) when there is no such role, or no master behind
// descriptor 3.
int run_role(const std::string& name);

}  // namespace dormouse::master
