#include "tuning/client_habits.h"

#include <algorithm>
#include <cmath>

namespace dormouse::tuning {
namespace {

// What the default prior weighs against what was seen.
double default_gaps = 10;

// A mixture of two log-normal gaps: a client that is in the middle of something, and one that is
// not.
GapShares mixture(double soon, double soon_ms, double soon_spread, double late_ms,
                  double late_spread) {
  GapShares made{};
  auto bell = [](double ms, double median_ms, double spread) {
    double away = std::log(ms / median_ms) / spread;
    return std::exp(-away * away / 2) / spread;
  };
  for (size_t level = 0; level < kGapLevels; ++level) {
    double ms = level_begin_ms(level) * 1.09;
    made[level] =
        soon * bell(ms, soon_ms, soon_spread) + (1 - soon) * bell(ms, late_ms, late_spread);
  }
  double sum = 0;
  for (double share : made) sum += share;
  for (double& share : made) share /= sum;
  return made;
}

}  // namespace

const GapShares& default_prior(Quiet quiet, Before before) {
  static const GapShares priors[kQuiets][kBefores] = {
      {mixture(0.7, 10'000, 1.2, 600'000, 1.5), mixture(0.3, 10'000, 1.2, 600'000, 1.5),
       mixture(0.3, 10'000, 1.2, 600'000, 1.5)},
      {mixture(0.8, 2'000, 2, 300'000, 2), mixture(0.5, 2'000, 2, 300'000, 2),
       mixture(0.7, 2'000, 2, 300'000, 2)}};
  return priors[size_t(quiet)][size_t(before)];
}

Before before(const GapHistory& history, size_t age) {
  if (age >= history.size()) return Before::kNothing;
  return level_begin_ms(history[age].level) >= double(kLongGapMs) ? Before::kLong : Before::kShort;
}

void ClientHabits::add(uint64_t client_id, const GapHistory& history, Gap gap) {
  auto found = kinds_.find(client_id);
  if (found == kinds_.end()) {
    if (kinds_.size() >= kKindsMax) {
      kinds_.erase(std::ranges::min_element(kinds_, {},
                                            [](const auto& entry) { return entry.second.gaps; }));
    }
    found = kinds_.emplace(client_id, Kind()).first;
  }
  Kind& kind = found->second;
  Counts& counts = kind.counts[size_t(gap.quiet)][size_t(before(history, 0))];
  ++counts.of[gap.level];
  ++kind.gaps;
  if (++counts.sum < kGapsMax) return;
  counts.sum = 0;
  for (uint32_t& count : counts.of) counts.sum += count /= 2;
}

GapShares ClientHabits::prior(uint64_t client_id, Quiet quiet, Before before) const {
  GapShares made = default_prior(quiet, before);
  auto found = kinds_.find(client_id);
  if (found == kinds_.end()) return made;
  const Counts& counts = found->second.counts[size_t(quiet)][size_t(before)];
  double sum = default_gaps + counts.sum;
  for (size_t i = 0; i < kGapLevels; ++i) made[i] = (made[i] * default_gaps + counts.of[i]) / sum;
  return made;
}

}  // namespace dormouse::tuning
