#pragma once
// Listeners and clients of 127.0.0.0/8 and ::1 for tests.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "io/fd.h"

namespace dormouse::ebpf::test {

struct Address {
  sockaddr_in6 storage{};  // or a sockaddr_in
  socklen_t length = 0;

  Address(int family, const std::string& text, uint16_t port = 0) {
    if (family == AF_INET6) {
      storage.sin6_family = AF_INET6;
      storage.sin6_port = htons(port);
      EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &storage.sin6_addr), 1);
      length = sizeof(sockaddr_in6);
    } else {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &v4->sin_addr), 1);
      length = sizeof(sockaddr_in);
    }
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline const char* loopback(int family) { return family == AF_INET6 ? "::1" : "127.0.0.1"; }

struct Listener {
  int family;
  Address address;
  io::Fd socket;

  // `shared`: one of a group; `port` that of the group's first.
  explicit Listener(int of_family, bool shared = false, uint16_t at_port = 0)
      : family(of_family), address(of_family, loopback(of_family), at_port) {
    socket = io::Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int one = shared ? 1 : 0;
    EXPECT_EQ(setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
    EXPECT_EQ(::bind(socket.get(), address.get(), address.length), 0);
    EXPECT_EQ(::listen(socket.get(), 1024), 0);
    EXPECT_EQ(::getsockname(socket.get(), address.get(), &address.length), 0);
  }
  uint16_t port() const {
    // The port lies in the same place in both kinds of address.
    return ntohs(address.storage.sin6_port);
  }
  // `from`: an address of 127.0.0.0/8, for IPv4.
  io::Fd connect(const std::string& from = "") const {
    io::Fd client(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!client) {
      ADD_FAILURE() << "socket: " << errno;
      return client;
    }
    if (!from.empty()) {
      Address source(family, from);
      EXPECT_EQ(::bind(client.get(), source.get(), source.length), 0);
    }
    (void)::connect(client.get(), address.get(), address.length);
    return client;
  }
  io::Fd accept() const { return io::Fd(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
};

// On loopback a SYN that passes is answered before connect() returns.
inline bool connected(const io::Fd& client) {
  pollfd wait{.fd = client.get(), .events = POLLOUT, .revents = 0};
  return ::poll(&wait, 1, 0) == 1 && (wait.revents & (POLLERR | POLLHUP)) == 0;
}
inline bool refused(const io::Fd& client) {
  pollfd wait{.fd = client.get(), .events = POLLOUT, .revents = 0};
  return ::poll(&wait, 1, 0) == 1 && (wait.revents & (POLLERR | POLLHUP)) != 0;
}

// Sockets of one address, one per process.
struct Group {
  std::vector<Listener> listeners;

  Group(int family, uint32_t processes) {
    listeners.emplace_back(family, true);
    while (listeners.size() < processes) {
      listeners.emplace_back(family, true, listeners.front().port());
    }
  }
  std::vector<int> sockets() const {
    std::vector<int> all;
    for (const Listener& listener : listeners) all.push_back(listener.socket.get());
    return all;
  }
  // Which process a connection from there goes to; it is accepted and closed.
  int who_gets(const std::string& from = "") const {
    io::Fd client = listeners.front().connect(from);
    EXPECT_TRUE(connected(client));
    for (size_t process = 0; process < listeners.size(); ++process) {
      if (listeners[process].accept()) return int(process);
    }
    return -1;
  }
};

}  // namespace dormouse::ebpf::test
