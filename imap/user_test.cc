// What sessions of one user share, and what is kept of users who have gone.

#include "imap/user.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

constexpr size_t kDevices = 10;

io::Task<void> refresh_counted(Client* client, size_t* refreshed) {
  co_await client->refresh();
  ++*refreshed;
}

io::Task<void> ten_devices(Household* home, io::Scope* scope) {
  std::vector<Client*> devices;
  for (size_t i = 0; i < kDevices; ++i) {
    Client& device = home->client(*scope, fmt::format("device-{}", i));
    devices.push_back(&device);
    device.log_in();
    co_await device.take_until("l0 ");
    co_await device.command("SELECT INBOX");
    device.send("i IDLE\r\n");
    co_await device.take_until("+ ");
    bool parked = co_await device.parked();
    EXPECT_TRUE(parked);
  }
  auto store = home->user().store();
  EXPECT_TRUE(store);
  auto inbox = (*store)->open_mailbox("INBOX");
  EXPECT_TRUE(inbox);
  uint64_t before = home->user().syncs(*inbox);
  home->deliver("INBOX", "Subject: one\n\nx\n");
  size_t refreshed = 0;
  for (Client* device : devices) scope->spawn(refresh_counted(device, &refreshed));
  while (refreshed < kDevices && !::testing::Test::HasFailure()) {
    auto slept = co_await home->loop().sleep(1);
    EXPECT_TRUE(slept);
  }
  EXPECT_EQ(home->user().syncs(*inbox), before + 1);
  for (Client* device : devices) {
    EXPECT_TRUE(device->is_parked());
    std::string told = co_await device->take_until("* 1 EXISTS");
  }
}

TEST(User, ten_devices_refreshed_at_once_share_one_sync) { play(ten_devices); }

// --- The cache of stores.

class UserCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/dormouse-users-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    auto loop = io::Loop::create();
    ASSERT_TRUE(loop);
    loop_ = std::move(*loop);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void make_cache(UserCache::IdleMax idle_max) {
    cache_ = std::make_unique<UserCache>(*loop_, false, idle_max);
  }
  // A user who comes and has the store opened.
  User* come(const std::string& name) {
    wire::Identity identity;
    identity.set_user(name);
    identity.set_home(directory_ + "/" + name);
    std::filesystem::create_directories(identity.home());
    auto user = cache_->acquire(identity);
    EXPECT_TRUE(user);
    EXPECT_TRUE((*user)->store());
    return *user;
  }
  std::string log_of(const std::string& name) const {
    return directory_ + "/" + name + "/Maildir/dormouse.index-wal";
  }
  // Other mail than a short log holds.
  static void work(User* user, int mailboxes) {
    auto store = user->store();
    ASSERT_TRUE(store);
    for (int i = 0; i < mailboxes; ++i) {
      auto made = (*store)->create(fmt::format("mailbox-{}", i));
      EXPECT_TRUE(made);
    }
  }

  // A round of it. True: there was something to do.
  bool tidy(bool nobody_awake) {
    UserCache::Tidied round;
    bool any = false;
    while (cache_->tidy(nobody_awake, &round)) any = true;
    return any;
  }

  std::string directory_;
  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<UserCache> cache_;
};

