// Counts, users, addresses, grants, cookies.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <map>
#include <random>
#include <set>

#include "tracker/address_table.h"
#include "tracker/cookie.h"
#include "tracker/den_slots.h"
#include "tracker/grant_table.h"
#include "tracker/user_table.h"

namespace dormouse::tracker {
namespace {

bool any(DenCounts::Slot) { return true; }

TEST(DenCounts, agrees_with_a_map_of_slots) {
  std::mt19937 random(1);
  DenCounts counts;
  std::map<DenCounts::Slot, uint32_t> model;
  for (int i = 0; i < 20'000; ++i) {
    auto slot = DenCounts::Slot(random() % 6);
    if (random() % 2 == 0) {
      uint32_t sessions = 1 + random() % 3;
      counts.add(slot, sessions);
      model[slot] += sessions;
    } else if (random() % 50 == 0) {
      counts.drop([slot](DenCounts::Slot other) { return other == slot; });
      model.erase(slot);
    } else {
      ASSERT_EQ(counts.subtract(slot), model[slot] > 0);
      if (model[slot] > 0) --model[slot];
    }
    uint64_t total = 0, even = 0;
    for (auto [s, n] : model) total += n, even += s % 2 == 0 ? n : 0;
    ASSERT_EQ(counts.sum(any), total);
    ASSERT_EQ(counts.sum([](DenCounts::Slot s) { return s % 2 == 0; }), even);
    ASSERT_EQ(counts.empty(), total == 0);
  }
}

wire::Identity identity_of(const std::string& user, const std::string& home) {
  wire::Identity identity;
  identity.set_user(user);
  identity.set_uid(1000);
  identity.set_gid(1001);
  identity.set_home(home);
  return identity;
}

TEST(PathTemplates, users_of_one_pattern_share_it_and_get_their_own_path_back) {
  PathTemplates templates;
  auto a = templates.add("/srv/mail/example.org/alice/", "alice@example.org");
  auto b = templates.add("/srv/mail/example.com/bob/", "bob@example.com");
  EXPECT_EQ(a, b);
  EXPECT_EQ(templates.expand(a, "alice@example.org"), "/srv/mail/example.org/alice/");
  EXPECT_EQ(templates.expand(a, "bob@example.com"), "/srv/mail/example.com/bob/");
  auto whole = templates.add("/home/alice", "alice");
  EXPECT_EQ(templates.expand(whole, "bob"), "/home/bob");
  EXPECT_EQ(templates.expand(templates.add("", "x"), "x"), "");
  EXPECT_EQ(templates.expand(templates.add("/a//a/b", "a"), "a"), "/a//a/b");
}

TEST(UserTable, agrees_with_a_map_through_growth_and_removal) {
  std::mt19937 random(2);
  UserTable table;
  std::set<std::string> model;
  for (int i = 0; i < 60'000; ++i) {
    std::string name = fmt::format("user{}@example.org", random() % 9000);
    UserId id = table.find(name);
    ASSERT_EQ(id != kNoUser, model.contains(name)) << name;
    if (random() % 3 != 0) {
      id = table.find_or_add(name);
      if (model.insert(name).second) table.at(id).sessions.add(1, 1);
      ASSERT_EQ(table.name(id), name);
    } else if (id != kNoUser) {
      ASSERT_TRUE(table.at(id).sessions.subtract(1));
      table.remove_if_unused(id);
      model.erase(name);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  for (const auto& name : model) EXPECT_NE(table.find(name), kNoUser) << name;
}

TEST(UserTable, a_user_stays_while_it_has_sessions_or_waits_or_is_awake) {
  UserTable table;
  UserId id = table.find_or_add("alice");
  table.at(id).awake = 1;
  table.remove_if_unused(id);
  EXPECT_NE(table.find("alice"), kNoUser);
  table.at(id).awake = 0;
  table.at(id).waiting = 1;
  table.remove_if_unused(id);
  EXPECT_NE(table.find("alice"), kNoUser);
  table.at(id).waiting = 0;
  table.remove_if_unused(id);
  EXPECT_EQ(table.find("alice"), kNoUser);
  EXPECT_EQ(table.size(), 0u);
}

TEST(UserTable, gives_back_the_identity_even_when_paths_follow_no_pattern) {
  UserTable table;
  for (uint32_t i = 0; i < PathTemplates::kMax + 100; ++i) {
    std::string user = fmt::format("u{}", i);
    UserId id = table.find_or_add(user);
    table.set_identity(id, identity_of(user, fmt::format("/odd/{}x", i)));
  }
  for (uint32_t i : {0u, 70u, uint32_t(PathTemplates::kMax) + 50}) {
    UserId id = table.find(fmt::format("u{}", i));
    ASSERT_NE(id, kNoUser);
    auto identity = table.identity(id);
    EXPECT_EQ(identity.home(), fmt::format("/odd/{}x", i));
    EXPECT_EQ(identity.uid(), 1000u);
    EXPECT_EQ(identity.gid(), 1001u);
    EXPECT_EQ(identity.mail_path(), "");
  }
}

// The figure of docs/tracker.md: both what the table says of itself and what the allocator gave.
TEST(UserTable, a_million_users_cost_less_than_120_bytes_each) {
  constexpr uint32_t kUsers = 1'000'000;
  size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  UserTable table;
  for (uint32_t i = 0; i < kUsers; ++i) {
    std::string user = fmt::format("user{:07}@example.org", i);
    UserId id = table.find_or_add(user);
    table.set_identity(id, identity_of(user, "/srv/mail/example.org/" + user.substr(0, 11)));
    table.at(id).sessions.add(DenCounts::Slot(i % 50), 1);
  }
  double own = double(table.bytes()) / kUsers;
  size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  RecordProperty("table_bytes_per_user", fmt::format("{:.1f}", own));
  fmt::print("bytes per user: {:.1f} by the table's account, {:.1f} by malloc's\n", own,
             double(after - before) / kUsers);
  EXPECT_LT(own, 120.0);
}

TEST(AddressTable, ipv4_counts_by_address_and_ipv6_by_customer) {
  EXPECT_EQ(AddressTable::key("192.0.2.1"), AddressTable::key("::ffff:192.0.2.1"));
  EXPECT_NE(AddressTable::key("192.0.2.1"), AddressTable::key("192.0.2.2"));
  EXPECT_EQ(AddressTable::key("2001:db8:1:2::3"), AddressTable::key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(AddressTable::key("2001:db8:1:2::3"), AddressTable::key("2001:db8:1:3::3"));
  EXPECT_EQ(AddressTable::key("fe80::1%eth0"), AddressTable::key("fe80::1"));
  EXPECT_EQ(AddressTable::key("::1"), AddressTable::key("127.0.0.1"));
  EXPECT_EQ(AddressTable::key("unix"), 0u);
  EXPECT_EQ(AddressTable::key(""), 0u);
}

TEST(AddressTable, agrees_with_a_map_through_growth_and_sweeps) {
  std::mt19937 random(3);
  AddressTable table;
  std::map<std::pair<uint64_t, DenCounts::Slot>, uint32_t> model;
  auto model_sum = [&](uint64_t key) {
    uint64_t total = 0;
    for (DenCounts::Slot slot = 0; slot < 3; ++slot) total += model[{key, slot}];
    return total;
  };
  for (int i = 0; i < 40'000; ++i) {
    uint64_t key = 1 + random() % 5000;
    auto slot = DenCounts::Slot(random() % 3);
    if (random() % 3 != 0) {
      table.add(key, slot, 1);
      ++model[{key, slot}];
    } else {
      ASSERT_EQ(table.subtract(key, slot), (model[{key, slot}] > 0));
      if (model[{key, slot}] > 0) --model[{key, slot}];
    }
    if (i % 10'000 == 9'999) {
      for (size_t place = 0;
           (place = table.sweep(place, 100, [](auto s) { return s == 2; })) != 0;);
      for (auto& [entry, sessions] : model) sessions = entry.second == 2 ? 0 : sessions;
    }
    const DenCounts* counts = table.find(key);
    ASSERT_EQ(counts == nullptr ? 0 : counts->sum(any), model_sum(key));
  }
}

TEST(DenSlots, a_dead_slot_is_given_again_only_after_a_whole_sweep) {
  DenSlots slots;
  auto first = slots.take();
  ASSERT_TRUE(first);
  EXPECT_TRUE(slots.live(*first));
  EXPECT_FALSE(slots.begin_sweep());
  slots.kill(*first);
  EXPECT_FALSE(slots.live(*first));
  EXPECT_TRUE(slots.begin_sweep());
  auto second = slots.take();
  EXPECT_NE(*second, *first);
  slots.kill(*second);  // dead too late for this sweep
  slots.end_sweep();
  EXPECT_EQ(*slots.take(), *first);
  EXPECT_TRUE(slots.begin_sweep());
}

std::string grant_named(char c) { return std::string(wire::kGrantBytes, c); }
Grant grant_for(const std::string& user) { return Grant{identity_of(user, "/h"), {}}; }

TEST(GrantTable, a_grant_is_good_once) {
  GrantTable grants;
  grants.put(grant_named('a'), grant_for("alice"), 0);
  auto claimed = grants.claim(grant_named('a'), 1);
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->identity.user(), "alice");
  EXPECT_FALSE(grants.claim(grant_named('a'), 1));
  EXPECT_FALSE(grants.claim(grant_named('b'), 1));
}

TEST(GrantTable, a_grant_expires) {
  GrantTable grants;
  grants.put(grant_named('a'), grant_for("alice"), 0);
  EXPECT_FALSE(grants.claim(grant_named('a'), GrantTable::kGrantMs));
  grants.put(grant_named('b'), grant_for("bob"), 5);
  grants.expire(5 + GrantTable::kGrantMs);
  EXPECT_EQ(grants.size(), 0u);
}

TEST(GrantTable, when_full_the_oldest_goes) {
  GrantTable grants(2);
  grants.put(grant_named('a'), grant_for("alice"), 0);
  grants.put(grant_named('b'), grant_for("bob"), 1);
  grants.put(grant_named('c'), grant_for("carol"), 2);
  EXPECT_EQ(grants.displaced(), 1u);
  EXPECT_FALSE(grants.claim(grant_named('a'), 3));
  EXPECT_TRUE(grants.claim(grant_named('b'), 3));
  EXPECT_TRUE(grants.claim(grant_named('c'), 3));
}

TEST(Cookie, is_good_for_its_user_session_and_epoch_only) {
  auto key = CookieKey::create(std::string(32, 'k'));
  ASSERT_TRUE(key);
  Cookie cookie = key->make("alice", 7, 1);
  std::string text(cookie.data(), cookie.size());
  EXPECT_TRUE(key->verify(text, "alice", 7, 1));
  EXPECT_FALSE(key->verify(text, "alicf", 7, 1));
  EXPECT_FALSE(key->verify(text, "alice", 8, 1));
  EXPECT_FALSE(key->verify(text, "alice", 7, 2));
  EXPECT_FALSE(key->verify(text.substr(1), "alice", 7, 1));
  auto other = CookieKey::create(std::string(32, 'K'));
  EXPECT_FALSE(other->verify(text, "alice", 7, 1));
  EXPECT_FALSE(CookieKey::create("short"));
}

// HMAC-SHA256(32 x 'k', "dormouse cookie 1\0" 07.. 01000000 "alice"), by Python's hmac module.
TEST(Cookie, is_the_documented_hmac) {
  auto key = CookieKey::create(std::string(32, 'k'));
  Cookie cookie = key->make("alice", 7, 1);
  std::string hex;
  for (char c : cookie) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  EXPECT_EQ(hex, "ad95176860e73e521ff69e4018aa4d06");
}

}  // namespace
}  // namespace dormouse::tracker
