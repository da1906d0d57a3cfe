#include "master/write_back.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

namespace dormouse::master {
namespace {

// A disk takes as long as it takes.
void wait_until_idle(const WriteBack& write_back) {
  while (write_back.under_way()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

TEST(WriteBack, one_at_a_time_and_not_all_the_time) {
  WriteBack write_back(std::filesystem::temp_directory_path());
  write_back.begin(1000);
  wait_until_idle(write_back);
  EXPECT_EQ(write_back.done(), 1u);
  write_back.begin(1000 + WriteBack::kApartMs - 1);
  EXPECT_FALSE(write_back.under_way());
  EXPECT_EQ(write_back.done(), 1u);
  write_back.begin(1000 + WriteBack::kApartMs);
  wait_until_idle(write_back);
  EXPECT_EQ(write_back.done(), 2u);
}

TEST(WriteBack, a_place_that_is_not_there_is_no_harm) {
  WriteBack write_back("/nowhere/at/all");
  for (uint64_t turn = 1; turn <= 3; ++turn) {
    write_back.begin(turn * WriteBack::kApartMs);
    wait_until_idle(write_back);
  }
  EXPECT_EQ(write_back.done(), 0u);
}

TEST(WriteBack, nobody_waits_for_it_at_the_end) {
  WriteBack write_back(std::filesystem::temp_directory_path());
  write_back.begin(1);
}

}  // namespace
}  // namespace dormouse::master
