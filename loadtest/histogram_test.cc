#include "loadtest/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace dormouse::loadtest {
namespace {

TEST(Histogram, empty_answers_zero) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile_us(50), 0u);
  EXPECT_EQ(histogram.min_us(), 0u);
  EXPECT_EQ(histogram.mean_us(), 0);
}

TEST(Histogram, small_values_are_exact) {
  Histogram histogram;
  for (uint64_t i = 1; i <= 100; ++i) histogram.record(i);
  EXPECT_EQ(histogram.percentile_us(0), 1u);
  EXPECT_EQ(histogram.percentile_us(50), 50u);
  EXPECT_EQ(histogram.percentile_us(99), 99u);
  EXPECT_EQ(histogram.percentile_us(100), 100u);
  EXPECT_DOUBLE_EQ(histogram.mean_us(), 50.5);
}

TEST(Histogram, percentiles_of_random_values_are_within_a_64th_above_the_true_ones) {
  std::mt19937_64 random(7);
  std::vector<uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 20'000; ++i) {
    uint64_t value = random() >> (random() % 40 + 24);
    values.push_back(value);
    histogram.record(value);
  }
  std::sort(values.begin(), values.end());
  for (double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    auto rank = size_t(std::ceil(percent / 100 * double(values.size())));
    uint64_t truth = values[std::max<size_t>(rank, 1) - 1];
    uint64_t told = histogram.percentile_us(percent);
    EXPECT_GE(told, truth) << percent;
    EXPECT_LE(double(told), double(truth) * (1 + 1.0 / 64)) << percent;
  }
}

TEST(Histogram, merge_is_the_same_as_recording_both) {
  Histogram left;
  Histogram right;
  Histogram both;
  for (uint64_t i = 0; i < 5000; ++i) {
    (i % 3 == 0 ? left : right).record(i * i);
    both.record(i * i);
  }
  left.merge(right);
  EXPECT_EQ(left.json(), both.json());
}

TEST(Histogram, a_value_beyond_the_longest_is_counted_as_the_longest) {
  Histogram histogram;
  histogram.record(~uint64_t{0});
  EXPECT_EQ(histogram.max_us(), Histogram::kLongestUs);
  EXPECT_EQ(histogram.percentile_us(50), Histogram::kLongestUs);
}

}  // namespace
}  // namespace dormouse::loadtest
