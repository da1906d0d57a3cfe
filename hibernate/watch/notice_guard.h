#pragma once
// NoticeGuard: takes each notice of each sender once, and none that is old. A notice's time must
// lie within the window around now (so the clocks of the machines must agree to that); of every
// sender of the last two windows the greatest number is kept, with a bit for each of the 64 below
// it, as in RFC 4303 3.4.3. A sender who was silent for two windows can be forgotten: whatever is
// repeated of it is too old by then.
//
// An engine: no sockets, the caller has the clock.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "hibernate/watch/notice.h"

namespace dormouse::hibernate {

class NoticeGuard {
 public:
  // 64 bytes each: 4 MiB. With a window of 30 s that is 1,000 senders a second of one notice each;
  // who sends more keeps one sender for all.
  static constexpr size_t kSendersMax = 65'536;
  static constexpr uint64_t kNumbersBelow = 64;
  // Of the view.
  static constexpr size_t kSendersShown = 16;

  enum class Verdict { kFresh, kStale, kRepeated, kCrowded };

  explicit NoticeGuard(uint64_t window_ms, size_t senders_max = kSendersMax)
      : window_ms_(window_ms), senders_max_(senders_max) {}

  // `now_ms`: Unix time.
  Verdict judge(const Notice& notice, uint64_t now_ms);
  void set_window(uint64_t window_ms) { window_ms_ = window_ms; }
  size_t senders() const { return senders_.size(); }
  // A line for each of the senders that sent most.
  std::string view() const;

 private:
  struct Sender {
    uint64_t greatest = 0;
    uint64_t seen = 0;  // bit i: greatest - 1 - i
    uint64_t last_ms = 0;
    uint32_t fresh = 0;
    uint32_t repeated = 0;
  };
  void forget_silent(uint64_t now_ms);

  uint64_t window_ms_;
  size_t senders_max_;
  uint64_t swept_ms_ = 0;
  std::map<uint64_t, Sender> senders_;
};

}  // namespace dormouse::hibernate
