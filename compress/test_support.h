#pragma once
// Client command text and reference streams, for tests and the benchmark of this room.

#include <fmt/format.h>
#include <zlib.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "compress/zlib_streams.h"

namespace dormouse::compress::test {

inline Bytes bytes_of(std::string_view text) {
  auto bytes = std::as_bytes(std::span(text));
  return Bytes(bytes.begin(), bytes.end());
}

// A client's deflater, as any mail program has it: continuous, flushed as told after each piece.
class Reference {
 public:
  explicit Reference(int level = 6, int window_bits = 15)
      : state_(make_deflate(level, window_bits, 8)) {}

  Bytes put(std::string_view plain, int flush = Z_SYNC_FLUSH) {
    Bytes wire(plain.size() * 2 + 128);
    state_->next_in = octets(plain);
    state_->avail_in = uInt(plain.size());
    state_->next_out = octets(wire);
    state_->avail_out = uInt(wire.size());
    deflate(state_.get(), flush);
    wire.resize(wire.size() - state_->avail_out);
    return wire;
  }

 private:
  DeflateState state_;
};

// Selects a mailbox, fetches the headers of `fetches` messages one by one, idles.
inline std::vector<std::string> phone_session(int fetches) {
  std::vector<std::string> said = {"4.50 SELECT INBOX (CONDSTORE)\r\n",
                                   "5.50 UID FETCH 1:* (FLAGS)\r\n"};
  for (int i = 0; i < fetches; ++i) {
    said.push_back(
        fmt::format("{}.50 UID FETCH {} (UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS"
                    " (From To Cc Subject Date Message-Id Content-Type X-Spam-Level)])\r\n",
                    6 + i, 48231 + i));
  }
  said.push_back(fmt::format("{}.50 IDLE\r\n", 6 + fetches));
  return said;
}

// Random command-like text: repeated words, numbers, now and then bytes of any value.
inline std::string random_text(std::mt19937_64& random, size_t bytes) {
  static constexpr std::string_view kWords[] = {"UID FETCH ", "IDLE\r\nDONE\r\n", "(FLAGS)", "\r\n",
                                                "NOOP\r\n",   "BODY.PEEK[HEADER]"};
  std::string text;
  while (text.size() < bytes) {
    switch (random() % 4) {
      case 0:
        text += kWords[random() % std::size(kWords)];
        break;
      case 1:
        text += std::to_string(random() % 2000);
        break;
      case 2:
        text += char(random());
        break;
      default:
        if (!text.empty()) text += text.substr(random() % text.size(), random() % 40);
    }
  }
  text.resize(bytes);
  return text;
}

}  // namespace dormouse::compress::test
