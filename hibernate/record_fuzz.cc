// The parked record and the small talk: a den reads both from memory and clients it cannot trust.

#include <cstdint>
#include <vector>

#include "hibernate/record.h"
#include "hibernate/small_talk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse::hibernate;
  if (size == 0) return 0;
  std::vector<std::byte> block(size);
  std::copy_n(reinterpret_cast<const std::byte*>(data), size, block.begin());
  if (auto view = RecordView::attach(block)) {
    RecordParts parts = view->parts();
    size_t bytes = encoded_bytes(parts);
    std::vector<std::byte> again(bytes);
    if (bytes != 0) {
      encode(parts, again);
      if (!RecordView::attach(again)) __builtin_trap();
    }
  }
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto mode = ParkedMode(data[0] % 3);
  Sleeper sleeper{.mode = mode, .idle_tag = "tag", .selected = true};
  sleeper.changed = (data[0] & 0x80) != 0;
  sleeper.pending = data[0] & 0x40;
  SmallTalk whole = talk(text, sleeper);
  if (whole.consumed_bytes > text.size()) __builtin_trap();
  return 0;
}
