#include "compress/deflate_stream.h"

#include <algorithm>

namespace dormouse::compress {
namespace {

// Measured on IMAP output (docs/compress.md): all the window and memory there is (256 KiB instead
// of 64) would save 3 %, level 6 another 10 % at two thirds of the speed.
constexpr int kLevel = 3;
constexpr int kWindowBits = 13;
constexpr int kMemLevel = 6;

void put_stored(std::string_view plain, Bytes& wire) {
  unsigned size = uint16_t(plain.size());
  unsigned inverse = ~size & 0xffffu;
  // BFINAL 0, BTYPE 00, five bits of padding; then both lengths, low byte first.
  for (unsigned byte : {0u, size & 0xffu, size >> 8u, inverse & 0xffu, inverse >> 8u}) {
    wire.push_back(std::byte(byte));
  }
  auto bytes = std::as_bytes(std::span(plain));
  wire.insert(wire.end(), bytes.begin(), bytes.end());
}

// zconf.h, and zlib's own structure.
constexpr size_t kStateBytes =
    (size_t{1} << (kWindowBits + 2)) + (size_t{1} << (kMemLevel + 9)) + 6 * 1024;

}  // namespace

size_t DeflateStream::held_bytes() const { return state_ ? kStateBytes : 0; }

Result<> DeflateStream::put(std::string_view plain, Bytes& wire) {
  if (plain.empty()) return {};
  if (!state_ && plain.size() <= kStoredBytesMax) {
    put_stored(plain, wire);
    return {};
  }
  if (!state_) state_ = make_deflate(kLevel, kWindowBits, kMemLevel);
  if (!state_) return fail(ErrorKind::kUnavailable, "no memory to deflate");
  state_->next_in = octets(plain);
  state_->avail_in = uInt(plain.size());
  do {
    // Half of it, and room for the flush: most output needs one turn and wastes little.
    size_t before = wire.size();
    wire.resize(before + plain.size() / 2 + 64);
    state_->next_out = octets(wire) + before;
    state_->avail_out = uInt(wire.size() - before);
    deflate(state_.get(), Z_SYNC_FLUSH);
    wire.resize(wire.size() - state_->avail_out);
  } while (state_->avail_out == 0);
  return {};
}

}  // namespace dormouse::compress
