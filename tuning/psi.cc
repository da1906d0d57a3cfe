#include "tuning/psi.h"

#include <algorithm>
#include <charconv>

namespace dormouse::tuning {
namespace {

std::optional<uint64_t> total_of(std::string_view line) {
  constexpr std::string_view kKey = " total=";
  size_t at = line.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view digits = line.substr(at + kKey.size());
  uint64_t total_us = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), total_us);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return total_us;
}

}  // namespace

std::optional<StallTotals> parse_psi(std::string_view text) {
  StallTotals totals;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("some ")) totals.some_us = total_of(line);
    if (line.starts_with("full ")) totals.full_us = total_of(line);
  }
  if (!totals.some_us && !totals.full_us) return std::nullopt;
  return totals;
}

std::optional<uint32_t> StallMeter::update(uint64_t now_ms, uint64_t total_us) {
  if (count_ > 0) {
    const Sample& last = samples_[count_ - 1];
    if (now_ms < last.at_ms || total_us < last.total_us) count_ = 0;
  }
  // The oldest that is kept is the youngest that is a whole window old.
  auto drop_oldest = [this] {
    std::shift_left(samples_.begin(), samples_.begin() + ptrdiff_t(count_), 1);
    --count_;
  };
  while (count_ > 1 && now_ms - samples_[1].at_ms >= kWindowMs) drop_oldest();
  if (count_ == kSamplesMax) drop_oldest();
  samples_[count_++] = {now_ms, total_us};
  uint64_t past_ms = now_ms - samples_[0].at_ms;
  if (past_ms == 0) return std::nullopt;
  // total counts microseconds: a thousand of them a millisecond are permille.
  return uint32_t(std::min<uint64_t>((total_us - samples_[0].total_us) / past_ms, 1000));
}

}  // namespace dormouse::tuning
