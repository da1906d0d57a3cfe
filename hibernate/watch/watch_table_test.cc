#include "hibernate/watch/watch_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace dormouse::hibernate {
namespace {

using Subscription = std::pair<uint16_t, uint32_t>;

std::vector<Subscription> of(const WatchTable& table, DirectoryKey key) {
  std::vector<Subscription> found;
  table.for_each(key,
                 [&](const WatchTable::Wanted& who) { found.emplace_back(who.den, who.watch); });
  std::ranges::sort(found);
  return found;
}

TEST(WatchTable, directories_follow_one_another_as_they_were_named_however_often_it_grows) {
  WatchTable table;
  std::vector<DirectoryKey> unused;
  const std::vector<DirectoryKey> keys = {10, 20, 30, 40};
  ASSERT_TRUE(table.subscribe(1, 7, keys, unused));
  auto one = [&](DirectoryKey key) {
    WatchTable::Wanted found;
    table.for_each(key, [&](const WatchTable::Wanted& who) { found = who; });
    return found;
  };
  for (uint32_t grown = 0; grown < 5; ++grown) {
    for (DirectoryKey first : keys) {
      for (DirectoryKey second : keys) {
        EXPECT_EQ(one(second).follows(one(first)), second == first + 10) << first << " " << second;
      }
    }
    for (uint32_t i = 0; i < (100u << grown); ++i) {
      std::vector<DirectoryKey> other = {1000 + 2 * i, 1001 + 2 * i};
      ASSERT_TRUE(table.subscribe(2, grown << 16 | i, other, unused));
    }
  }
}

TEST(WatchTable, agrees_with_a_multimap_through_growth_removal_and_lost_dens) {
  std::mt19937 random(5);
  WatchTable table;
  std::multimap<DirectoryKey, Subscription> model;
  std::map<Subscription, std::set<DirectoryKey>> keys_of;
  auto forget = [&](Subscription subscription) {
    for (DirectoryKey key : keys_of[subscription]) {
      auto [from, to] = model.equal_range(key);
      model.erase(std::find_if(from, to, [&](auto& e) { return e.second == subscription; }));
    }
    keys_of.erase(subscription);
  };
  for (int i = 0; i < 60'000; ++i) {
    Subscription subscription{uint16_t(random() % 5), random() % 3000};
    auto before = keys_of.contains(subscription) ? keys_of[subscription] : std::set<DirectoryKey>();
    std::vector<DirectoryKey> unused;
    std::set<DirectoryKey> keys;
    if (random() % 5000 == 0) {
      std::set<DirectoryKey> touched;
      for (auto it = keys_of.begin(); it != keys_of.end();) {
        auto each = it++;
        if (each->first.first != subscription.first) continue;
        touched.insert(each->second.begin(), each->second.end());
        forget(Subscription(each->first));
      }
      table.drop_den(subscription.first, unused);
      std::set<DirectoryKey> expected;
      for (auto key : touched) {
        if (!model.contains(key)) expected.insert(key);
      }
      ASSERT_EQ(std::set<DirectoryKey>(unused.begin(), unused.end()), expected);
    } else if (random() % 3 == 0) {
      ASSERT_EQ(table.unsubscribe(subscription.first, subscription.second, unused),
                keys_of.contains(subscription));
      forget(subscription);
    } else {
      for (uint32_t n = random() % 4; n > 0; --n) keys.insert(1 + random() % 4000);
      std::vector<DirectoryKey> list(keys.begin(), keys.end());
      ASSERT_TRUE(table.subscribe(subscription.first, subscription.second, list, unused));
      forget(subscription);
      if (!keys.empty()) keys_of[subscription] = keys;
      for (DirectoryKey key : keys) model.emplace(key, subscription);
    }
    for (DirectoryKey key : before) {
      ASSERT_EQ(std::ranges::count(unused, key) > 0, !model.contains(key)) << key;
    }
    ASSERT_EQ(table.directories(), model.size());
    ASSERT_EQ(table.subscriptions(), keys_of.size());
    DirectoryKey probe = 1 + random() % 4000;
    std::vector<Subscription> expected;
    auto [from, to] = model.equal_range(probe);
    for (auto it = from; it != to; ++it) expected.push_back(it->second);
    std::ranges::sort(expected);
    ASSERT_EQ(of(table, probe), expected);
  }
}

TEST(WatchTable, costs_at_most_24_bytes_per_directory_of_large_tables) {
  WatchTable table;
  std::mt19937_64 random(6);
  std::vector<DirectoryKey> unused;
  double worst = 0;
  for (uint32_t watch = 0; watch < 150'000; ++watch) {
    DirectoryKey keys[2] = {(random() & kKeyMask) | 1, (random() & kKeyMask) | 1};
    ASSERT_TRUE(table.subscribe(uint16_t(watch % 50), watch, keys, unused));
    if (watch >= 1000) worst = std::max(worst, double(table.bytes()) / double(table.directories()));
  }
  RecordProperty("bytes_per_directory_worst", std::to_string(worst));
  EXPECT_LE(worst, 24.0);
}

TEST(WatchTable, refuses_beyond_its_bound_and_stays_as_it_was) {
  WatchTable table(4);
  std::vector<DirectoryKey> unused;
  DirectoryKey first[] = {1, 2, 3};
  DirectoryKey second[] = {3, 4};
  ASSERT_TRUE(table.subscribe(0, 1, first, unused));
  auto refused = table.subscribe(0, 2, second, unused);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kLimit);
  EXPECT_EQ(table.directories(), 3u);
  EXPECT_FALSE(table.wanted(4));
}

}  // namespace
}  // namespace dormouse::hibernate
