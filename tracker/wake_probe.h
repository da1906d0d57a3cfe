#pragma once
// WakeProbe: how late a sleeper that wakes now would be. An engine: it is told what happens and the
// time, and says when and where to ask.
//
// While new sessions come and sleepers wake, each worker is asked something that it answers at
// once, in the same order and with the same urgency as a sleeper's command (TrackerToWorker.Probe).
// The time until the answer is what such a command waits: for the CPU, and for the worker's turn.
// When nobody logs in or nobody wakes, nothing is asked.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tracker/placement.h"

namespace dormouse::tracker {

class WakeProbe {
 public:
  // Between two probes of one worker. Costs it some 30 us.
  static constexpr uint64_t kProbeMs = 20;
  // Of one report: 5 rounds of 200 workers.
  static constexpr size_t kTookMax = 1000;
  // Logins within the last second, from which on they may be in somebody's way.
  static constexpr uint32_t kOpensLeast = 5;
  // As long after a wake another one is reckoned with. Most of what sleepers do their den does for
  // them, so that even thousands may need no worker for some seconds.
  static constexpr uint64_t kWakesMs = 60'000;

  void opened(uint64_t now_ms) {
    turn(now_ms);
    ++opens_;
    ++untold_;
  }
  void woke(uint64_t now_ms) { woke_ms_ = now_ms; }

  bool wanted(uint64_t now_ms) {
    turn(now_ms);
    bool logins = std::max(opens_, former_opens_) >= kOpensLeast;
    return logins && woke_ms_ && now_ms - *woke_ms_ < kWakesMs;
  }

  // False: its last probe is not back yet. True: it is asked now, and the answer bears the number.
  bool ask(WorkerId worker, uint64_t now_ms, uint64_t* number) {
    auto [asked, fresh] = asked_.try_emplace(worker);
    if (!fresh) return false;
    asked->second = {.number = ++last_number_, .since_ms = now_ms};
    *number = last_number_;
    return true;
  }
  void answered(WorkerId worker, uint64_t number, uint64_t now_ms) {
    auto asked = asked_.find(worker);
    if (asked == asked_.end() || asked->second.number != number) return;
    note(uint32_t(now_ms - asked->second.since_ms));
    asked_.erase(asked);
  }
  void forget(WorkerId worker) { asked_.erase(worker); }

  struct Report {
    // How long probes took that came back, and how long ago those went that are not back: a tenth
    // of them took longer. One that met a scheduler's whim is no reason to keep clients out.
    std::optional<uint32_t> late_ms;
    uint32_t opened = 0;  // new sessions
  };
  // Since the last one.
  Report take(uint64_t now_ms) {
    for (const auto& [worker, asked] : asked_) note(uint32_t(now_ms - asked.since_ms));
    Report report;
    report.opened = std::exchange(untold_, 0);
    if (!took_ms_.empty()) {
      auto place = took_ms_.begin() + ptrdiff_t((took_ms_.size() * 9 + 9) / 10 - 1);
      std::ranges::nth_element(took_ms_, place);
      report.late_ms = *place;
    }
    took_ms_.clear();
    return report;
  }

 private:
  struct Asked {
    uint64_t number = 0;
    uint64_t since_ms = 0;
  };
  void note(uint32_t ms) {
    if (took_ms_.size() < kTookMax) took_ms_.push_back(ms);
  }
  // Logins are counted by the second.
  void turn(uint64_t now_ms) {
    if (now_ms < second_ms_ + 1000) return;
    former_opens_ = now_ms < second_ms_ + 2000 ? opens_ : 0;
    opens_ = 0;
    second_ms_ = now_ms;
  }

  std::unordered_map<WorkerId, Asked> asked_;  // one for each worker that there is
  uint64_t last_number_ = 0;
  std::vector<uint32_t> took_ms_;  // since the last report
  std::optional<uint64_t> woke_ms_;
  uint64_t second_ms_ = 0;
  uint32_t opens_ = 0;  // in this second
  uint32_t former_opens_ = 0;
  uint32_t untold_ = 0;
};

}  // namespace dormouse::tracker
