#include "auth/success_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace dormouse::auth {
namespace {

SuccessCache make(size_t entries_max, uint64_t ttl_ms) {
  auto cache = SuccessCache::create(entries_max, ttl_ms);
  EXPECT_TRUE(cache);
  return *std::move(cache);
}

TEST(SuccessCache, knows_a_pair_until_its_time_is_over) {
  auto cache = make(10, 1000);
  auto digest = cache.digest("anna", "secret");
  EXPECT_FALSE(cache.contains(digest, 0));
  cache.insert(digest, 0);
  EXPECT_TRUE(cache.contains(digest, 999));
  EXPECT_FALSE(cache.contains(digest, 1000));
  cache.insert(digest, 1000);
  EXPECT_TRUE(cache.contains(digest, 1999));
}

TEST(SuccessCache, where_the_name_ends_matters) {
  auto cache = make(10, 1000);
  EXPECT_NE(cache.digest("anna", "secret"), cache.digest("annas", "ecret"));
  EXPECT_NE(cache.digest("anna", "secret"), cache.digest("anna", "secreu"));
}

TEST(SuccessCache, two_caches_have_different_keys) {
  EXPECT_NE(make(1, 1).digest("anna", "secret"), make(1, 1).digest("anna", "secret"));
}

TEST(SuccessCache, the_oldest_leaves_when_the_bound_is_reached) {
  auto cache = make(3, 1000);
  for (char c = 'a'; c <= 'e'; ++c) cache.insert(cache.digest(std::string(1, c), "x"), 0);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_FALSE(cache.contains(cache.digest("b", "x"), 1));
  EXPECT_TRUE(cache.contains(cache.digest("c", "x"), 1));
  EXPECT_TRUE(cache.contains(cache.digest("e", "x"), 1));
}

TEST(SuccessCache, clear_forgets_all) {
  auto cache = make(3, 1000);
  cache.insert(cache.digest("a", "x"), 0);
  cache.clear();
  EXPECT_FALSE(cache.contains(cache.digest("a", "x"), 0));
  cache.insert(cache.digest("a", "x"), 0);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(SuccessCache, a_bound_of_nothing_keeps_nothing) {
  auto cache = make(0, 1000);
  cache.insert(cache.digest("a", "x"), 0);
  EXPECT_EQ(cache.size(), 0u);
}

}  // namespace
}  // namespace dormouse::auth
