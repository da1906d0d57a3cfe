#pragma once
// NoticePort: the sockets on which notices come, and who is believed. On the unix socket everybody
// whom its permissions let in; over UDP who has the key, each notice once. What is refused is
// counted by reason, and said in the log at most once a minute.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "hibernate/watch/notice.h"
#include "hibernate/watch/notice_guard.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/secret.h"

namespace dormouse::hibernate {

// Calls come in batches, each ended by notices_end().
class NoticeSink {
 public:
  virtual void noticed(const Notice& notice) = 0;
  virtual void notices_end() = 0;

 protected:
  virtual ~NoticeSink() = default;
};

struct NoticeSocket {
  io::Fd fd;
  bool sealed = false;  // UDP: with a mac
};

class NoticePort {
 public:
  // Per turn of the loop: some 100 us of looking at macs, so that a flood holds up nobody.
  static constexpr int kTurnDatagrams = 64;
  static constexpr uint64_t kComplainMs = 60'000;

  NoticePort(io::Loop& loop, io::Secret key, uint64_t window_ms)
      : loop_(loop), key_(std::move(key)), guard_(window_ms) {}

  // Until its scope is cancelled. `socket` and `sink` outlive it.
  io::Task<void> run(const NoticeSocket* socket, NoticeSink* sink);
  void set_window(uint64_t window_ms) { guard_.set_window(window_ms); }
  std::string view() const;

  enum Outcome { kTaken, kMalformed, kDenied, kStale, kRepeated, kCrowded, kOutcomes };
  // One datagram. Told to `sink` when taken.
  Outcome take(std::string_view datagram, bool sealed, uint64_t unix_ms, NoticeSink& sink);
  uint64_t count(Outcome outcome) const { return counts_[outcome]; }

 private:
  // False: nothing is left to read.
  bool take_some(const NoticeSocket& socket, NoticeSink& sink);
  void complain(Outcome outcome);

  io::Loop& loop_;
  io::Secret key_;
  NoticeGuard guard_;
  std::array<uint64_t, kOutcomes> counts_{};
  std::array<uint64_t, kOutcomes> complained_{};  // of counts_, when it was last said
  std::array<uint64_t, kOutcomes> complained_ms_{};
};

}  // namespace dormouse::hibernate
