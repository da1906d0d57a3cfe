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
  FanotifyBatch batch = read_fanotify_events(SipKey{1, 2}, bytes, [&](const Change& change) {
    DORMOUSE_CHECK((change.from | change.to) != 0, "something has changed");
    DORMOUSE_CHECK((change.from | change.to) <= kKeyMask, "a key has 48 bits");
    ++changed;
  });
  DORMOUSE_CHECK(changed <= batch.events, "at most one change per event");
  return 0;
}
