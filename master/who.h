#pragma once
// `dormouse who`: what the server's clients are doing, as far as the kernel can tell.

#include <string>
#include <vector>

#include "master/listeners.h"
#include "master/settings.h"

namespace dormouse::master {

// `dormouse who --sockets`: a census of the sockets of [listen]'s ports, to standard output; with
// `each`, a line for every socket first. The exit status.
int who_sockets(const std::string& settings_file, bool each);

// For the view: lines, or why there are none.
std::string census_view(const std::vector<Listener>& listeners);

}  // namespace dormouse::master
