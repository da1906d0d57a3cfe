#pragma once
// When a quiet session is offered to the den. A pure function: history, prices and pressure in, a
// time out. docs/tuning.md has the derivation; loadtest/simulate shows what it is worth.
//
// It is the ski-rental problem with a known distribution (Krishnan, Long and Vitter, "Adaptive disk
// spindown via optimal rent-to-buy in probabilistic environments", 1995): awake costs rent for as
// long as it lasts, a wake costs a price at once. For each time that the session may be left awake
// the expected cost is computed from its own last gaps and what is known of clients like it; the
// cheapest is taken. It is never longer than a wake is worth, so that no gap, whatever the client
// does, costs more than that above what hindsight would have paid.

#include <array>
#include <cstdint>
#include <string>

#include "tuning/client_habits.h"
#include "tuning/gap_history.h"
#include "tuning/pressure_level.h"

namespace dormouse::tuning {

struct ParkParameters {
  // So long may a session be kept awake to save one wake and parking, by pressure. Calm: see
  // docs/tuning.md (CPU of both over what an awake session costs a second). Each level of pressure
  // is a quarter of the one before, as the classes of gaps are five fold steps: about one class
  // each; critical parks whatever may be parked.
  std::array<uint64_t, 4> wake_worth_ms = {60'000, 15'000, 3'750, 0};
  // As many gaps of its own as what is known of clients like it weighs.
  double prior_gaps = 2;
  // What a gap counts that followed another kind of gap (Before) than the one that is judged.
  double unlike = 0.25;
  // What each gap counts against the one after it.
  double fading = 0.9;

  uint64_t worth_ms(Pressure pressure) const { return wake_worth_ms[size_t(pressure)]; }
};

struct ParkQuestion {
  Quiet quiet = Quiet::kOther;
  const GapHistory* history = nullptr;  // of this session
  const GapShares* prior = nullptr;     // of clients like it, normalised
  Pressure pressure = Pressure::kCalm;
  uint64_t bound_ms = 0;  // the operator's: never later; 0: none
};

struct ParkAdvice {
  enum class Why : uint8_t {
    kExpectedLong,  // at once: staying awake longer is not worth it
    kExpectedBack,  // within this time the client is likely back
    kPressed,       // critical pressure
    kBound,         // the operator's setting is shorter than all that
  };
  uint64_t after_ms = 0;  // from the gap's beginning
  Why why = Why::kExpectedLong;
  double back = 0;     // likelihood of a command within after_ms
  uint32_t known = 0;  // gaps of its own in this judgement
  // "in 2.5s (back by then 71%, of 11 gaps)", for views.
  std::string text() const;
};

ParkAdvice advise(const ParkParameters& parameters, const ParkQuestion& question);

}  // namespace dormouse::tuning
