#pragma once
// Packets for tests: Ethernet, IP and TCP headers with just what the programs look at.

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace dormouse::ebpf::test {

inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

struct Packet {
  std::string from = "192.0.2.1";  // IPv4 or IPv6
  uint16_t port = 143;
  uint16_t source = 40000;  // port
  uint8_t flags = kSyn;
  uint8_t protocol = 6;
  // IPv4: words of options. IPv6: destination options headers of 8 bytes before TCP's.
  unsigned extras = 0;
  size_t cut = 0;      // bytes missing at the end
  size_t payload = 0;  // bytes after the header
};

inline void put16(std::vector<uint8_t>& out, uint16_t value) {
  out.push_back(uint8_t(value >> 8));
  out.push_back(uint8_t(value));
}

inline std::vector<uint8_t> bytes_of(const Packet& packet) {
  const bool v6 = packet.from.find(':') != std::string::npos;
  std::vector<uint8_t> out(12, 0);  // Ethernet addresses
  put16(out, v6 ? 0x86DD : 0x0800);
  std::array<uint8_t, 16> address{};
  inet_pton(v6 ? AF_INET6 : AF_INET, packet.from.c_str(), address.data());
  const size_t tcp_bytes = 20 + packet.payload;
  if (v6) {
    out.insert(out.end(), {0x60, 0, 0, 0});
    put16(out, uint16_t(tcp_bytes + 8 * packet.extras));
    constexpr uint8_t kDestinationOptions = 60;
    out.push_back(packet.extras > 0 ? kDestinationOptions : packet.protocol);
    out.push_back(64);  // hop limit
    out.insert(out.end(), address.begin(), address.end());
    out.insert(out.end(), 16, 0);
    for (unsigned i = 0; i < packet.extras; ++i) {
      out.push_back(i + 1 < packet.extras ? kDestinationOptions : packet.protocol);
      out.insert(out.end(), {0, 1, 4, 0, 0, 0, 0});  // PadN
    }
  } else {
    const unsigned words = 5 + packet.extras;
    out.push_back(uint8_t(0x40 | words));
    out.push_back(0);
    put16(out, uint16_t(words * 4 + tcp_bytes));
    out.insert(out.end(), {0, 0, 0, 0, 64, packet.protocol, 0, 0});
    out.insert(out.end(), address.begin(), address.begin() + 4);
    out.insert(out.end(), {127, 0, 0, 1});
    out.insert(out.end(), packet.extras * 4, 1);  // no operation
  }
  put16(out, packet.source);
  put16(out, packet.port);
  out.insert(out.end(), 8, 0);
  out.push_back(0x50);
  out.push_back(packet.flags);
  out.insert(out.end(), 6 + packet.payload, 0);
  out.resize(out.size() - packet.cut);
  return out;
}

}  // namespace dormouse::ebpf::test
