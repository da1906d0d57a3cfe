#pragma once
// LoginPace: how many new connections a second are served while sleepers wake. Pure.
//
// Those who are here go first. A storm of logins takes all CPUs there are, and a sleeper's command
// then waits for its turn among hundreds of new sessions; how long is measured by probes that take
// the way of a wake (tracker/wake_probe.h). While they are back within the goal the pace goes up a
// little; when they are late twice running it goes down by a third of what was served lately, and
// has a moment to show what that was worth. So the pace settles below what the machine could do, by
// as much as those who are here need. Who is not served yet waits in a queue: of the login process,
// then of the kernel, then of the clients' TCP.

#include <algorithm>
#include <cstdint>
#include <optional>

namespace dormouse::tuning {

struct LoginPaceSettings {
  uint32_t goal_ms = 10;  // within which a probe must be back; 0: no pacing
  double least = 50;      // logins a second: never fewer, whatever the probes say
  double most = 1000;     // as many as the machine could serve: no bound in effect
};

class LoginPace {
 public:
  // Samples come about ten times a second: by a third more a second, and at once by a third less.
  static constexpr double kUp = 1.03;
  static constexpr double kDown = 0.7;
  // What a queue does lasts; once is the whim of a disk, or of a virtual machine's host.
  static constexpr unsigned kLateInARow = 2;
  // Sessions under way when the pace falls are served yet, and are what the next probes meet.
  static constexpr uint64_t kSettleMs = 300;
  // Over which logins a second are counted.
  static constexpr double kCountMs = 500;

  explicit LoginPace(const LoginPaceSettings& settings) { configure(settings); }
  // Begins anew.
  void configure(const LoginPaceSettings& settings) {
    settings_ = settings;
    settled_ms_ = 0;
    late_in_a_row_ = 0;
    settings_.most = std::max(settings_.most, settings_.least);
    rate_ = settings_.most;
  }

  // `late_ms`: the worst probe since the last sample; none where none was under way. `opened`: new
  // sessions since then. `now_ms` never goes back.
  void sample(uint64_t now_ms, std::optional<uint32_t> late_ms, uint32_t opened) {
    count(now_ms, opened);
    if (settings_.goal_ms == 0 || !late_ms) return rest();
    if (*late_ms <= settings_.goal_ms) {
      late_in_a_row_ = 0;
      rate_ = std::min(rate_ * kUp, settings_.most);
      return;
    }
    ++late_;
    if (++late_in_a_row_ < kLateInARow || now_ms < settled_ms_) return;
    settled_ms_ = now_ms + kSettleMs;
    rate_ = std::max(std::min(rate_, served_) * kDown, settings_.least);
  }
  // Nobody wakes, or nobody logs in: no bound.
  void rest() { rate_ = settings_.most; }

  const LoginPaceSettings& settings() const { return settings_; }
  // Logins a second; 0: no bound.
  uint32_t per_second() const { return settings_.goal_ms == 0 ? 0 : uint32_t(rate_); }
  uint32_t served() const { return uint32_t(served_); }  // a second, lately
  uint64_t late() const { return late_; }                // samples that were

 private:
  void count(uint64_t now_ms, uint32_t opened) {
    double passed_ms = std::max(double(now_ms - std::min(sampled_ms_, now_ms)), 1.0);
    double share = std::min(passed_ms / kCountMs, 1.0);
    served_ += (double(opened) * 1000 / passed_ms - served_) * share;
    sampled_ms_ = now_ms;
  }

  LoginPaceSettings settings_;
  double rate_ = 0;
  double served_ = 0;
  uint64_t sampled_ms_ = 0;
  uint64_t settled_ms_ = 0;
  uint64_t late_ = 0;
  unsigned late_in_a_row_ = 0;
};

}  // namespace dormouse::tuning
