#pragma once
// AdmissionGovernor: how many new connections a second are let in. All that may be (admission.rate)
// while those who are here are served at once; fewer as soon as they are not, down to what a
// pressed server takes; then more again, step by step. What is not let in waits in the clients'
// TCP, where it costs nothing. Additive increase, multiplicative decrease, as TCP itself shares a
// link. Pure.

#include <algorithm>
#include <cstdint>
#include <optional>

namespace dormouse::tuning {

class AdmissionGovernor {
 public:
  // A client waited for a worker, or a worker's loop was behind, for so long: many times what a
  // command takes (3 ms, docs/costs.md), a third of what anybody notices. Workers tell no less.
  static constexpr uint32_t kQueueMs = 50;
  // Of time in which something waited for a CPU: nobody is served at once beyond this.
  static constexpr uint32_t kStallPermille = 900;
  // At a look, twice a second: from 600 to 100 in 3 s; back in half a minute. What was let in
  // before then is as many seconds of work.
  static constexpr double kLess = 0.7;
  static constexpr double kMoreOfMost = 1.0 / 60;

  // `most`: what the settings let in, `least`: never fewer; nothing is known of a reading that is
  // none. Answers the rate from now on, in least..most.
  uint32_t look(std::optional<uint32_t> queue_ms, std::optional<uint32_t> cpu_stall_permille,
                uint32_t least, uint32_t most) {
    least = std::min(least, most);
    bool late =
        queue_ms.value_or(0) >= kQueueMs || cpu_stall_permille.value_or(0) >= kStallPermille;
    rate_ = late ? std::min(rate_, double(most)) * kLess : rate_ + double(most) * kMoreOfMost;
    rate_ = std::clamp(rate_, double(least), double(most));
    return uint32_t(rate_);
  }

 private:
  double rate_ = 1e9;  // above all that may be asked for
};

}  // namespace dormouse::tuning
