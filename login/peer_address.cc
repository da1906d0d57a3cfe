#include "login/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace dormouse::login {
namespace {

PeerAddress from_v4(const unsigned char* bytes, uint16_t port) {
  PeerAddress peer;
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, bytes, text, sizeof text);
  peer.text = text;
  peer.port = port;
  peer.loopback = bytes[0] == 127;
  peer.key.bytes[0] = 4;
  std::copy_n(bytes, 4, peer.key.bytes.begin() + 1);
  return peer;
}

PeerAddress from_v6(const in6_addr& address, uint16_t port) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) return from_v4(&address.s6_addr[12], port);
  PeerAddress peer;
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, text, sizeof text);
  peer.text = text;
  peer.port = port;
  peer.loopback = IN6_IS_ADDR_LOOPBACK(&address);
  peer.key.bytes[0] = 6;
  std::copy_n(address.s6_addr, 8, peer.key.bytes.begin() + 1);
  return peer;
}

}  // namespace

PeerAddress PeerAddress::from(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return from_v4(reinterpret_cast<const unsigned char*>(&v4.sin_addr), ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    return from_v6(v6.sin6_addr, ntohs(v6.sin6_port));
  }
  PeerAddress peer;
  peer.text = "local";
  peer.loopback = true;
  return peer;
}

}  // namespace dormouse::login
