#include "tuning/psi.h"

#include <gtest/gtest.h>

#include <string>

namespace dormouse::tuning {
namespace {

TEST(Psi, BothTotalsAreRead) {
  auto totals = parse_psi(
      "some avg10=47.86 avg60=17.16 avg300=22.32 total=18151338762\n"
      "full avg10=43.83 avg60=15.26 avg300=18.87 total=5104883326\n");
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->some_us, 18151338762u);
  EXPECT_EQ(totals->full_us, 5104883326u);
}

TEST(Psi, OldKernelsHaveNoFullForCpu) {
  auto totals = parse_psi("some avg10=0.84 avg60=1.14 avg300=2.26 total=7\n");
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->some_us, 7u);
  EXPECT_FALSE(totals->full_us);
}

TEST(Psi, WhatIsNoSuchFileIsNothing) {
  for (std::string_view text :
       {"", "\n\n\n", "some", "some avg10=1 total=", "some total=-1", "some total=x\n",
        "some avg10=0 total=99999999999999999999999\n", "total=1\n", "some avg10=0 total=1 \n"}) {
    EXPECT_FALSE(parse_psi(text)) << text;
  }
  EXPECT_FALSE(parse_psi(std::string(100'000, 's')));
}

TEST(StallMeter, HalfOfTheTimeIs500Permille) {
  StallMeter meter;
  EXPECT_FALSE(meter.update(1000, 5'000'000));
  EXPECT_EQ(meter.update(1500, 5'250'000), 500u);
  EXPECT_EQ(meter.update(2000, 5'500'000), 500u);
}

TEST(StallMeter, WhatIsOlderThanTheWindowNoLongerCounts) {
  StallMeter meter;
  uint64_t now_ms = 0;
  uint64_t total_us = 0;
  for (int i = 0; i < 100; ++i) meter.update(now_ms += 500, total_us += 500'000);
  EXPECT_EQ(meter.update(now_ms += 500, total_us), 750u);
  EXPECT_EQ(meter.update(now_ms += 500, total_us), 500u);
  EXPECT_EQ(meter.update(now_ms += 500, total_us), 250u);
  EXPECT_EQ(meter.update(now_ms += 500, total_us), 0u);
}

TEST(StallMeter, ATotalThatWentBackStartsAnew) {
  StallMeter meter;
  meter.update(1000, 9'000'000);
  EXPECT_FALSE(meter.update(1500, 10));
  EXPECT_EQ(meter.update(2000, 10), 0u);
}

TEST(StallMeter, MoreThanAllOfTheTimeIsAllOfIt) {
  StallMeter meter;
  meter.update(1000, 0);
  EXPECT_EQ(meter.update(1001, UINT64_MAX), 1000u);
}

TEST(StallMeter, ManySamplesInOneWindowAreBounded) {
  StallMeter meter;
  for (uint64_t i = 0; i < 1000; ++i) meter.update(1000 + i, i * 100);
  EXPECT_EQ(meter.update(2000, 100'000), 100u);
}

}  // namespace
}  // namespace dormouse::tuning
