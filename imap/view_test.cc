#include "imap/view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace dormouse::imap {
namespace {

std::vector<uint32_t> numbers(const UidSet& set) {
  std::vector<uint32_t> all;
  set.each([&](uint32_t number) {
    all.push_back(number);
    return true;
  });
  return all;
}

SequenceSet parse(std::string_view text) {
  auto set = SequenceSet::parse(text);
  EXPECT_TRUE(set);
  return *set;
}

TEST(View, numbers_messages_by_position) {
  View view(std::vector<uint32_t>{3, 4, 5, 9, 20, 21});
  EXPECT_EQ(view.exists(), 6u);
  EXPECT_EQ(view.last_uid(), 21u);
  EXPECT_EQ(view.uid_of(1), 3u);
  EXPECT_EQ(view.uid_of(4), 9u);
  EXPECT_EQ(view.uid_of(6), 21u);
  EXPECT_EQ(view.uid_of(0), std::nullopt);
  EXPECT_EQ(view.uid_of(7), std::nullopt);
  EXPECT_EQ(view.sequence_of(20), 5u);
  EXPECT_EQ(view.sequence_of(8), std::nullopt);
  EXPECT_EQ(view.sequence_of(22), std::nullopt);
}

TEST(View, holds_expunged_messages_until_they_are_reported) {
  View view(std::vector<uint32_t>{1, 2, 3, 4});
  view.mark_expunged(2);
  view.mark_expunged(99);
  EXPECT_EQ(view.exists(), 4u);
  EXPECT_EQ(view.sequence_of(3), 3u);
  auto gone = view.take_unreported();
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].uid, 2u);
  EXPECT_EQ(gone[0].sequence_number, 2u);
  EXPECT_EQ(view.exists(), 3u);
  EXPECT_EQ(view.sequence_of(3), 2u);
  EXPECT_TRUE(view.unreported().empty());
}

TEST(View, commands_do_not_touch_expunged_messages) {
  View view(std::vector<uint32_t>{1, 2, 3});
  view.mark_expunged(2);
  EXPECT_EQ(view.next(view.resolve(parse("1:*"), false, {}), 0, 10), (std::vector<uint32_t>{1, 3}));
  EXPECT_EQ(view.next(view.resolve(parse("1:*"), false, {}), 1, 10), (std::vector<uint32_t>{3}));
}

TEST(View, resolves_stars_ranges_and_saved_results) {
  View view(std::vector<uint32_t>{10, 11, 20, 30});
  UidSet saved{11, 30, 31};
  EXPECT_EQ(numbers(view.resolve(parse("2:3"), false, saved)), (std::vector<uint32_t>{11, 20}));
  EXPECT_EQ(numbers(view.resolve(parse("*"), false, saved)), (std::vector<uint32_t>{30}));
  EXPECT_EQ(numbers(view.resolve(parse("15:*"), true, saved)), (std::vector<uint32_t>{20, 30}));
  EXPECT_EQ(numbers(view.resolve(parse("40:*"), true, saved)), (std::vector<uint32_t>{30}));
  EXPECT_EQ(numbers(view.resolve(parse("$"), false, saved)), (std::vector<uint32_t>{11, 30}));
  EXPECT_EQ(view.sequences(UidSet{11, 30}).format(), "2,4");
}

TEST(View, coarse_sets_hold_the_same_messages) {
  View view(std::vector<uint32_t>{1, 5, 9, 10, 20});
  UidSet coarse = view.coarsen(UidSet{5, 9, 10, 20});
  EXPECT_EQ(coarse.format(), "5:20");
  EXPECT_EQ(view.coarsen(UidSet{1, 9}).format(), "1,9");
  EXPECT_EQ(view.intersect(coarse), view.intersect(UidSet{5, 9, 10, 20}));
}

TEST(View, agrees_with_a_plain_list) {
  std::mt19937 random(7);
  auto below = [&](uint32_t bound) { return uint32_t(random() % bound); };
  for (int round = 0; round < 200; ++round) {
    std::vector<uint32_t> list;
    View view;
    uint32_t uid = 0;
    for (int step = 0; step < 100; ++step) {
      if (list.empty() || below(3) != 0) {
        uid += 1 + below(3);
        view.append(uid);
        list.push_back(uid);
      } else {
        for (uint32_t i = 1 + below(4); i > 0; --i) view.mark_expunged(list[below(list.size())]);
        auto gone = view.take_unreported();
        for (auto entry = gone.rbegin(); entry != gone.rend(); ++entry) {
          ASSERT_EQ(list.at(entry->sequence_number - 1), entry->uid);
          list.erase(list.begin() + entry->sequence_number - 1);
        }
      }
      ASSERT_EQ(view.exists(), list.size());
      for (uint32_t n = 1; n <= list.size(); ++n) {
        ASSERT_EQ(view.uid_of(n), list[n - 1]);
        ASSERT_EQ(view.sequence_of(list[n - 1]), n);
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::imap
