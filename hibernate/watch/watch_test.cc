// The watch among dens that the test plays, on a source that the test feeds through real files
// (inotify) or not at all.

#include "hibernate/watch/watch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "hibernate/watch/test_rig.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::hibernate {
namespace {

using testing::HasSubstr;
using wire::WatchToDen;

io::Task<void> tells(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  io::Channel other = co_await rig->greeted(1);
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a", "b"}));
  EXPECT_TRUE(co_await rig->subscribe(&den, 2, {"c"}));
  EXPECT_TRUE(co_await rig->subscribe(&other, 7, {"b"}));
  rig->touch("b/1");
  auto changed = co_await rig->next(&den);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(1));
  changed = co_await rig->next(&other);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(7));
  // A subscription again replaces the directories; one that is ended is told nothing.
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a"}));
  wire::DenToWatch end;
  end.mutable_unsubscribe()->set_watch(7);
  EXPECT_TRUE(wire::try_send(other, end));
  co_await rig->settle();
  rig->touch("b/2");
  rig->touch("c/1");
  changed = co_await rig->next(&den);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(2));
  EXPECT_EQ(other.try_receive().error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(rig->watch->view(), HasSubstr("directories=2 subscriptions=2"));
}
TEST(Watch, tells_each_den_its_own_watches_and_no_others) { run_with_rig(tells); }
TEST(Watch, tells_each_den_its_own_watches_by_polling) {
  run_with_rig(
      [](Rig* rig) -> io::Task<void> {
        io::Channel den = co_await rig->greeted(0);
        fs::last_write_time(rig->root / "a",
                            fs::file_time_type::clock::now() - std::chrono::hours(1));
        EXPECT_TRUE(co_await rig->subscribe(&den, 3, {"a"}));
        rig->touch("a/1");
        auto changed = co_await rig->next(&den);
        EXPECT_THAT(watches_of(changed), testing::ElementsAre(3));
      },
      "polling");
}

// Dens that take in many sessions at once ask for as many watches.
io::Task<void> tells_before_it_answers(Rig* rig) {
  constexpr uint32_t kDens = 5;
  constexpr uint32_t kEach = 30;
  io::Channel sleepers = co_await rig->greeted(0);
  EXPECT_TRUE(co_await rig->subscribe(&sleepers, 1, {"a"}));
  std::vector<io::Channel> others;
  for (uint32_t i = 1; i <= kDens; ++i) others.push_back(co_await rig->greeted(i));
  for (io::Channel& other : others) {
    for (uint32_t i = 0; i < kEach; ++i) rig->send_subscribe(other, i, {i % 2 == 0 ? "b" : "c"});
  }
  rig->touch("a/1");
  auto changed = co_await rig->next(&sleepers);
  uint32_t answered = 0;
  for (io::Channel& other : others) {
    while (other.try_receive()) ++answered;
  }
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(1));
  EXPECT_LT(answered, kDens * kEach / 2);
}
TEST(Watch, what_changed_goes_before_what_dens_ask_for) { run_with_rig(tells_before_it_answers); }

io::Task<void> refuses(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  EXPECT_FALSE(co_await rig->subscribe(&den, 1, {"a", "nowhere"}));
  EXPECT_THAT(rig->watch->view(), HasSubstr("directories=0 subscriptions=0"));
  EXPECT_THAT(rig->watch->view(), HasSubstr("watches=0 "));
  rig->touch("a/1");
  co_await rig->settle();
  EXPECT_EQ(den.try_receive().error().kind, ErrorKind::kUnavailable);
  // An empty subscription has nothing to tell and is none.
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {}));
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a", "a"})) << "named twice";
}
TEST(Watch, a_directory_that_is_gone_refuses_the_whole_subscription) { run_with_rig(refuses); }

