#include "ebpf/admission.h"

#include <gtest/gtest.h>

#include "ebpf/bucket.h"

namespace dormouse::ebpf {
namespace {

TEST(Bucket, holds_as_many_as_its_depth_and_no_more) {
  uint64_t bucket = 0;
  unsigned taken = 0;
  uint64_t next = 0;
  for (; bucket_take(bucket, 1000, 10, 50, 0, &next); ++taken) bucket = uint64_t(next);
  EXPECT_EQ(taken, 5u);
  EXPECT_FALSE(bucket_take(bucket, 1009, 10, 50, 0, &next));
  EXPECT_TRUE(bucket_take(bucket, 1010, 10, 50, 0, &next));
}

TEST(Bucket, what_is_kept_for_others_is_not_given) {
  uint64_t bucket = 0;
  unsigned taken = 0;
  uint64_t next = 0;
  for (; bucket_take(bucket, 1000, 10, 50, 20, &next); ++taken) bucket = next;
  EXPECT_EQ(taken, 3u);
  EXPECT_TRUE(bucket_take(bucket, 1000, 10, 50, 0, &next));
}

// A bucket emptied at one a second, 1,000 deep, is "full again" in 1,000 s.
TEST(Bucket, after_slow_rates_nobody_waits_longer_than_for_the_new_ones) {
  constexpr uint64_t kLongDebt = 1000 + 1'000'000;
  const uint64_t bucket = bucket_settle(kLongDebt, 1000, 50);
  uint64_t next = 0;
  EXPECT_FALSE(bucket_take(bucket, 1000, 10, 50, 0, &next)) << "it is empty";
  EXPECT_TRUE(bucket_take(bucket, 1010, 10, 50, 0, &next));
  EXPECT_EQ(bucket_settle(1020, 1000, 50), 1020u) << "what is not emptier stays";
}

TEST(AdmissionRates, become_intervals_and_depths) {
  admission_rates limits = limits_of({.per_second = 1000, .burst = 500, .prefix_percent = 10});
  EXPECT_EQ(limits.interval_ns, 1'000'000u);
  EXPECT_EQ(limits.depth_ns, 500'000'000u);
  EXPECT_EQ(limits.prefix_interval_ns, 10'000'000u);
  EXPECT_EQ(limits.prefix_depth_ns, 500'000'000u) << "50 connections";
}

TEST(AdmissionRates, are_divided_among_those_who_pace_each_for_itself) {
  admission_rates limits = limits_of({.per_second = 1000, .burst = 500, .prefix_percent = 10}, 4);
  EXPECT_EQ(limits.interval_ns, 4'000'000u);
  EXPECT_EQ(limits.depth_ns / limits.interval_ns, 125u);
}

TEST(AdmissionRates, of_zero_are_no_bound) { EXPECT_EQ(limits_of({}).interval_ns, 0u); }

TEST(AdmissionRates, odd_values_still_let_somebody_in) {
  for (AdmissionRates rates :
       {AdmissionRates{.per_second = 1, .burst = 0, .prefix_percent = 0},
        AdmissionRates{.per_second = UINT32_MAX, .burst = UINT32_MAX, .prefix_percent = 1000}}) {
    admission_rates limits = limits_of(rates);
    EXPECT_GT(limits.interval_ns, 0u);
    EXPECT_GE(limits.depth_ns / 2, limits.interval_ns);
    EXPECT_GE(limits.prefix_depth_ns, limits.prefix_interval_ns);
    EXPECT_LE(limits.prefix_interval_ns, 1'000'000'000u);
  }
}

TEST(AdmissionControl, what_one_process_sets_another_reads_and_cannot_write) {
  auto page = make_page("test-rates", sizeof(admission_rates));
  ASSERT_TRUE(page);
  auto control = AdmissionControl::over(page->get());
  ASSERT_TRUE(control);
  auto end = reading_end(*page);
  ASSERT_TRUE(end);
  auto reader = Page<admission_rates>::map(end->get(), PageUse::kRead);
  ASSERT_TRUE(reader);
  control->set_rates({.per_second = 1000, .burst = 10, .prefix_percent = 50});
  EXPECT_EQ(load_field((*reader)->interval_ns), 1'000'000u);
  EXPECT_FALSE(Page<admission_rates>::map(end->get(), PageUse::kWrite));
}

}  // namespace
}  // namespace dormouse::ebpf
