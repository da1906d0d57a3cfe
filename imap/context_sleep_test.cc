// Contexts of a session that sleeps and wakes at any time: the list that a client makes of the
// first answer and the updates is what a fresh search gives, awake or asleep.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "imap/test_result.h"
#include "imap/test_watcher.h"

namespace dormouse::imap {
namespace {

constexpr int kSteps = 70;
const char* const kFlagNames[] = {"\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "$Forwarded"};
const char* const kWords[] = {"Re: apple", "banana", "[list] Apple", "Cherry", "fwd: date 7"};

struct Program {
  const char* command;  // "UID SORT"
  const char* rest;
  bool uid;
  bool sorted;
};
const Program kPrograms[] = {
    {"UID SEARCH", "UNSEEN", true, false},
    {"SEARCH", "OR FLAGGED KEYWORD $Forwarded", false, false},
    {"UID SORT", "(SUBJECT) UTF-8 UNDELETED", true, true},
    {"SORT", "(REVERSE SUBJECT REVERSE FROM) UTF-8 NOT ANSWERED", false, true},
    {"UID SEARCH", "TEXT 7 UNSEEN", true, false},
    // Not 3:*, which is the highest message even where that is below 3 (RFC 3501 9).
    {"SEARCH", "UID 3:4294967295 NOT BODY 1", false, false},
    {"UID SORT", "(REVERSE DATE SIZE) US-ASCII ALL", true, true},
    {"UID SEARCH", "OR RECENT FLAGGED", true, false},
};

struct Live {
  const Program* program;
  ResultMirror result;
};

struct Searcher : Watcher {
  void take(const std::string& reply) override {
    Watcher::take(reply);
    for (Live& live : contexts) live.result.take(reply);
  }
  std::vector<Live> contexts;
  int tags = 0;
};

io::Task<std::string> say_tagged(Searcher* watcher, std::string tag, std::string command) {
  watcher->client->send(tag + " " + command + "\r\n");
  std::string reply = co_await watcher->client->take_until(tag + " ");
  watcher->take(reply);
  co_return reply;
}

io::Task<void> open_context(Searcher* watcher, const Program* program) {
  std::string tag = fmt::format("c{}", ++watcher->tags);
  watcher->contexts.push_back({program, ResultMirror(tag, program->uid, program->sorted)});
  std::string reply = co_await say_tagged(
      watcher, tag, fmt::format("{} RETURN (UPDATE ALL) {}", program->command, program->rest));
  EXPECT_NE(reply.find(", will notify."), std::string::npos) << reply;
}

io::Task<void> check(Searcher* watcher) {
  if (watcher->idle) co_await end_idle(watcher);
  co_await say(watcher, "NOOP");
  for (size_t i = 0; i < watcher->contexts.size(); ++i) {
    const Program& program = *watcher->contexts[i].program;
    std::string tag = fmt::format("f{}", ++watcher->tags);
    ResultMirror fresh(tag, program.uid, program.sorted);
    std::string reply = co_await say_tagged(
        watcher, tag, fmt::format("{} RETURN (ALL) {}", program.command, program.rest));
    fresh.take(reply);
    const ResultMirror& result = watcher->contexts[i].result;
    EXPECT_EQ(result.list(), fresh.list()) << program.command << " " << program.rest;
    EXPECT_TRUE(result.complaints().empty()) << result.complaints().front();
  }
  EXPECT_TRUE(watcher->mirror.complaints().empty()) << watcher->mirror.complaints().front();
}

void deliver(Household* home, Random* random) {
  home->deliver("INBOX",
                fmt::format("Subject: {}\nFrom: {}@example.org\nDate: Wed, {} Jan 2024 "
                            "10:00:00 +0000\n\n{}\n",
                            kWords[random->below(std::size(kWords))], char('a' + random->below(4)),
                            1 + random->below(9), random->below(100)));
}

// Another session, or another process, changes something.
io::Task<void> change(Household* home, Watcher* writer, Random* random) {
  size_t count = writer->mirror.entries().size();
  unsigned what = random->below(8);
  if (what <= 1 || count == 0) {
    for (unsigned i = random->below(3) + 1; i > 0; --i) deliver(home, random);
    if (random->below(2) == 0) co_await say(writer, "NOOP");
  } else if (what <= 4) {
    const char* flag = kFlagNames[random->below(std::size(kFlagNames))];
    unsigned first = 1 + random->below(unsigned(count));
    unsigned last = 1 + random->below(unsigned(count));
    co_await say(writer, fmt::format("STORE {}:{} {}FLAGS ({})", first, last,
                                     random->below(3) == 0 ? "-" : "+", flag));
  } else if (what == 5) {
    co_await say(writer, "EXPUNGE");
  } else {
    expunge_elsewhere(home, random);
    if (random->below(2) == 0) co_await say(writer, "NOOP");
  }
}

io::Task<void> replace_context(Searcher* watcher, Random* random) {
  size_t which = random->below(unsigned(watcher->contexts.size()));
  const Program* program = watcher->contexts[which].program;
  std::string tag = watcher->contexts[which].result.tag();
  co_await say(watcher, fmt::format("CANCELUPDATE \"{}\"", tag));
  watcher->contexts.erase(watcher->contexts.begin() + ptrdiff_t(which));
  co_await open_context(watcher, program);
}

io::Task<void> act(Searcher* watcher, Random* random) {
  if (watcher->sleeps && random->below(2) == 0) {
    bool parked = co_await watcher->client->parked();
    EXPECT_TRUE(parked);
    EXPECT_FALSE(watcher->client->record().announces()) << "a worker must look at what comes";
    if (random->below(4) != 0) co_await watcher->client->refresh();
    co_return;
  }
  if (watcher->idle) {
    if (random->below(4) == 0) co_await end_idle(watcher);
    co_return;
  }
  size_t count = watcher->mirror.entries().size();
  switch (random->below(count == 0 ? 2 : 8)) {
    case 0:
      co_await say(watcher, "NOOP");
      break;
    case 1:
      co_await replace_context(watcher, random);
      break;
    case 2:
      co_await say(watcher,
                   fmt::format("FETCH {} (UID FLAGS)", 1 + random->below(unsigned(count))));
      break;
    case 3:
      co_await say(watcher, fmt::format("STORE {} +FLAGS.SILENT (\\Seen)",
                                        1 + random->below(unsigned(count))));
      break;
    case 4:
      co_await say(watcher, "SEARCH ALL");
      break;
    default:
      co_await begin_idle(watcher);
  }
}

io::Task<void> sleep_and_wake(Household* home, io::Scope* scope, unsigned seed) {
  home->host().settings.set_park_after_ms(1);
  home->host().settings.set_park_quiet_ms(1);
  Random random(seed);
  Searcher writer;
  Searcher awake;
  Searcher sleeper;
  sleeper.sleeps = true;
  const char* names[] = {"w", "a", "s"};
  Searcher* all[] = {&writer, &awake, &sleeper};
  for (int i = 0; i < 4; ++i) deliver(home, &random);
  for (int i = 0; i < 3; ++i) {
    co_await log_in(home, scope, all[i], names[i]);
    co_await say(all[i], "SELECT INBOX");
    if (i == 0) continue;
    for (const Program& program : kPrograms) co_await open_context(all[i], &program);
  }
  for (int step = 0; step < kSteps; ++step) {
    if (random.below(3) != 0) co_await change(home, &writer, &random);
    co_await act(&sleeper, &random);
    co_await act(&awake, &random);
    if (step % 10 == 9) {
      co_await check(&sleeper);
      co_await check(&awake);
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "seed " << seed << " step " << step << "\n--- sleeper\n"
                    << sleeper.client->transcript() << "\n--- awake\n"
                    << awake.client->transcript();
      break;
    }
  }
  EXPECT_GT(home->host().counters.parks, 0u);
  size_t updates = 0;
  for (const Live& live : sleeper.contexts) updates += live.result.updates();
  EXPECT_GT(updates, 0u);
}

class ContextSleep : public ::testing::TestWithParam<unsigned> {};

TEST_P(ContextSleep, updates_make_of_the_first_answer_what_a_fresh_search_gives) {
  play(sleep_and_wake, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ContextSleep, ::testing::Range(1u, 13u));

}  // namespace
}  // namespace dormouse::imap
