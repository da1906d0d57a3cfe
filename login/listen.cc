#include "login/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace dormouse::login {
namespace {

struct Option {
  int level;
  int name;
  int value;
};

// A session that sleeps is spoken to by its den every few minutes, and TCP's own retransmissions
// find out then. The probes are for what no keepalive reaches: after 20 minutes of silence, 5
// probes a minute apart. Seldom enough not to wake a phone's radio.
constexpr std::array<Option, 5> kOptions = {{
    {IPPROTO_TCP, TCP_NODELAY, 1},
    {SOL_SOCKET, SO_KEEPALIVE, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, 20 * 60},
    {IPPROTO_TCP, TCP_KEEPINTVL, 60},
    {IPPROTO_TCP, TCP_KEEPCNT, 5},
}};

}  // namespace

Result<> prepare_listener(int listener) {
  const int flags = fcntl(listener, F_GETFL);
  if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno(errno, "O_NONBLOCK on a listener");
  }
  for (const Option& option : kOptions) {
    if (setsockopt(listener, option.level, option.name, &option.value, sizeof option.value) != 0 &&
        errno != EOPNOTSUPP && errno != ENOPROTOOPT) {
      return fail_errno(errno, "a TCP option on a listener");
    }
  }
  return {};
}

uint16_t listener_port(int listener) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return ntohs(v4.sin_port);
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    return ntohs(v6.sin6_port);
  }
  return 0;
}

}  // namespace dormouse::login
