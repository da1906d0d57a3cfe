#pragma once
// PeerAddress: where a client comes from.

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace dormouse::login {

// What limits and penalties count by: an IPv4 address, or an IPv6 /64, which is the least that one
// customer has. The family is in it.
struct AddressKey {
  std::array<unsigned char, 9> bytes{};
  bool operator==(const AddressKey&) const = default;
};

struct AddressKeyHash {
  size_t operator()(const AddressKey& key) const {
    uint64_t low = 0;
    std::memcpy(&low, key.bytes.data() + 1, sizeof low);
    low = (low ^ key.bytes[0]) * 0x9e3779b97f4a7c15;
    return size_t(low ^ low >> 32);
  }
};

struct PeerAddress {
  AddressKey key;
  std::string text;  // "192.0.2.1" or "2001:db8::1"; "local" for what is neither
  uint16_t port = 0;
  bool loopback = false;  // TLS would protect nothing

  // An IPv4 address mapped into IPv6 is the IPv4 address.
  static PeerAddress from(const sockaddr_storage& address);
};

}  // namespace dormouse::login
