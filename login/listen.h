#pragma once
// Options of the listening sockets, which Linux passes on to every socket they accept: so a
// connection costs no system call for them.

#include <cstdint>

#include "io/result.h"

namespace dormouse::login {

// No delay for short answers; keepalive probes as a last resort against peers that vanished; no
// blocking accept. Sockets that are not TCP keep what they have.
Result<> prepare_listener(int listener);
// The port it listens on; 0 when it has none.
uint16_t listener_port(int listener);

}  // namespace dormouse::login
