#include "tuning/session_rhythm.h"

#include <algorithm>

namespace dormouse::tuning {
namespace {

constexpr size_t kTimeBytes = 3;
constexpr uint64_t kIdled = 0x800000;
constexpr uint64_t kTimeMask = kIdled - 1;

uint64_t eighths(uint64_t unix_ms) { return unix_ms / 125; }

}  // namespace

void SessionRhythm::command_came(uint64_t now_ms, uint64_t client_id, ClientHabits& habits) {
  uint64_t gap_ms = now_ms > gap_since_ms_ ? now_ms - gap_since_ms_ : 0;
  Quiet quiet = idled_ ? Quiet::kIdle : Quiet::kOther;
  // Outside IDLE no gap within a task of the client's is ever decided on: it would only drive the
  // others out of the history.
  if (quiet == Quiet::kIdle || gap_ms >= kGapFirstMs) {
    Gap gap{quiet, uint8_t(gap_level(gap_ms))};
    habits.add(client_id, history_, gap);
    history_.add(gap);
  }
  gap_since_ms_ = now_ms;
  idled_ = false;
}

void SessionRhythm::command_done(uint64_t now_ms) { gap_since_ms_ = now_ms; }

ParkAdvice SessionRhythm::advise(const ParkParameters& parameters, Quiet quiet, uint64_t client_id,
                                 const ClientHabits& habits, Pressure pressure,
                                 uint64_t bound_ms) const {
  GapShares prior = habits.prior(client_id, quiet, before(history_, 0));
  return tuning::advise(parameters, {.quiet = quiet,
                                     .history = &history_,
                                     .prior = &prior,
                                     .pressure = pressure,
                                     .bound_ms = bound_ms});
}

uint64_t SessionRhythm::park_at_ms(const ParkAdvice& advice, Quiet quiet, uint64_t bound_ms) const {
  uint64_t at_ms = gap_since_ms_ + advice.after_ms;
  if (quiet == Quiet::kIdle || talked_ms_ <= gap_since_ms_) return at_ms;
  return std::max(at_ms, talked_ms_ + (bound_ms != 0 ? std::min(kTalkMs, bound_ms) : kTalkMs));
}

std::string SessionRhythm::freeze(uint64_t now_ms, uint64_t unix_ms) const {
  uint64_t age_ms = now_ms > gap_since_ms_ ? now_ms - gap_since_ms_ : 0;
  uint64_t time =
      (eighths(unix_ms - std::min(unix_ms, age_ms)) & kTimeMask) | (idled_ ? kIdled : 0);
  std::string bytes;
  for (size_t i = 0; i < kTimeBytes; ++i) bytes += char(time >> (8 * i) & 0xff);
  bytes += history_.freeze();
  return bytes;
}

std::optional<SessionRhythm> SessionRhythm::thaw(std::string_view frozen, uint64_t now_ms,
                                                 uint64_t unix_ms) {
  SessionRhythm made(now_ms);
  if (frozen.empty()) return made;
  if (frozen.size() < kTimeBytes) return std::nullopt;
  uint64_t time = 0;
  for (size_t i = 0; i < kTimeBytes; ++i) time |= uint64_t(uint8_t(frozen[i])) << (8 * i);
  made.idled_ = (time & kIdled) != 0;
  uint64_t age_ms = ((eighths(unix_ms) - (time & kTimeMask)) & kTimeMask) * 125;
  made.gap_since_ms_ = now_ms - std::min(now_ms, age_ms);
  auto history = GapHistory::thaw(frozen.substr(kTimeBytes));
  if (!history) return std::nullopt;
  made.history_ = *history;
  return made;
}

}  // namespace dormouse::tuning
