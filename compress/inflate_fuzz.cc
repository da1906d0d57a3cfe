// A client's deflate stream on hostile bytes: bounded output, and a stream that sleeps wherever it
// can says what one that never slept says.

#include <algorithm>
#include <cstdint>

#include "compress/inflate_stream.h"

using dormouse::compress::InflateStream;
using Event = InflateStream::Event;

namespace {

// Far above what an honest input of this length says, so that bombs are met and end.
constexpr size_t kTotalBytesMax = 1 << 20;

struct Read {
  std::string plain;
  Event event = Event::kNeedInput;
};

Read read(std::span<const std::byte> input, size_t piece_bytes, size_t bound_bytes, bool sleeps) {
  Read read;
  auto stream = InflateStream::create();
  while (!input.empty() && read.plain.size() < kTotalBytesMax) {
    auto piece = input.first(std::min(piece_bytes, input.size()));
    input = input.subspan(piece.size());
    do {
      size_t before = read.plain.size();
      auto taken = stream->take(piece, read.plain, bound_bytes);
      DORMOUSE_CHECK(read.plain.size() - before <= bound_bytes, "the bound holds");
      piece = piece.subspan(taken.consumed_bytes);
      read.event = taken.event;
      if (taken.event == Event::kEnd || taken.event == Event::kBroken) return read;
    } while (read.event == Event::kFull && read.plain.size() < kTotalBytesMax);
    if (!sleeps || read.event != Event::kNeedInput || stream->hindrance() != nullptr) continue;
    auto frozen = stream->freeze();
    DORMOUSE_CHECK(frozen && frozen->size() <= dormouse::compress::kFrozenBytesMax, "bounded");
    stream = InflateStream::thaw(*frozen);
    DORMOUSE_CHECK(stream, "what was frozen thaws");
  }
  return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  // Few sleeps in a long input: each costs a packing.
  size_t piece_bytes = 1 + data[0] % 64 + size / 64;
  size_t bound_bytes = 1 + data[1] * 16;
  auto input = std::as_bytes(std::span(data, size)).subspan(2);
  Read awake = read(input, input.size() + 1, kTotalBytesMax, false);
  Read asleep = read(input, piece_bytes, bound_bytes, true);
  size_t same = std::min({awake.plain.size(), asleep.plain.size(), kTotalBytesMax});
  DORMOUSE_CHECK(awake.plain.substr(0, same) == asleep.plain.substr(0, same), "the same bytes");
  if (awake.plain.size() < kTotalBytesMax) {
    DORMOUSE_CHECK(awake.plain.size() == asleep.plain.size(), "as many bytes");
    DORMOUSE_CHECK(awake.event == asleep.event, "the same end");
  }
  return 0;
}
