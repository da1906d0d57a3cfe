#include "login/accept_pacer.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <vector>

#include "ebpf/admission.h"

namespace dormouse::login {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kSecondNs = 1000 * kMillisecondNs;

AddressKey v4(uint8_t third, uint8_t last = 1) { return {.bytes = {4, 10, 0, third, last}}; }
AddressKey v6(uint8_t sixth, uint8_t eighth) {
  return {.bytes = {6, 0x20, 1, 0xd, 0xb8, 0, sixth, 0, eighth}};
}

// A crowd that comes as fast as it is let: what tells who got in.
class Crowd {
 public:
  Crowd(AcceptPacer& pacer, const ebpf::AdmissionRates& rates)
      : pacer_(pacer), rates_(ebpf::limits_of(rates)) {}

  void come(const AddressKey& from, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      if (!pacer_.has_room()) {
        ++turned_away_;
        continue;
      }
      whose_.push_back(from);
      if (pacer_.admit(from, whose_.size() - 1, rates_, now_ns_)) let_in(whose_.size() - 1);
    }
  }
  void pass_time(uint64_t ns) {
    now_ns_ += ns;
    while (auto id = pacer_.next(rates_, now_ns_)) let_in(*id);
  }
  unsigned in(const AddressKey& from) { return in_[from.bytes]; }
  unsigned in() const { return unsigned(ids_.size()); }
  const std::vector<uint64_t>& ids() const { return ids_; }
  unsigned turned_away() const { return turned_away_; }
  void set_rates(const ebpf::AdmissionRates& rates) { rates_ = ebpf::limits_of(rates); }
  const admission_rates& rates() const { return rates_; }
  uint64_t wait_ms() const { return pacer_.wait_ms(rates_, now_ns_); }

 private:
  void let_in(uint64_t id) {
    ids_.push_back(id);
    ++in_[whose_[id].bytes];
  }
  AcceptPacer& pacer_;
  admission_rates rates_;
  uint64_t now_ns_ = 100 * kSecondNs;
  std::vector<AddressKey> whose_;
  std::vector<uint64_t> ids_;
  std::map<std::array<unsigned char, 9>, unsigned> in_;
  unsigned turned_away_ = 0;
};

TEST(AcceptPacer, without_a_rate_nobody_waits) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {});
  crowd.come(v4(1), 5000);
  EXPECT_EQ(crowd.in(), 5000u);
  EXPECT_EQ(crowd.wait_ms(), 0u);
}

TEST(AcceptPacer, lets_a_burst_in_and_then_the_rate_in_order) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 100, .burst = 20, .prefix_percent = 100});
  crowd.come(v4(1), 100);
  EXPECT_EQ(crowd.in(), 20u);
  EXPECT_EQ(pacer.held(), 80u);
  EXPECT_EQ(crowd.wait_ms(), 10u);
  crowd.pass_time(9 * kMillisecondNs);
  EXPECT_EQ(crowd.in(), 20u);
  crowd.pass_time(kMillisecondNs);
  EXPECT_EQ(crowd.in(), 21u);
  for (int i = 0; i < 79; ++i) crowd.pass_time(10 * kMillisecondNs);
  EXPECT_EQ(crowd.in(), 100u);
  EXPECT_EQ(crowd.wait_ms(), 0u);
  EXPECT_TRUE(std::ranges::is_sorted(crowd.ids()));
}

TEST(AcceptPacer, holds_no_more_than_its_bound) {
  AcceptPacer pacer(50);
  Crowd crowd(pacer, {.per_second = 100, .burst = 20, .prefix_percent = 100});
  crowd.come(v4(1), 1000);
  EXPECT_EQ(crowd.in(), 20u);
  EXPECT_EQ(pacer.held(), 50u);
  EXPECT_EQ(crowd.turned_away(), 930u) << "left in the kernel's queue";
  crowd.pass_time(100 * kMillisecondNs);
  EXPECT_TRUE(pacer.has_room());
}

TEST(AcceptPacer, prefixes_take_turns_however_much_one_of_them_wants) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 1000, .burst = 10, .prefix_percent = 10});
  crowd.come(v4(1), 900);
  for (uint8_t other = 2; other < 12; ++other) crowd.come(v4(other), 10);
  for (int i = 0; i < 120; ++i) crowd.pass_time(kMillisecondNs);
  for (uint8_t other = 2; other < 12; ++other) EXPECT_EQ(crowd.in(v4(other)), 10u) << int(other);
  EXPECT_LE(crowd.in(), 120u + 10u);
}

