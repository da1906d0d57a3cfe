#include "tuning/pressure_engine.h"

#include <algorithm>

namespace dormouse::tuning {
namespace {

constexpr std::array<ReadingKind, kReadings> kKinds = {{
    {"memory", "permille", Pressure::kCritical, true, "The server is short of memory"},
    {"memory_stall", "permille", Pressure::kCritical, false, "The server is short of memory"},
    {"cpu_stall", "permille", Pressure::kPressed, false, "The server is busy"},
    {"io_stall", "permille", Pressure::kPressed, false, "The mail store is slow"},
    {"workers", "permille", Pressure::kPressed, false, "The server is busy"},
    {"queue", "ms", Pressure::kCritical, false, "The server is busy"},
}};

Pressure step_down(Pressure level) { return Pressure(uint8_t(level) - 1); }

}  // namespace

const ReadingKind& kind_of(Reading reading) { return kKinds[size_t(reading)]; }

uint32_t threshold_of(Reading reading, Pressure level, const Thresholds& thresholds) {
  const Pressure worst = kind_of(reading).worst;
  const uint32_t second = std::max(thresholds.first, thresholds.second);
  if (level == Pressure::kBusy) return thresholds.first;
  if (level == worst) return second;
  if (level < worst) return thresholds.first + (second - thresholds.first) / 2;
  return UINT32_MAX;
}

Pressure said_by(Reading reading, uint32_t value, const Thresholds& thresholds) {
  Pressure said = Pressure::kCalm;
  for (Pressure level : kPressures) {
    if (level == Pressure::kCalm || level > kind_of(reading).worst) continue;
    if (value > threshold_of(reading, level, thresholds)) said = level;
  }
  return said;
}

std::optional<PressureChange> PressureEngine::sample(uint64_t now_ms, const Readings& readings) {
  if (sampled_ms_) spent_ms_[size_t(level_)] += now_ms - *sampled_ms_;
  sampled_ms_ = now_ms;
  readings_ = readings;
  note_since(now_ms);
  auto change = rise(now_ms);
  if (!change) change = fall(now_ms);
  if (change) ++entered_[size_t(level_)];
  return change;
}

void PressureEngine::note_since(uint64_t now_ms) {
  for (size_t i = 0; i < kReadings; ++i) {
    Pressure said = Pressure::kCalm;
    if (readings_[i]) said = said_by(Reading(i), *readings_[i], settings_.thresholds[i]);
    for (Pressure level : kPressures) {
      auto& since = since_ms_[i][size_t(level)];
      if (said < level) {
        since.reset();
      } else if (!since) {
        since = now_ms;
      }
    }
  }
}

std::optional<PressureChange> PressureEngine::rise(uint64_t now_ms) {
  PressureChange change{.from = level_, .to = level_, .cause = {}};
  for (size_t i = 0; i < kReadings; ++i) {
    uint64_t patience_ms = kind_of(Reading(i)).at_once ? 0 : settings_.rise_after_ms;
    for (Pressure level : kPressures) {
      const auto& since = since_ms_[i][size_t(level)];
      if (level <= change.to || !since || now_ms - *since < patience_ms) continue;
      change.to = level;
      change.cause = Reading(i);
      change.value = *readings_[i];
      change.threshold = threshold_of(Reading(i), level, settings_.thresholds[i]);
    }
  }
  if (!change.cause) return std::nullopt;
  if (fell_ms_ && now_ms - *fell_ms_ <= kSoonCalmTimes * calm_ms()) {
    calm_fold_ = std::min(calm_fold_ * 2, kCalmFoldMax);
  }
  level_ = change.to;
  cause_ = change.cause;
  below_since_ms_.reset();
  return change;
}

std::optional<PressureChange> PressureEngine::fall(uint64_t now_ms) {
  if (level_ == Pressure::kCalm) {
    // What the longer calm times were for is over.
    if (fell_ms_ && now_ms - *fell_ms_ > kSoonCalmTimes * calm_ms()) calm_fold_ = 1;
    return std::nullopt;
  }
  // Also one that has not said so for long enough to raise it.
  bool asked = std::ranges::any_of(
      since_ms_, [this](const auto& since) { return since[size_t(level_)].has_value(); });
  if (asked) {
    below_since_ms_.reset();
    return std::nullopt;
  }
  if (!below_since_ms_) below_since_ms_ = now_ms;
  if (now_ms - *below_since_ms_ < calm_ms()) return std::nullopt;
  PressureChange change{.from = level_, .to = step_down(level_), .cause = {}};
  level_ = change.to;
  if (level_ == Pressure::kCalm) cause_.reset();
  below_since_ms_ = now_ms;
  fell_ms_ = now_ms;
  return change;
}

}  // namespace dormouse::tuning
