#pragma once
// For tests: clients that act at random, asleep or awake, and what each of them believes.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "imap/test_mirror.h"
#include "imap/test_script.h"

namespace dormouse::imap {

struct Random {
  explicit Random(unsigned seed) : engine(seed) {}
  // 0 to bound - 1.
  unsigned below(unsigned bound) {
    return std::uniform_int_distribution<unsigned>(0, bound - 1)(engine);
  }
  std::mt19937 engine;
};

// One client, and what it believes. A test that minds more than the mailbox takes more of a reply.
struct Watcher {
  virtual ~Watcher() = default;
  virtual void take(const std::string& reply) { mirror.take(reply); }

  Client* client = nullptr;
  Mirror mirror;
  bool idle = false;
  int idles = 0;
  bool sleeps = false;
};

inline io::Task<void> say(Watcher* watcher, std::string command) {
  std::string reply = co_await watcher->client->command(std::move(command));
  watcher->take(reply);
}

inline io::Task<void> begin_idle(Watcher* watcher) {
  watcher->client->send(fmt::format("idle{} IDLE\r\n", ++watcher->idles));
  std::string reply = co_await watcher->client->take_until("+ ");
  watcher->take(reply);
  watcher->idle = true;
}

inline io::Task<void> end_idle(Watcher* watcher) {
  watcher->client->send("DONE\r\n");
  std::string reply = co_await watcher->client->take_until(fmt::format("idle{} ", watcher->idles));
  watcher->take(reply);
  watcher->idle = false;
}

// A sleeper's den accepts what its worker offers; the others' never does.
inline io::Task<void> log_in(Household* home, io::Scope* scope, Watcher* watcher,
                             std::string name) {
  watcher->client = &home->client(*scope, name);
  watcher->client->accept_parks = watcher->sleeps;
  watcher->client->log_in();
  co_await watcher->client->take_until("l0 ");
}

// What the watcher believes of the selected mailbox against what a FETCH says.
inline io::Task<void> check_mailbox(Watcher* watcher) {
  std::vector<Mirror::Entry> believed = watcher->mirror.entries();
  if (!believed.empty()) co_await say(watcher, "FETCH 1:* (UID FLAGS)");
  const auto& now = watcher->mirror.entries();
  EXPECT_EQ(now.size(), believed.size());
  for (size_t i = 0; i < std::min(now.size(), believed.size()); ++i) {
    EXPECT_TRUE(now[i].uid && now[i].flags);
    if (believed[i].uid) EXPECT_EQ(*believed[i].uid, *now[i].uid);
    if (believed[i].flags) EXPECT_EQ(*believed[i].flags, *now[i].flags) << "UID " << *now[i].uid;
  }
  EXPECT_TRUE(watcher->mirror.complaints().empty()) << watcher->mirror.complaints().front();
}

// Another process, with a store of its own, expunges one message of INBOX.
inline void expunge_elsewhere(Household* home, Random* random) {
  auto inbox = home->elsewhere().open_mailbox("INBOX");
  EXPECT_TRUE(inbox);
  auto synced = inbox->sync();
  auto uids = inbox->uids();
  EXPECT_TRUE(synced && uids);
  if (!uids || uids->empty()) return;
  uint32_t uid = (*uids)[random->below(unsigned(uids->size()))];
  auto gone = inbox->expunge(std::span(&uid, 1));
  EXPECT_TRUE(gone);
}

}  // namespace dormouse::imap
