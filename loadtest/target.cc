#include "loadtest/target.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace dormouse::loadtest {
namespace {

template <class Address>
Target make(const Address& address) {
  Target target;
  std::memcpy(&target.address, &address, sizeof address);
  target.length = sizeof address;
  return target;
}

template <class Address>
Address get(const Target& target) {
  Address address;
  std::memcpy(&address, &target.address, sizeof address);
  return address;
}

}  // namespace

Result<Target> Target::parse(std::string_view text) {
  auto wrong =
      fail(ErrorKind::kInvalid, fmt::format("target '{}': expected ADDRESS:PORT, a numeric address "
                                            "(127.0.0.1:10143 or [::1]:10143)",
                                            text));
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string host(text.substr(0, colon));
  std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return wrong;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    sockaddr_in6 parsed{};
    parsed.sin6_family = AF_INET6;
    parsed.sin6_port = htons(port);
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &parsed.sin6_addr) != 1) return wrong;
    return make(parsed);
  }
  sockaddr_in parsed{};
  parsed.sin_family = AF_INET;
  parsed.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &parsed.sin_addr) != 1) return wrong;
  return make(parsed);
}

bool Target::is_loopback() const {
  if (is_ipv4()) return ntohl(get<sockaddr_in>(*this).sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  in6_addr host = get<sockaddr_in6>(*this).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&host);
}

in_addr source_address(uint32_t index) {
  // Second octet 16 to 255: 127.0.x.y is left to servers and tests. Octets 1 to 254 behind it.
  uint32_t low = index % 254 + 1;
  uint32_t middle = index / 254 % 254 + 1;
  uint32_t high = index / (254 * 254) % 240 + 16;
  return {.s_addr = htonl(uint32_t{IN_LOOPBACKNET} << 24 | high << 16 | middle << 8 | low)};
}

Result<io::Fd> make_socket(const Target& target, uint32_t source_index) {
  io::Fd fd(socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket");
  int one = 1;
  // Small writes that answer each other: never wait for more (RFC 896 against latency).
  if (setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
    return fail_errno(errno, "TCP_NODELAY");
  }
  if (!target.is_ipv4() || !target.is_loopback()) return fd;
  // The port is chosen at connect(), for the whole four-tuple: else bind() would run out of ports.
  if (setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0) {
    return fail_errno(errno, "IP_BIND_ADDRESS_NO_PORT");
  }
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_addr = source_address(source_index);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
    return fail_errno(errno, "binding a loopback source address");
  }
  return fd;
}

}  // namespace dormouse::loadtest
