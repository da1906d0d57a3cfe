#include "login/open_connections.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>

#include "login/limits.h"

namespace dormouse::login {
namespace {

constexpr uint64_t kOldMs = 1000;

AddressKey address(uint8_t last) { return {.bytes = {4, 10, 0, 0, last}}; }

struct Stranger final : OpenConnections::Guest {
  bool may_leave() const override { return !busy && last_word.empty(); }
  void leave(std::string text) override { last_word = std::move(text); }

  uint64_t number = 0;
  bool busy = false;
  std::string last_word;
};

class OpenConnectionsTest : public testing::Test {
 protected:
  OpenConnectionsTest() { open_.set_bounds({.in_all = 3, .per_address = 2, .old_ms = kOldMs}); }
  Stranger& come(uint8_t from) {
    Stranger& stranger = strangers_.emplace_back();
    stranger.number = open_.enter(address(from), now_ms_);
    open_.seat(stranger.number, stranger);
    return stranger;
  }

  OpenConnections open_;
  std::list<Stranger> strangers_;
  uint64_t now_ms_ = 5000;
};

TEST_F(OpenConnectionsTest, an_address_has_its_share) {
  Stranger& first = come(1);
  EXPECT_FALSE(open_.is_full(address(1)));
  come(1);
  EXPECT_TRUE(open_.is_full(address(1)));
  EXPECT_FALSE(open_.is_full(address(2)));
  EXPECT_EQ(open_.addresses(), 1u);
  open_.remove(first.number);
  EXPECT_FALSE(open_.is_full(address(1)));
  EXPECT_EQ(open_.size(), 1u);
}

TEST_F(OpenConnectionsTest, an_address_that_left_is_forgotten) {
  open_.remove(come(1).number);
  EXPECT_EQ(open_.addresses(), 0u);
  EXPECT_EQ(open_.size(), 0u);
}

TEST_F(OpenConnectionsTest, the_oldest_makes_room_when_it_is_old) {
  Stranger& first = come(1);
  come(2);
  EXPECT_TRUE(open_.has_room(now_ms_));
  EXPECT_FALSE(open_.make_room(now_ms_)) << "there is a place";
  now_ms_ += kOldMs - 1;
  come(3);
  EXPECT_FALSE(open_.has_room(now_ms_));
  EXPECT_FALSE(open_.make_room(now_ms_));
  now_ms_ += 1;
  EXPECT_TRUE(open_.has_room(now_ms_));
  EXPECT_TRUE(open_.make_room(now_ms_));
  EXPECT_EQ(first.last_word, "Too many connections");
}

TEST_F(OpenConnectionsTest, who_is_busy_or_leaving_stays_and_the_next_goes) {
  come(1).busy = true;
  Stranger& second = come(2);
  Stranger& third = come(3);
  now_ms_ += kOldMs;
  EXPECT_TRUE(open_.make_room(now_ms_));
  EXPECT_FALSE(second.last_word.empty());
  EXPECT_TRUE(open_.make_room(now_ms_)) << "it has not left yet";
  EXPECT_FALSE(third.last_word.empty());
  EXPECT_FALSE(open_.make_room(now_ms_));
  EXPECT_FALSE(open_.has_room(now_ms_));
}

TEST_F(OpenConnectionsTest, one_that_has_not_begun_counts_and_stays) {
  for (uint8_t from = 1; from <= 3; ++from) (void)open_.enter(address(from), now_ms_);
  now_ms_ += kOldMs;
  EXPECT_FALSE(open_.has_room(now_ms_));
  EXPECT_FALSE(open_.make_room(now_ms_));
}

TEST_F(OpenConnectionsTest, a_look_for_the_oldest_ends) {
  open_.set_bounds({.in_all = kEvictScanMax + 1, .per_address = 0, .old_ms = kOldMs});
  for (unsigned i = 0; i < kEvictScanMax; ++i) come(1).busy = true;
  Stranger& beyond = come(1);
  now_ms_ += kOldMs;
  EXPECT_FALSE(open_.make_room(now_ms_));
  EXPECT_TRUE(beyond.last_word.empty());
}

TEST_F(OpenConnectionsTest, only_so_many_of_those_who_just_came_are_in_hand) {
  constexpr uint64_t kYoung = 300;
  open_.set_bounds({.in_all = 100, .old_ms = kOldMs, .young = 3, .young_ms = kYoung});
  Stranger& first = come(1);
  now_ms_ += 100;
  Stranger& second = come(2);
  EXPECT_TRUE(open_.has_room(now_ms_));
  come(3);
  EXPECT_FALSE(open_.has_room(now_ms_));
  open_.remove(second.number);
  EXPECT_TRUE(open_.has_room(now_ms_)) << "one got through";
  come(4);
  EXPECT_FALSE(open_.has_room(now_ms_));
  now_ms_ += 199;
  EXPECT_FALSE(open_.has_room(now_ms_));
  now_ms_ += 1;
  EXPECT_TRUE(open_.has_room(now_ms_)) << "who takes its time keeps nobody out";
  EXPECT_EQ(open_.young(now_ms_), 2u);
  open_.remove(first.number);
  EXPECT_EQ(open_.young(now_ms_), 2u) << "it was not counted any more";
  now_ms_ += kYoung;
  EXPECT_TRUE(open_.has_room(now_ms_));
  EXPECT_EQ(open_.young(now_ms_), 0u);
  EXPECT_EQ(open_.size(), 2u);
}

TEST_F(OpenConnectionsTest, a_count_of_the_young_is_right_whoever_comes_and_goes) {
  constexpr uint64_t kYoung = 50;
  open_.set_bounds({.in_all = 10'000, .old_ms = kOldMs, .young = 5000, .young_ms = kYoung});
  std::mt19937 random(7);
  std::map<uint64_t, uint64_t> since;  // by number
  for (int step = 0; step < 20'000; ++step) {
    now_ms_ += random() % 3;
    if (random() % 2 == 0 || since.empty()) {
      since.emplace(come(uint8_t(random())).number, now_ms_);
    } else {
      auto who = std::next(since.begin(), std::min<long>(random() % 40, long(since.size()) - 1));
      open_.remove(who->first);
      since.erase(who);
    }
    ASSERT_TRUE(open_.has_room(now_ms_));
    auto young = std::ranges::count_if(
        since, [&](const auto& one) { return now_ms_ - one.second < kYoung; });
    ASSERT_EQ(open_.young(now_ms_), size_t(young)) << "step " << step;
  }
}

TEST_F(OpenConnectionsTest, without_bounds_there_is_always_room) {
  open_.set_bounds({});
  for (int i = 0; i < 100; ++i) come(1);
  EXPECT_FALSE(open_.is_full(address(1)));
  EXPECT_TRUE(open_.has_room(now_ms_));
  EXPECT_FALSE(open_.make_room(now_ms_));
}

TEST_F(OpenConnectionsTest, all_hear_the_word) {
  for (uint8_t from = 1; from <= 3; ++from) come(from);
  open_.all_leave("Bye");
  for (const Stranger& stranger : strangers_) EXPECT_EQ(stranger.last_word, "Bye");
}

}  // namespace
}  // namespace dormouse::login
