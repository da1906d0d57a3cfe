#pragma once
// Histogram: latencies in microseconds, kept in buckets whose width is at most 1/64 of their value,
// so a percentile is off by less than 1.6 % at any size. The shape is that of HdrHistogram:
// linear below 128, then 64 buckets for each power of two.

#include <cstdint>
#include <string>
#include <vector>

namespace dormouse::loadtest {

class Histogram {
 public:
  Histogram();

  void record(uint64_t value_us);
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  uint64_t max_us() const { return max_us_; }
  uint64_t min_us() const { return count_ == 0 ? 0 : min_us_; }
  double mean_us() const;
  // The least value that `percent` (0 to 100) of all values do not exceed, rounded up to the end of
  // its bucket but never beyond max_us(). 0 when empty.
  uint64_t percentile_us(double percent) const;
  // {"count":..,"mean_us":..,"p50_us":..,"p90_us":..,"p99_us":..,"max_us":..}
  std::string json() const;

  // 2^40 us is 12 days: longer values are counted there.
  static constexpr uint64_t kLongestUs = (uint64_t{1} << 40) - 1;

 private:
  static constexpr uint32_t kSubBits = 6;
  static uint32_t bucket_of(uint64_t value_us);
  static uint64_t last_of(uint32_t bucket);

  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t min_us_ = kLongestUs;
  uint64_t max_us_ = 0;
  double sum_us_ = 0;
};

}  // namespace dormouse::loadtest
