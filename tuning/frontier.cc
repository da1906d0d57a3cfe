#include "tuning/frontier.h"

#include <algorithm>
#include <cmath>

namespace dormouse::tuning {
namespace {

constexpr uint64_t kFixedMs[] = {100,     200,     500,       1'000,    2'000,   5'000,
                                 10'000,  20'000,  30'000,    60'000,   120'000, 300'000,
                                 600'000, 900'000, 1'200'000, 1'800'000};
// What a wake may be worth: 0, then from a quarter of the shortest gap to eight times the longest,
// four steps to the decade.
constexpr double kWorthFirstMs = 25;
constexpr double kWorthLastMs = 8 * 3.6e6;
const double kStep = std::pow(10, 0.25);
// Between two of those, for each fixed time: to a factor of 1.01 of the worth that adds its
// latency.
constexpr int kHalvings = 6;

FrontierPoint adaptive_at(const Trace& trace, uint64_t worth_ms, const SimulationPrices& prices) {
  SimulatedPolicy policy;
  policy.parameters.wake_worth_ms[0] = worth_ms;
  return {worth_ms, simulate(trace, policy, prices)};
}

// Points between the last that adds more latency than `other` and the first that adds no more.
void narrow(const Trace& trace, const SimulationResult& other, const SimulationPrices& prices,
            std::vector<FrontierPoint>& adaptive) {
  auto enough = std::ranges::find_if(adaptive, [&](const FrontierPoint& point) {
    return point.result.added_latency_ms <= other.added_latency_ms;
  });
  if (enough == adaptive.begin() || enough == adaptive.end()) return;
  uint64_t low_ms = (enough - 1)->setting_ms;
  uint64_t high_ms = enough->setting_ms;
  for (int i = 0; i < kHalvings; ++i) {
    auto middle_ms = uint64_t(std::sqrt(double(std::max<uint64_t>(low_ms, 1)) * double(high_ms)));
    FrontierPoint middle = adaptive_at(trace, middle_ms, prices);
    (middle.result.added_latency_ms <= other.added_latency_ms ? high_ms : low_ms) = middle_ms;
    adaptive.insert(std::ranges::upper_bound(adaptive, middle_ms, {}, &FrontierPoint::setting_ms),
                    std::move(middle));
  }
}

}  // namespace

Frontier compare(const Trace& trace, const SimulationPrices& prices) {
  Frontier made;
  std::vector<uint64_t> worths = {0};
  for (double ms = kWorthFirstMs; ms < kWorthLastMs; ms *= kStep) worths.push_back(uint64_t(ms));
  for (uint64_t worth_ms : worths) {
    made.adaptive.push_back(adaptive_at(trace, worth_ms, prices));
    SimulationPrices known = prices;
    known.wake_worth_ms = worth_ms;
    made.best.push_back({worth_ms, hindsight(trace, known)});
  }
  for (uint64_t ms : kFixedMs) {
    SimulatedPolicy policy;
    policy.fixed_ms = ms;
    made.fixed.push_back({ms, simulate(trace, policy, prices)});
    narrow(trace, made.fixed.back().result, prices, made.adaptive);
  }
  return made;
}

const FrontierPoint* no_slower(const std::vector<FrontierPoint>& adaptive,
                               const SimulationResult& other) {
  const FrontierPoint* found = nullptr;
  for (const FrontierPoint& point : adaptive) {
    if (point.result.added_latency_ms > other.added_latency_ms) continue;
    if (found == nullptr || point.result.awake_s < found->result.awake_s) found = &point;
  }
  return found;
}

}  // namespace dormouse::tuning
