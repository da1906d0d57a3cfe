#pragma once
// Target: where the load goes, and from which addresses. Traffic stays on loopback unless the
// caller says otherwise on purpose.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::loadtest {

// "127.0.0.1:10143" or "[::1]:10993": numeric, so that no name service decides where load goes.
struct Target {
  sockaddr_storage address{};
  socklen_t length = 0;

  static Result<Target> parse(std::string_view text);
  bool is_loopback() const;
  bool is_ipv4() const { return address.ss_family == AF_INET; }
  const sockaddr* native() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// The `index`-th source address: 127.16.0.1, 127.16.0.2 ... A server that counts connections by
// address then sees clients as scattered as real ones. For kSourcesMax different indexes.
in_addr source_address(uint32_t index);
inline constexpr uint32_t kSourcesMax = 240 * 254 * 254;

// A non-blocking socket to connect to `target` with; from `source_index`'s address when the target
// is IPv4 loopback, else from wherever the kernel likes.
Result<io::Fd> make_socket(const Target& target, uint32_t source_index);

}  // namespace dormouse::loadtest
