#include "loadtest/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace dormouse::loadtest {

// A value below 2 * 64 is its own bucket. Above, with its highest bit at position b, it falls into
// bucket (b - 6) * 64 + (value >> (b - 6)), where the shifted value is in [64, 128).
uint32_t Histogram::bucket_of(uint64_t value_us) {
  uint32_t shift = 0;
  auto width = uint32_t(std::bit_width(value_us));
  if (width > kSubBits + 1) shift = width - (kSubBits + 1);
  return (shift << kSubBits) + uint32_t(value_us >> shift);
}

uint64_t Histogram::last_of(uint32_t bucket) {
  uint32_t top = bucket >> kSubBits;
  uint32_t shift = top < 2 ? 0 : top - 1;
  uint64_t shifted = bucket - (uint64_t{shift} << kSubBits);
  return ((shifted + 1) << shift) - 1;
}

Histogram::Histogram() : buckets_(bucket_of(kLongestUs) + 1, 0) {}

void Histogram::record(uint64_t value_us) {
  value_us = std::min(value_us, kLongestUs);
  ++buckets_[bucket_of(value_us)];
  ++count_;
  min_us_ = std::min(min_us_, value_us);
  max_us_ = std::max(max_us_, value_us);
  sum_us_ += double(value_us);
}

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  min_us_ = std::min(min_us_, other.min_us_);
  max_us_ = std::max(max_us_, other.max_us_);
  sum_us_ += other.sum_us_;
}

double Histogram::mean_us() const { return count_ == 0 ? 0 : sum_us_ / double(count_); }

uint64_t Histogram::percentile_us(double percent) const {
  if (count_ == 0) return 0;
  auto wanted = uint64_t(std::ceil(std::clamp(percent, 0.0, 100.0) / 100 * double(count_)));
  wanted = std::max<uint64_t>(wanted, 1);
  uint64_t passed = 0;
  for (uint32_t i = 0; i < buckets_.size(); ++i) {
    passed += buckets_[i];
    if (passed >= wanted) return std::min(last_of(i), max_us_);
  }
  return max_us_;
}

std::string Histogram::json() const {
  return fmt::format(
      R"({{"count":{},"mean_us":{:.1f},"p50_us":{},"p90_us":{},"p99_us":{},"max_us":{}}})", count_,
      mean_us(), percentile_us(50), percentile_us(90), percentile_us(99), max_us_);
}

}  // namespace dormouse::loadtest
