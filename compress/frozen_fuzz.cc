// Frozen bytes, and packed histories within them, on hostile input: what thaws is a stream that
// freezes to something that means the same.

#include <cstdint>

#include "compress/counters.h"
#include "compress/inflate_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse::compress;  // NOLINT(google-build-using-namespace)
  auto input = std::as_bytes(std::span(data, size));
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto back = restore_counters(shorten_counters(text), size);
  DORMOUSE_CHECK(back && *back == text, "any text comes back");
  if (auto restored = restore_counters(text, kWindowBytes)) {
    DORMOUSE_CHECK(restored->size() <= kWindowBytes, "bounded");
  }
  auto stream = InflateStream::thaw(input);
  if (!stream) return 0;
  DORMOUSE_CHECK(stream->hindrance() == nullptr, "what was frozen can be again");
  auto frozen = stream->freeze();
  DORMOUSE_CHECK(frozen, "there is memory");
  auto again = InflateStream::thaw(*frozen);
  DORMOUSE_CHECK(again && *again->freeze() == *frozen, "one form for one meaning");
  std::string plain;
  auto taken = again->take(input, plain, 4096);
  DORMOUSE_CHECK(plain.size() <= 4096 && taken.consumed_bytes <= size, "bounded");
  return 0;
}
