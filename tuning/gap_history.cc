#include "tuning/gap_history.h"

#include <algorithm>
#include <cmath>

namespace dormouse::tuning {
namespace {

constexpr uint8_t kOtherBit = 0x40;
static_assert(kGapLevels <= kOtherBit);

// The logarithm of the factor between two levels: 63 of them lie between the first and the last.
const double kFactorLog = std::log(double(kGapLastMs) / double(kGapFirstMs)) / (kGapLevels - 1);

using Levels = std::array<double, kGapLevels>;

// Asked for at every turn of a session that waits.
const Levels kBeginsMs = [] {
  Levels made;
  for (size_t i = 0; i < kGapLevels; ++i) {
    made[i] = double(kGapFirstMs) * std::exp(kFactorLog * double(i));
  }
  return made;
}();
const Levels kMeansMs = [] {
  Levels made;
  for (size_t i = 0; i < kGapLevels; ++i) {
    made[i] = kBeginsMs[i] * (std::exp(kFactorLog) - 1) / kFactorLog;
  }
  return made;
}();

}  // namespace

size_t gap_level(uint64_t gap_ms) {
  if (gap_ms <= kGapFirstMs) return 0;
  double level = std::log(double(gap_ms) / double(kGapFirstMs)) / kFactorLog;
  return std::min(size_t(level), kGapLevels - 1);
}

double level_begin_ms(size_t level) { return kBeginsMs[level]; }
double level_mean_ms(size_t level) { return kMeansMs[level]; }

void GapHistory::add(Gap gap) {
  size_ = std::min(size_ + 1, kGapsMax);
  std::copy_backward(gaps_.begin(), gaps_.begin() + ptrdiff_t(size_ - 1),
                     gaps_.begin() + ptrdiff_t(size_));
  gaps_[0] = gap;
}

std::string GapHistory::freeze() const {
  std::string bytes;
  for (size_t age = 0; age < size_; ++age) {
    const Gap& gap = gaps_[age];
    bytes += char((gap.quiet == Quiet::kOther ? kOtherBit : 0) | gap.level);
  }
  return bytes;
}

std::optional<GapHistory> GapHistory::thaw(std::string_view bytes) {
  GapHistory made;
  if (bytes.size() > kGapsMax) return std::nullopt;
  for (size_t age = 0; age < bytes.size(); ++age) {
    uint8_t byte = uint8_t(bytes[age]);
    if ((byte & ~(kOtherBit | (kGapLevels - 1))) != 0) return std::nullopt;
    made.gaps_[age].quiet = (byte & kOtherBit) != 0 ? Quiet::kOther : Quiet::kIdle;
    made.gaps_[age].level = byte & (kGapLevels - 1);
  }
  made.size_ = bytes.size();
  return made;
}

}  // namespace dormouse::tuning
