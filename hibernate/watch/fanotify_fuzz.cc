// What the kernel delivers is trusted, but not to be of a form we know: the parser must stay
// inside.

#include <cstddef>
#include <cstdint>
#include <span>

#include "hibernate/watch/fanotify_events.h"
#include "io/result.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse::hibernate;
  auto bytes = std::as_bytes(std::span(data, size));
  size_t changed = 0;
  FanotifyBatch batch = read_fanotify_events(SipKey{1, 2}, bytes, [&](DirectoryKey key) {
    DORMOUSE_CHECK(key != 0 && key <= kKeyMask, "a key has 48 bits and is not 0");
    ++changed;
  });
  DORMOUSE_CHECK(changed <= batch.events, "at most one directory per event");
  return 0;
}
