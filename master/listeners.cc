#include "master/listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace dormouse::master {
namespace {

std::string own_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* any = reinterpret_cast<sockaddr*>(&storage);
  char text[INET6_ADDRSTRLEN] = "?";
  if (getsockname(fd, any, &length) != 0) return text;
  if (storage.ss_family == AF_INET6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(v6->sin6_port));
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  return fmt::format("{}:{}", text, ntohs(v4->sin_port));
}

enum class Sharing {
  kAlone,  // nobody else may listen there
  kGroup,  // one of several of ours
};

// Not listening yet.
Result<io::Fd> bind_socket(const ListenAddress& address, Sharing sharing,
                           const std::string& where) {
  bool v6 = address.host.find(':') != std::string::npos;
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (v6) {
    auto* to = reinterpret_cast<sockaddr_in6*>(&storage);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.host.c_str(), &to->sin6_addr);
    length = sizeof *to;
  } else {
    auto* to = reinterpret_cast<sockaddr_in*>(&storage);
    to->sin_family = AF_INET;
    to->sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &to->sin_addr);
    length = sizeof *to;
  }
  int family = v6 ? AF_INET6 : AF_INET;
  io::Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, where);
  int one = 1;
  // A restart must not wait for old connections' TIME_WAIT.
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  // [::]:143 and 0.0.0.0:143 are two addresses and can stand side by side.
  if (v6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (sharing == Sharing::kGroup &&
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) {
    return fail_errno(errno, where);
  }
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) {
    return fail_errno(errno, where);
  }
  return fd;
}

Result<Listener> bind_address(const std::string& name, ListenAddress address, int backlog,
                              uint32_t sockets) {
  bool v6 = address.host.find(':') != std::string::npos;
  std::string where = fmt::format("listening on {}{}{}:{} ({})", v6 ? "[" : "", address.host,
                                  v6 ? "]" : "", address.port, name);
  Listener listener{.name = name, .address = {}, .sockets = {}};
  // Sockets of a group would silently join those of another server of our user: first one is bound
  // that shares with nobody.
  auto first = bind_socket(address, Sharing::kAlone, where);
  if (!first) return std::unexpected(first.error());
  if (sockets > 1) {
    if (address.port == 0) address.port = listening_port(first->get());
    first->reset();
  }
  for (uint32_t i = 0; i < sockets; ++i) {
    auto fd = sockets > 1 ? bind_socket(address, Sharing::kGroup, where) : std::move(first);
    if (!fd) return std::unexpected(fd.error());
    // Their places in the group are in the order of these calls (ebpf/steering_hash.cc).
    if (::listen(fd->get(), backlog) != 0) return fail_errno(errno, where);
    listener.sockets.push_back(std::move(*fd));
  }
  listener.address = own_address(listener.sockets.front().get());
  return listener;
}

// What the service manager passed.
Result<std::vector<Listener>> take_activated() {
  std::vector<Listener> listeners;
  char** names = nullptr;
  int count = sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; ++i) {
    io::Fd fd(SD_LISTEN_FDS_START + i);
    std::string name = names != nullptr && names[i] != nullptr ? names[i] : "";
    if (names != nullptr) std::free(names[i]);
    if (name != "imap" && name != "imaps") {
      std::free(names);
      return fail(ErrorKind::kInvalid,
                  fmt::format("socket activation: a socket called \"{}\"; FileDescriptorName= must "
                              "be imap or imaps",
                              name));
    }
    int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0 || sd_is_socket(fd.get(), AF_UNSPEC, SOCK_STREAM, 1) <= 0 ||
        fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
      std::free(names);
      return fail(ErrorKind::kInvalid,
                  fmt::format("socket activation: {} is no listening stream socket", name));
    }
    std::string address = own_address(fd.get());
    listeners.push_back({.name = name, .address = std::move(address), .sockets = {}});
    listeners.back().sockets.push_back(std::move(fd));
  }
  std::free(names);
  return listeners;
}

}  // namespace

int socket_for(const Listener& listener, uint32_t index) {
  return listener.sockets.size() == 1 ? listener.sockets[0].get()
                                      : listener.sockets.at(index).get();
}

uint16_t listening_port(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return 0;
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return 0;
  // The port lies in the same place in both kinds of address.
  return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

Result<std::vector<Listener>> open_listeners(const Settings& settings) {
  const uint32_t sockets = settings.steering == "shared" ? 1 : settings.wire.login().processes();
  auto listeners = take_activated();
  if (!listeners) return listeners;
  auto activated = [&](std::string_view name) {
    return std::ranges::any_of(*listeners, [&](const Listener& l) { return l.name == name; });
  };
  bool have_imap = activated("imap");
  bool have_imaps = activated("imaps");
  auto bind_all = [&](const std::string& name,
                      const std::vector<ListenAddress>& addresses) -> Result<> {
    for (const ListenAddress& address : addresses) {
      auto bound = bind_address(name, address, int(settings.listen_backlog), sockets);
      if (!bound) return std::unexpected(bound.error());
      listeners->push_back(std::move(*bound));
    }
    return {};
  };
  if (!have_imap) {
    if (auto done = bind_all("imap", settings.imap); !done) return std::unexpected(done.error());
  }
  if (!have_imaps) {
    if (auto done = bind_all("imaps", settings.imaps); !done) return std::unexpected(done.error());
  }
  return listeners;
}

}  // namespace dormouse::master
