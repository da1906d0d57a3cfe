#include "tuning/pressure_level.h"

#include <gtest/gtest.h>

#include <set>

namespace dormouse::tuning {
namespace {

TEST(PressureLevel, LevelsAreOrderedAndNamedApart) {
  std::set<std::string_view> names;
  for (size_t at = 0; at < std::size(kPressures); ++at) {
    if (at > 0) {
      EXPECT_LT(kPressures[at - 1], kPressures[at]);
    }
    names.insert(name_of(kPressures[at]));
  }
  EXPECT_EQ(names.size(), std::size(kPressures));
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace dormouse::tuning
