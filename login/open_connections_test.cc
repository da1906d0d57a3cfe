#include "login/open_connections.h"

#include <gtest/gtest.h>

#include <list>

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
