#pragma once
// DenSlots: which counts in DenCounts are to be believed. Every census of a den gets a slot of its
// own. When a den's process is replaced, the slot of the old one is dead from the first message of
// the new census on: sums leave it out at once, and a sweep through the tables frees it later.

#include <array>
#include <cstdint>
#include <optional>

#include "tracker/den_counts.h"

namespace dormouse::tracker {

class DenSlots {
 public:
  // Dens are one per 20,000 sessions at the least; with as many dead slots waiting for a sweep this
  // is room for 5 million sessions on the smallest machines, and 500 restarts between two sweeps.
  static constexpr uint16_t kSlots = 1024;

  // A free slot, live from now on.
  std::optional<uint16_t> take() {
    for (uint16_t i = 0; i < kSlots; ++i) {
      if (states_[i] != State::kFree) continue;
      states_[i] = State::kLive;
      return i;
    }
    return std::nullopt;
  }
  void kill(uint16_t slot) {
    if (states_[slot] == State::kLive) states_[slot] = State::kDead;
  }
  bool live(uint16_t slot) const { return states_[slot] == State::kLive; }
  // A sweep visits every count: slots that were dead when it began are free when it ends.
  bool begin_sweep() {
    bool any = false;
    for (State& state : states_) {
      if (state == State::kDead) state = State::kSweeping, any = true;
    }
    return any;
  }
  bool sweeping(uint16_t slot) const { return states_[slot] == State::kSweeping; }
  void end_sweep() {
    for (State& state : states_) {
      if (state == State::kSweeping) state = State::kFree;
    }
  }

 private:
  enum class State : uint8_t { kFree, kLive, kDead, kSweeping };
  std::array<State, kSlots> states_{};
};

}  // namespace dormouse::tracker