io::Task<void> falls_back(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  fs::last_write_time(rig->root / "b", fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a"}));
  EXPECT_TRUE(co_await rig->subscribe(&den, 2, {"b"}));
  EXPECT_THAT(rig->watch->view(), HasSubstr("source=polling polled=1 "));
  rig->touch("b/1");
  auto changed = co_await rig->next(&den);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(2));
  rig->touch("a/1");
  changed = co_await rig->next(&den);
  while (watches_of(changed) == std::vector<uint32_t>{2}) changed = co_await rig->next(&den);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(1));
}
TEST(Watch, polls_the_mailboxes_that_inotify_has_no_watch_for) {
  run_with_rig(falls_back, "auto", 1);
}

io::Task<void> replaced(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a"}));
  io::Channel successor = co_await rig->greeted(0);
  co_await rig->settle();
  EXPECT_THAT(rig->watch->view(), HasSubstr("directories=0 subscriptions=0"));
  EXPECT_EQ(den.try_receive().error().kind, ErrorKind::kClosed);
  rig->touch("a/1");
  EXPECT_TRUE(co_await rig->subscribe(&successor, 1, {"a"}));
  rig->touch("a/2");
  auto changed = co_await rig->next(&successor);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(1));
}
TEST(Watch, a_new_link_of_a_den_begins_without_subscriptions) { run_with_rig(replaced); }

io::Task<void> malformed(Rig* rig) {
  io::Channel good = co_await rig->greeted(0);
  io::Channel bad = co_await rig->greeted(1);
  EXPECT_TRUE(bad.try_send("\xff\xff\xff"));
  auto closed = co_await bad.receive(*rig->loop);
  EXPECT_FALSE(closed);
  EXPECT_TRUE(co_await rig->subscribe(&good, 1, {"a"}));
}
TEST(Watch, a_malformed_message_ends_its_own_link_only) { run_with_rig(malformed); }

// A den that reads nothing, with more watches than its notices' bound.
io::Task<void> deaf(Rig* rig) {
  constexpr uint32_t kWatches = 2'000;
  constexpr uint64_t kArrivals = 2'000;
  io::Channel den = co_await rig->greeted(0);
  io::Channel reader = co_await rig->greeted(1);
  EXPECT_TRUE(co_await rig->subscribe(&reader, 1, {"a"}));
  for (uint32_t watch = 0; watch < kWatches; ++watch) {
    EXPECT_TRUE(co_await rig->subscribe(&den, watch, {"a"}));
  }
  // Each change is one of all its 2,000 watches; nothing is read for 2,000 changes.
  for (uint64_t i = 0; i < kArrivals; ++i) {
    rig->touch(fmt::format("a/{}", i));
    if (i % 10 == 0) [[maybe_unused]]
      auto turn = co_await rig->loop->yield();
  }
  auto changed = co_await rig->next(&reader);
  EXPECT_THAT(watches_of(changed), testing::ElementsAre(1)) << "nobody else is held up";
  std::set<uint32_t> told;
  uint64_t arrived = 0;
  size_t messages = 0;
  while (told.size() < kWatches && ++messages < 10'000) {
    changed = co_await rig->next(&den);
    EXPECT_LE(changed.changed().arrived_size(), wire::kMaxChangedWatches);
    for (const auto& mail : changed.changed().arrived()) {
      told.insert(mail.watch());
      arrived += mail.count();
    }
  }
  EXPECT_EQ(told.size(), kWatches) << "coalesced, and none missed";
  for (messages = 0; arrived < kWatches * kArrivals && ++messages < 10'000;) {
    changed = co_await rig->next(&den);
    for (const auto& mail : changed.changed().arrived()) arrived += mail.count();
  }
  EXPECT_EQ(arrived, kWatches * kArrivals) << "each arrival is counted once for each watch";
}
TEST(Watch, a_den_that_does_not_read_is_told_of_every_watch_later_and_holds_up_nobody) {
  run_with_rig(deaf);
}

