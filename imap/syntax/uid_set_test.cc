#include "imap/syntax/uid_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace dormouse::imap {
namespace {

std::string normal(std::string_view text) {
  auto set = UidSet::parse(text);
  return set ? set->format() : "error: " + set.error().message;
}

TEST(UidSet, ParsesSortsAndJoins) {
  EXPECT_EQ(normal("7,1:3"), "1:3,7");
  EXPECT_EQ(normal("4,3,2,1"), "1:4");
  EXPECT_EQ(normal("5:2"), "2:5");
  EXPECT_EQ(normal("1:4,2:3,9,8:10"), "1:4,8:10");
  EXPECT_EQ(normal("4294967295,1:4294967294"), "1:4294967295");
}

TEST(UidSet, RefusesWhatIsNoSet) {
  for (const char* text : {"", "0", "01", "1,", ",1", "1:", ":1", "1::2", "a", "*", "$", "1:*",
                           "4294967296", "99999999999999999999", "1 ", "-1", "1:0"}) {
    EXPECT_FALSE(UidSet::parse(text)) << text;
  }
}

TEST(UidSet, BoundsItsRanges) {
  EXPECT_TRUE(UidSet::parse("1,3,5", 3));
  auto set = UidSet::parse("1,3,5,7", 3);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().kind, ErrorKind::kLimit);
}

TEST(UidSet, AgreesWithASetOfNumbersOnRandomOperations) {
  std::mt19937 random(1);  // always the same operations
  UidSet set;
  std::set<std::uint32_t> model;
  for (int i = 0; i < 5000; ++i) {
    std::uint32_t first = random() % 60 + 1;
    std::uint32_t last = first + random() % 5;
    if (random() % 5 == 0) {
      UidSet other;
      for (std::uint32_t n = first; n <= last + 10; n += 3) other.add(n);
      bool add = random() % 2 == 0;
      add ? set.add(other) : set.remove(other);
      for (std::uint32_t n = first; n <= last + 10; n += 3)
        add ? void(model.insert(n)) : void(model.erase(n));
    } else if (random() % 2 == 0) {
      set.add(UidRange{first, last});
      for (auto n = first; n <= last; ++n) model.insert(n);
    } else {
      set.remove(UidRange{first, last});
      for (auto n = first; n <= last; ++n) model.erase(n);
    }
    std::vector<std::uint32_t> numbers;
    set.each([&](std::uint32_t n) { return numbers.push_back(n), true; });
    ASSERT_EQ(numbers, std::vector<std::uint32_t>(model.begin(), model.end())) << "step " << i;
    ASSERT_EQ(set.count(), model.size());
    for (std::uint32_t n = 1; n < 80; ++n) ASSERT_EQ(set.contains(n), model.contains(n));
    for (std::size_t r = 1; r < set.ranges().size(); ++r) {
      ASSERT_GT(set.ranges()[r].first, set.ranges()[r - 1].last + 1) << "ranges touch";
    }
    if (!set.empty()) {
      ASSERT_EQ(UidSet::parse(set.format()).value(), set);
    }
  }
}

TEST(UidSet, IntersectKeepsWhatIsInBoth) {
  auto a = UidSet::parse("1:10,20:30").value();
  auto b = UidSet::parse("5:25,30,40").value();
  EXPECT_EQ(a.intersect(b).format(), "5:10,20:25,30");
  EXPECT_TRUE(a.intersect(UidSet{}).empty());
}

TEST(UidSet, TakesTheLastNumberThereIs) {
  UidSet set;
  set.add(4294967295U);
  set.add(4294967294U);
  EXPECT_EQ(set.format(), "4294967294:4294967295");
  int calls = 0;
  set.each([&](std::uint32_t) { return ++calls, true; });
  EXPECT_EQ(calls, 2);
  set.remove(4294967295U);
  EXPECT_EQ(set.format(), "4294967294");
}

TEST(SequenceSet, AStarIsTheHighestNumber) {
  auto set = SequenceSet::parse("*,1:2,4:*").value();
  EXPECT_TRUE(set.has_star());
  EXPECT_EQ(set.resolve(5).format(), "1:2,4:5");
  EXPECT_EQ(set.resolve(3).format(), "1:4") << "4:* holds the highest number even below 4";
  EXPECT_EQ(set.resolve(0).format(), "1:2") << "an empty mailbox has no highest number";
}

TEST(SequenceSet, ADollarIsTheSavedResult) {
  auto set = SequenceSet::parse("$").value();
  auto saved = UidSet::parse("3,9").value();
  EXPECT_EQ(set.resolve(10, &saved).format(), "3,9");
  EXPECT_TRUE(set.resolve(10).empty());
  EXPECT_FALSE(SequenceSet::parse("$,1"));
  EXPECT_FALSE(SequenceSet::parse("1,$"));
}

TEST(UidSet, GivesASliceOfItsNumbers) {
  auto set = UidSet::parse("2:4,9,20:22").value();
  EXPECT_EQ(set.slice(0, 7), set);
  EXPECT_EQ(set.slice(1, 5).format(), "3:4,9,20");
  EXPECT_EQ(set.slice(3, 4).format(), "9");
  EXPECT_EQ(set.slice(6, 100).format(), "22");
  EXPECT_TRUE(set.slice(7, 100).empty());
  EXPECT_TRUE(set.slice(3, 3).empty());
  EXPECT_TRUE(set.slice(4, 2).empty());
  UidSet all;
  all.add(UidRange{1, UINT32_MAX});
  EXPECT_EQ(all.slice(4294967290, UINT64_MAX).format(), "4294967291:4294967295");
}

}  // namespace
}  // namespace dormouse::imap