TEST(AcceptPacer, who_is_alone_gets_the_whole_rate) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 1000, .burst = 100, .prefix_percent = 10});
  for (int i = 0; i < 10'000; ++i) {
    crowd.come(v4(1), 2);
    crowd.pass_time(kMillisecondNs);
  }
  EXPECT_GE(crowd.in(), 10'000u);
  EXPECT_LE(crowd.in(), 10'000u + 100u);
}

TEST(AcceptPacer, a_prefix_is_a_24_or_a_48) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 10, .burst = 10, .prefix_percent = 10});
  crowd.come(v4(1, 1), 1);
  crowd.come(v4(1, 250), 1);
  crowd.come(v6(1, 1), 1);
  crowd.come(v6(1, 2), 1);
  crowd.come(v6(2, 1), 1);
  EXPECT_EQ(pacer.counters()[ADMISSION_WITHIN], 3u);
  EXPECT_EQ(pacer.counters()[ADMISSION_OVER], 2u);
}

TEST(AcceptPacer, a_rate_that_is_lifted_frees_those_who_wait) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 1, .burst = 2, .prefix_percent = 100});
  crowd.come(v4(1), 100);
  EXPECT_EQ(crowd.in(), 2u);
  crowd.set_rates({});
  crowd.pass_time(0);
  EXPECT_EQ(crowd.in(), 100u);
  EXPECT_EQ(pacer.held(), 0u);
}

TEST(AcceptPacer, after_slow_rates_nobody_waits_longer_than_for_the_new_ones) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 1, .burst = 100, .prefix_percent = 100});
  crowd.come(v4(1), 150);
  EXPECT_EQ(crowd.in(), 100u);
  crowd.set_rates({.per_second = 1000, .burst = 10, .prefix_percent = 100});
  crowd.pass_time(0);
  // A prefix's bucket is settled when it is looked at, which is when there is a token for anybody.
  for (int i = 0; i < 51; ++i) crowd.pass_time(kMillisecondNs);
  EXPECT_EQ(crowd.in(), 150u);
}

TEST(AcceptPacer, forgets_the_prefix_that_was_quiet_for_longest) {
  AcceptPacer pacer(1000, 3);
  Crowd crowd(pacer, {.per_second = 100, .burst = 100, .prefix_percent = 1});
  for (uint8_t who : {1, 2, 3, 1, 4, 1}) crowd.come(v4(who), 1);
  EXPECT_EQ(pacer.counters()[ADMISSION_OVER], 2u) << "1 is remembered";
  crowd.come(v4(2), 1);
  EXPECT_EQ(pacer.counters()[ADMISSION_OVER], 2u) << "2 is not";
}

TEST(AcceptPacer, a_turn_that_was_not_needed_is_the_next_one_s) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 1, .burst = 2, .prefix_percent = 100});
  crowd.come(v4(1), 2);
  crowd.come(v4(2), 2);
  crowd.pass_time(0);
  EXPECT_EQ(crowd.in(v4(2)), 0u) << "nothing is left";
  pacer.give_back(crowd.rates());
  crowd.pass_time(0);
  EXPECT_EQ(crowd.in(v4(2)), 1u);
}

TEST(AcceptPacer, who_is_held_back_waits_although_there_are_tokens) {
  AcceptPacer pacer;
  pacer.hold_back(v4(1), 7);
  EXPECT_EQ(pacer.held(), 1u);
  const admission_rates rates =
      ebpf::limits_of({.per_second = 10, .burst = 10, .prefix_percent = 100});
  EXPECT_EQ(pacer.next(rates, kMillisecondNs), 7u);
}

TEST(AcceptPacer, at_the_end_gives_up_all_that_it_holds) {
  AcceptPacer pacer;
  Crowd crowd(pacer, {.per_second = 1, .burst = 2, .prefix_percent = 100});
  crowd.come(v4(1), 5);
  crowd.come(v4(2), 5);
  unsigned given = 0;
  while (pacer.next_unpaced()) ++given;
  EXPECT_EQ(given, 8u);
  EXPECT_EQ(pacer.held(), 0u);
}

}  // namespace
}  // namespace dormouse::login
