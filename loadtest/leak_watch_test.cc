#include "loadtest/leak_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

namespace dormouse::loadtest {
namespace {

TEST(MemorySeries, a_line_is_found_under_noise_and_the_beginning_is_left_out) {
  MemorySeries series;
  for (int i = 0; i < 300; ++i) {
    uint64_t warming = i < 100 ? uint64_t(i) * 1'000'000 : 100'000'000;
    uint64_t noise = uint64_t(i % 7) * 10'000;
    series.add(i, warming + noise + uint64_t(i) * 1000);
  }
  MemorySeries::Trend trend = series.trend();
  EXPECT_EQ(trend.samples, 200u);
  EXPECT_NEAR(trend.bytes_per_second, 1000, 50);
  EXPECT_NEAR(trend.growth_bytes(), 199'000, 10'000);
}

TEST(MemorySeries, few_samples_are_not_judged_and_many_are_thinned) {
  MemorySeries series;
  for (int i = 0; i < 15; ++i) series.add(i, uint64_t(i) * 1'000'000);
  EXPECT_EQ(series.trend().samples, 0u);
  for (int i = 15; i < 100'000; ++i) series.add(i, uint64_t(i) * 1'000'000);
  EXPECT_LE(series.trend().samples, MemorySeries::kSamplesMax);
  EXPECT_NEAR(series.trend().bytes_per_second, 1e6, 1);
}

TEST(LeakWatch, sees_this_process_grow_and_not_when_it_does_not) {
  std::string file = testing::TempDir() + "/dormouse_leak_watch_pids";
  std::ofstream(file) << getpid() << '\n';
  LeakWatch steady({file});
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(steady.sample(i));
  EXPECT_FALSE(steady.leaks(8 << 20)) << steady.json(8 << 20);
  LeakWatch growing({std::to_string(getpid())});
  std::vector<std::unique_ptr<char[]>> lost;
  constexpr size_t kStepBytes = 2 << 20;
  for (int i = 0; i < 30; ++i) {
    lost.push_back(std::make_unique<char[]>(kStepBytes));
    std::memset(lost.back().get(), i, kStepBytes);
    ASSERT_TRUE(growing.sample(i));
  }
  EXPECT_TRUE(growing.leaks(8 << 20)) << growing.json(8 << 20);
  unlink(file.c_str());
}

TEST(LeakWatch, says_when_there_is_no_such_process) {
  LeakWatch watch({"2147483647", "/nowhere"});
  EXPECT_FALSE(watch.sample(0));
}

}  // namespace
}  // namespace dormouse::loadtest