TEST_F(UserCacheTest, a_store_at_rest_has_given_its_caches_back_and_its_long_log) {
  make_cache({.users = 10, .bytes = 1u << 30, .rest_after_ms = 0, .close_after_ms = 1'000'000});
  User* user = come("ada");
  work(user, 40);
  auto log_bytes = std::filesystem::file_size(log_of("ada"));
  ASSERT_GT(log_bytes, 300'000u);
  EXPECT_FALSE(tidy(true)) << "a session is here";
  EXPECT_EQ(std::filesystem::file_size(log_of("ada")), log_bytes);
  EXPECT_EQ(cache_->idle_bytes(), 0u);
  cache_->release(user);
  uint64_t busy_bytes = cache_->idle_bytes();
  EXPECT_GT(busy_bytes, 0u);
  EXPECT_TRUE(tidy(false));
  EXPECT_LT(cache_->idle_bytes(), busy_bytes);
  EXPECT_EQ(std::filesystem::file_size(log_of("ada")), 0u);
  EXPECT_EQ(cache_->users(), 1u);
  EXPECT_FALSE(tidy(false)) << "nothing is left to do";
  // Whoever comes finds the store as it was.
  User* again = come("ada");
  EXPECT_EQ(again, user);
  EXPECT_EQ(cache_->idle_bytes(), 0u);
  auto store = again->store();
  ASSERT_TRUE(store);
  EXPECT_TRUE((*store)->open_mailbox("mailbox-39"));
  cache_->release(again);
  EXPECT_TRUE(tidy(false)) << "it was used since";
}

TEST_F(UserCacheTest, stores_are_closed_once_nobody_is_awake) {
  make_cache({.users = 10, .bytes = 1u << 30, .rest_after_ms = 0, .close_after_ms = 0});
  User* ada = come("ada");
  User* bob = come("bob");
  cache_->release(ada);
  tidy(false);
  EXPECT_EQ(cache_->users(), 2u);
  EXPECT_TRUE(tidy(true));
  EXPECT_EQ(cache_->users(), 1u) << "bob is here";
  cache_->release(bob);
  EXPECT_TRUE(tidy(true));
  EXPECT_EQ(cache_->users(), 0u);
  EXPECT_EQ(cache_->idle_bytes(), 0u);
  EXPECT_FALSE(tidy(true));
}

TEST_F(UserCacheTest, tidies_one_store_at_a_time) {
  make_cache({.users = 10, .bytes = 1u << 30, .rest_after_ms = 0, .close_after_ms = 0});
  for (const char* name : {"ada", "bob", "cy"}) cache_->release(come(name));
  UserCache::Tidied round;
  for (size_t left : {2u, 1u, 0u}) {
    EXPECT_TRUE(cache_->tidy(true, &round));
    EXPECT_EQ(cache_->users(), left);
  }
  EXPECT_FALSE(cache_->tidy(true, &round));
  EXPECT_EQ(round.closed, 3u);
}

TEST_F(UserCacheTest, the_store_used_longest_ago_goes_first_by_count) {
  make_cache({.users = 2, .bytes = 1u << 30});
  for (const char* name : {"ada", "bob", "cy"}) cache_->release(come(name));
  EXPECT_EQ(cache_->users(), 2u);
  User* bob = come("bob");
  EXPECT_EQ(cache_->users(), 2u) << "bob's was kept";
  come("ada");
  EXPECT_EQ(cache_->users(), 3u) << "ada's was not";
  cache_->release(bob);
}

TEST_F(UserCacheTest, under_pressure_stores_that_nobody_uses_are_closed_and_the_others_shrink) {
  make_cache({.users = 10, .bytes = 1u << 30});
  User* ada = come("ada");
  work(ada, 40);
  for (const char* name : {"bob", "cy", "dee"}) cache_->release(come(name));
  EXPECT_EQ(cache_->users(), 4u);
  uint64_t busy_bytes = (*ada->store())->memory_bytes();
  cache_->set_bytes_max(0);
  EXPECT_TRUE(tidy(false));
  EXPECT_EQ(cache_->users(), 1u) << "ada is here";
  EXPECT_LT((*ada->store())->memory_bytes(), busy_bytes);
  EXPECT_TRUE((*ada->store())->open_mailbox("mailbox-39"));
  cache_->release(ada);
  EXPECT_EQ(cache_->users(), 0u) << "nobody's is kept";
  cache_->set_bytes_max(1u << 30);
  cache_->release(come("bob"));
  EXPECT_EQ(cache_->users(), 1u);
}

TEST_F(UserCacheTest, stores_are_kept_by_what_they_hold) {
  make_cache({.users = 10, .bytes = 1u << 30});
  cache_->release(come("ada"));
  uint64_t one_bytes = cache_->idle_bytes();
  make_cache({.users = 10, .bytes = 3 * one_bytes});
  for (const char* name : {"ada", "bob", "cy", "dee"}) cache_->release(come(name));
  EXPECT_LE(cache_->idle_bytes(), 3 * one_bytes);
  EXPECT_GE(cache_->users(), 2u);
  EXPECT_LT(cache_->users(), 4u);
}

}  // namespace
}  // namespace dormouse::imap
