#pragma once
// Notice: "mailbox M of user U changed", from a program that knows it before this machine's file
// system does, or instead of it. One datagram each (docs/change-notices.md), integers in network
// order:
//
//   datagram = magic[4] kind[1] flags[1] user_bytes[2] mailbox_bytes[2] time_ms[8] sender[8]
//              number[8] user mailbox mac?
//   magic    = "DMN1"
//   kind     = 1 (arrival) | 2 (change)
//   flags    = bit 0: local, made through this machine's file system; the others are 0
//   user     = 1 to 320 bytes without control characters
//   mailbox  = 0 to 1,000 such bytes, UTF-8, levels separated by '/'; none: the list of mailboxes
//   mac      = the first 16 bytes of HMAC-SHA-256 (RFC 2104) under the shared key over everything
//              before; over UDP always, on the unix socket never
//
// An engine: no sockets, no clock.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::hibernate {

inline constexpr size_t kNoticeHeadBytes = 34;
inline constexpr size_t kNoticeMacBytes = 16;  // 128 bits: not to be guessed
inline constexpr size_t kNoticeMailboxBytesMax = 1'000;
// Head, both names, mac: below the 1,472 bytes that a datagram has on Ethernet.
inline constexpr size_t kNoticeBytesMax =
    kNoticeHeadBytes + 320 + kNoticeMailboxBytesMax + kNoticeMacBytes;
// As much as the mac holds, and what fits a line of `openssl rand`.
inline constexpr size_t kNoticeKeyBytesMin = 16;
inline constexpr size_t kNoticeKeyBytesMax = 1'024;

struct Notice {
  enum class Kind : uint8_t { kArrival = 1, kChange = 2 };
  Kind kind = Kind::kChange;
  bool local = false;
  std::string user;
  std::string mailbox;
  // For the receiver of UDP, who takes each notice once (notice_guard.h).
  uint64_t time_ms = 0;  // Unix time
  uint64_t sender = 0;   // random, of the sending process
  uint64_t number = 0;   // counts up from 1
};

// kInvalid: a name is none that a notice can bear.
Result<std::string> encode_notice(const Notice& notice);
// Without a mac. kInvalid: what is wrong.
Result<Notice> decode_notice(std::string_view datagram);

// Appends the mac.
void seal_notice(std::string& datagram, std::string_view key);
// What stands before the mac. kDenied: it is not of this key. Takes as long for every wrong mac.
Result<std::string_view> open_notice(std::string_view datagram, std::string_view key);

}  // namespace dormouse::hibernate
