#pragma once
// The master's life: settings, probe, resources, roles; then signals until the end.

#include <string>

namespace dormouse::master {

// `dormouse serve`. Exit status: 0 after a drain, 78 (EX_CONFIG) for settings, 69 (EX_UNAVAILABLE)
// when this machine lacks something, 71 (EX_OSERR) when a resource cannot be had, 70 (EX_SOFTWARE)
// when a role cannot start.
int serve(const std::string& settings_file);

}  // namespace dormouse::master
