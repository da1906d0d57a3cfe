#include "master/admission.h"

#include <gtest/gtest.h>

namespace dormouse::master {
namespace {

TEST(Admission, logins_serve_at_the_least_of_what_bounds_them) {
  Admission admission;
  admission.mode = "accept";
  admission.set_rates({.per_second = 1000, .burst = 500, .prefix_percent = 10});
  EXPECT_EQ(admission.served(), admission.rates) << "they are who keeps to the rates here";
  admission.set_pace(300);
  EXPECT_EQ(admission.served().per_second, 300u);
  EXPECT_EQ(admission.served().burst, 6u) << "what comes in 20 ms";
  EXPECT_EQ(admission.served().prefix_percent, 10u);
  admission.set_pace(2000);
  EXPECT_EQ(admission.served(), admission.rates);
  admission.set_pace(40);
  EXPECT_EQ(admission.served().per_second, 40u);
  EXPECT_EQ(admission.served().burst, 1u);
  admission.set_pace(0);
  EXPECT_EQ(admission.served(), admission.rates);
}

TEST(Admission, without_rates_only_the_pace_counts) {
  Admission admission;
  admission.set_rates({.per_second = 1000, .burst = 500, .prefix_percent = 10});
  EXPECT_EQ(admission.served().per_second, 0u) << "off";
  admission.set_pace(5000);
  EXPECT_EQ(admission.served().per_second, 5000u);
}

}  // namespace
}  // namespace dormouse::master
