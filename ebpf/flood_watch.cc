#include "ebpf/flood_watch.h"

namespace dormouse::ebpf {
namespace {

// Fewer than this in a second are no flood, whoever they are: a single client's tries.
constexpr uint64_t kFewest = 20;
// Of honest clients' SYNs that are let in at least this part is followed by the handshake's end
// within the second or the next; one that has to ask twice for its SYN-ACK on a bad line still ends
// it.
constexpr uint64_t kCompletedPart = 4;
// Round trips of a second blur one or two looks; three in a row are no accident.
constexpr unsigned kSecondsToBelieve = 3;
// Longer before the flood is believed to be over, since pacing too soon shuts honest clients out.
constexpr unsigned kSecondsToForget = 10;

}  // namespace

bool FloodWatch::look(const AdmissionCounters& counters) {
  auto since = [&](admission_verdict verdict) { return counters[verdict] - before_[verdict]; };
  const uint64_t dropped = since(ADMISSION_DROPPED_RATE) + since(ADMISSION_DROPPED_SHARE);
  const uint64_t let_in = since(ADMISSION_WITHIN) + since(ADMISSION_OVER) +
                          since(ADMISSION_UNPACED) + since(ADMISSION_CONTENDED);
  const bool unmeant = let_in >= kFewest && since(ADMISSION_COMPLETED) * kCompletedPart < let_in;
  quiet_ = counters == before_;
  before_ = counters;
  // Where nothing is dropped there is nothing to stand aside from.
  const bool differs = flooded_ ? !unmeant : unmeant && dropped > 0;
  seconds_ = differs ? seconds_ + 1 : 0;
  if (seconds_ >= (flooded_ ? kSecondsToForget : kSecondsToBelieve)) {
    flooded_ = !flooded_;
    seconds_ = 0;
  }
  return flooded_;
}

}  // namespace dormouse::ebpf