io::Task<void> several(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  // Two mailboxes in one subscription, as with NOTIFY: a and c are new/, b and d cur/.
  fs::create_directory(rig->root / "d");
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a", "b", "c", "d"}));
  rig->touch("c/1");
  auto told = co_await rig->next(&den);
  EXPECT_THAT(watches_of(told), testing::ElementsAre(1)) << "a change: the den knows no more";
  EXPECT_EQ(told.changed().arrived_size(), 0);
  fs::rename(rig->root / "c/1", rig->root / "d/1:2,");  // told to nobody
  rig->touch("a/2");
  told = co_await rig->next(&den);
  EXPECT_EQ(told.changed().arrived_size(), 1);
  EXPECT_EQ(told.changed().watches_size(), 0) << "taken over";
  fs::rename(rig->root / "a/2", rig->root / "d/2:2,");
  told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), testing::ElementsAre(1)) << "went to another mailbox";
}
TEST(Watch, mail_taken_over_is_told_from_mail_that_went_to_another_mailbox) {
  run_with_rig(several);
}

// "a" is the mailbox's new/, "b" its cur/.
io::Task<void> kinds(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a", "b"}));
  EXPECT_TRUE(co_await rig->subscribe(&den, 2, {"c", "b"}));
  uint64_t before_ms = rig->loop->now_ms();
  rig->touch("a/1");
  auto told = co_await rig->next(&den);
  EXPECT_EQ(told.changed().arrived_size(), 1);
  EXPECT_EQ(told.changed().watches_size(), 0) << "an arrival is no other change";
  if (told.changed().arrived_size() != 1) co_return;
  EXPECT_EQ(told.changed().arrived(0).watch(), 1u);
  EXPECT_EQ(told.changed().arrived(0).count(), 1u);
  EXPECT_LE(told.changed().after_ms(), before_ms + 1) << "a bound from below";
  fs::rename(rig->root / "a/1", rig->root / "b/1:2,");
  told = co_await rig->next(&den);
  EXPECT_THAT(watches_of(told), testing::ElementsAre(2)) << "1 has both ends of the move";
  rig->touch("a/2");
  told = co_await rig->next(&den);
  EXPECT_EQ(told.changed().arrived_size(), 1);
  fs::rename(rig->root / "a/2", rig->root / "b/2:2,S");
  told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), testing::UnorderedElementsAre(1, 2)) << "a flag changed";
  rig->touch("b/3:2,");
  told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), testing::UnorderedElementsAre(1, 2))
      << "mail arrives in the first directory only";
}
TEST(Watch, tells_arrivals_from_changes_and_says_nothing_of_mail_taken_over) {
  run_with_rig(kinds);
}

// Where nothing happens, the moment after which an arrival is known to have come keeps up.
io::Task<void> keeps_up(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a"}));
  uint64_t subscribed_ms = rig->loop->now_ms();
  EXPECT_TRUE(co_await rig->loop->sleep(2 * Watch::kSettleStepMs));
  rig->touch("a/1");
  auto told = co_await rig->next(&den);
  EXPECT_GT(told.changed().after_ms(), subscribed_ms);
}
TEST(Watch, an_arrival_long_after_the_subscription_is_known_to_be_so) { run_with_rig(keeps_up); }

io::Task<void> overflowed(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  io::Channel other = co_await rig->greeted(1);
  rig->watch->lost("queue overflow");
  for (io::Channel* each : {&den, &other}) {
    auto lost = co_await rig->next(each);
    EXPECT_EQ(lost.lost().reason(), "queue overflow");
    EXPECT_FALSE(lost.lost().subscribe_again());
  }
}
TEST(Watch, lost_events_are_told_to_every_den) { run_with_rig(overflowed); }

TEST(Watch, says_which_backend_it_took_and_why) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto backend = [&](const std::string& name) {
    WatchOptions options;
    options.settings.set_backend(name);
    auto watch = Watch::create(**loop, (*loop)->root(), std::move(options));
    return watch ? std::string((*watch)->backend()) + ": " + (*watch)->why() : "refused";
  };
  EXPECT_THAT(backend("auto"), HasSubstr("inotify: the master could make no fanotify group"));
  EXPECT_THAT(backend("fanotify"), HasSubstr("inotify: the master could make no fanotify group"));
  EXPECT_EQ(backend("inotify"), "inotify: asked for");
  EXPECT_EQ(backend("polling"), "polling: asked for");
  EXPECT_EQ(backend("guessing"), "refused");
}

}  // namespace
}  // namespace dormouse::hibernate
