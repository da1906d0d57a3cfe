#include "tuning/park_policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse::tuning {
namespace {

// A client is never as regular as its last gap: each counts half for itself, and half for what is
// a fifth shorter or longer.
void spread(size_t level, double weight, GapShares& out) {
  out[level] += weight / 2;
  out[level == 0 ? 0 : level - 1] += weight / 4;
  out[std::min(level + 1, kGapLevels - 1)] += weight / 4;
}

// The likelihood of each level. Answers how many own gaps are in it.
GapShares likelihoods(const ParkParameters& parameters, const ParkQuestion& question,
                      uint32_t& known) {
  const GapHistory& history = *question.history;
  GapShares made{};
  Before now = before(history, 0);
  double fade = 1;
  double sum = parameters.prior_gaps;
  for (size_t age = 0; age < history.size(); ++age) {
    Gap gap = history[age];
    if (gap.quiet != question.quiet) continue;
    double weight = fade * (before(history, age + 1) == now ? 1 : parameters.unlike);
    spread(gap.level, weight, made);
    sum += weight;
    fade *= parameters.fading;
    ++known;
  }
  for (size_t i = 0; i < kGapLevels; ++i) {
    made[i] = (made[i] + parameters.prior_gaps * (*question.prior)[i]) / sum;
  }
  return made;
}

}  // namespace

ParkAdvice advise(const ParkParameters& parameters, const ParkQuestion& question) {
  using Why = ParkAdvice::Why;
  uint64_t worth_ms = parameters.worth_ms(question.pressure);
  // At once: in IDLE that is what the client has asked for.
  uint64_t floor_ms = question.quiet == Quiet::kIdle ? 0 : kGapFirstMs;
  ParkAdvice advice{.after_ms = floor_ms};
  GapShares share = likelihoods(parameters, question, advice.known);
  double within = 0;     // likelihood of the levels that the candidate waits for
  double within_ms = 0;  // and what they cost
  double least = double(floor_ms) + double(worth_ms);
  for (size_t level = 0; level + 1 < kGapLevels; ++level) {
    within += share[level];
    within_ms += share[level] * level_mean_ms(level);
    double after_ms = level_begin_ms(level + 1);
    if (after_ms > double(worth_ms)) break;
    double cost = within_ms + (1 - within) * (after_ms + double(worth_ms));
    if (cost >= least) continue;
    least = cost;
    advice.after_ms = uint64_t(after_ms);
    advice.back = within;
  }
  advice.why = worth_ms == 0                 ? Why::kPressed
               : advice.after_ms == floor_ms ? Why::kExpectedLong
                                             : Why::kExpectedBack;
  if (question.bound_ms != 0 && question.bound_ms < advice.after_ms) {
    advice.after_ms = question.bound_ms;
    advice.why = Why::kBound;
  }
  return advice;
}

std::string ParkAdvice::text() const {
  std::string_view reason;
  switch (why) {
    case Why::kExpectedLong:
      reason = "nothing soon is expected";
      break;
    case Why::kExpectedBack:
      reason = "it is likely back before";
      break;
    case Why::kPressed:
      reason = "pressure is critical";
      break;
    case Why::kBound:
      reason = "the setting says so";
      break;
  }
  return fmt::format("after {:.1f} s: {} ({:.0f}%, {} gaps known)", double(after_ms) / 1000, reason,
                     back * 100, known);
}

}  // namespace dormouse::tuning
