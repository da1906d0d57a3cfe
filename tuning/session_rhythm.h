#pragma once
// SessionRhythm: one session's quiet times, and from them when it is to be parked. Lives in the
// worker (and in the simulator) while the session is awake, and in its parked state as a few bytes.
//
//   gap:  from the end of a command that a sleeper must wake for to the next such command. Small
//         talk (DONE, IDLE, NOOP, CHECK, LOGOUT) is no end of it: asleep or awake, nothing is lost
//         by sleeping through it, so it does not put parking off either.
//
// A gap is one in IDLE when the session was in IDLE at some time in it.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tuning/client_habits.h"
#include "tuning/park_policy.h"

namespace dormouse::tuning {

class SessionRhythm {
 public:
  // Outside IDLE a session that has just made small talk is not parked for so long, whatever the
  // gap: a client's round trip on a phone's network.
  static constexpr uint64_t kTalkMs = 500;
  // time, history
  static constexpr size_t kFrozenBytesMax = 3 + GapHistory::kGapsMax;

  // A gap begins: the session has just begun to be.
  explicit SessionRhythm(uint64_t now_ms = 0) : gap_since_ms_(now_ms) {}

  // A command that a sleeper must wake for has come: the gap has ended. Other sessions learn too.
  void command_came(uint64_t now_ms, uint64_t client_id, ClientHabits& habits);
  // It has been answered: a gap begins. (Small talk: not called.)
  void command_done(uint64_t now_ms);
  void in_idle() { idled_ = true; }
  // Small talk, while awake. What follows a DONE, if anything, follows at once.
  void talked(uint64_t now_ms) { talked_ms_ = now_ms; }

  uint64_t gap_since_ms() const { return gap_since_ms_; }
  const GapHistory& history() const { return history_; }
  ParkAdvice advise(const ParkParameters& parameters, Quiet quiet, uint64_t client_id,
                    const ClientHabits& habits, Pressure pressure, uint64_t bound_ms) const;
  // When that is. Moves only with what is told above.
  // `bound_ms`: as in the question.
  uint64_t park_at_ms(const ParkAdvice& advice, Quiet quiet, uint64_t bound_ms) const;

  // grammar:  frozen = time history
  //   time     3 bytes, little endian: when the gap began, in 1/8 s since 1970, modulo 2^23 (12
  //            days; a longer sleep is taken for a shorter one: it costs one wrong guess); above
  //            those, a bit that says whether the gap is one in IDLE
  //   history  GapHistory::freeze(), to the end
  // `now_ms` as for the other calls, `unix_ms` the same moment on the wall clock, which a worker
  // on another machine shares. A clock that was set costs one wrong guess, too.
  std::string freeze(uint64_t now_ms, uint64_t unix_ms) const;
  // Empty: a session that was parked by an older release; its gap begins now. Nothing where
  // freeze() cannot have written it.
  static std::optional<SessionRhythm> thaw(std::string_view frozen, uint64_t now_ms,
                                           uint64_t unix_ms);

 private:
  GapHistory history_;
  uint64_t gap_since_ms_ = 0;
  uint64_t talked_ms_ = 0;
  bool idled_ = false;
};

}  // namespace dormouse::tuning
