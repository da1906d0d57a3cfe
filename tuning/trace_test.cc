#include "tuning/trace.h"

#include <gtest/gtest.h>

#include "tuning/synthetic_trace.h"

namespace dormouse::tuning {
namespace {

constexpr std::string_view kSmall =
    "dormouse-trace 1\n"
    "0 1 open\n"
    "5 1 id 1\n"
    "5 2 open\n"
    "7 1 command\n"
    "9 1 idle\n"
    "20 2 id 2\n"
    "500 1 done\n"
    "600 2 talk\n"
    "900 1 close\n"
    "end 1000 lost 3\n";

TEST(Trace, comes_back_as_it_was) {
  auto trace = parse_trace(kSmall);
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(trace->sessions, 2u);
  EXPECT_EQ(trace->end_ms, 1'000u);
  EXPECT_EQ(trace->lost, 3u);
  ASSERT_EQ(trace->entries.size(), 9u);
  EXPECT_EQ(trace->entries[1], (TraceEntry{5, 1, TraceEvent::kId, 1}));
  EXPECT_EQ(format_trace(*trace), kSmall);
}

TEST(Trace, what_does_not_follow_the_grammar_is_refused_with_its_line) {
  struct {
    std::string_view text;
    std::string_view complaint;
  } cases[] = {
      {"", "the end is missing"},
      {"dormouse-trace 2\nend 0 lost 0\n", "line 1"},
      {"dormouse-trace 1\n", "the end is missing"},
      {"dormouse-trace 1\nend 0 lost 0", "no end of line"},
      {"dormouse-trace 1\nend 0 lost 0\n0 1 open\n", "after the end"},
      {"dormouse-trace 1\n1 2 open\nend 9 lost 0\n", "skipped"},
      {"dormouse-trace 1\n1 0 open\nend 9 lost 0\n", "skipped"},
      {"dormouse-trace 1\n1 1 idle\nend 9 lost 0\n", "begins with open"},
      {"dormouse-trace 1\n1 1 open\n2 1 open\nend 9 lost 0\n", "line 3: a session begins"},
      {"dormouse-trace 1\n5 1 open\n4 1 idle\nend 9 lost 0\n", "goes back"},
      {"dormouse-trace 1\n5 1 open\nend 4 lost 0\n", "before the last event"},
      {"dormouse-trace 1\n1 1 open\n2 1 close\n3 1 idle\nend 9 lost 0\n", "closed"},
      {"dormouse-trace 1\n1 1 open\n2 1 id 2\nend 9 lost 0\n", "clients are skipped"},
      {"dormouse-trace 1\n1 1 open\n2 1 id 0\nend 9 lost 0\n", "belongs to id"},
      {"dormouse-trace 1\n1 1 open 7\nend 9 lost 0\n", "not an entry"},
      {"dormouse-trace 1\n1 1 open \nend 9 lost 0\n", "not an entry"},
      {"dormouse-trace 1\n01 1 open\nend 9 lost 0\n", "not an entry"},
      {"dormouse-trace 1\n1 1 sleep\nend 9 lost 0\n", "not an entry"},
      {"dormouse-trace 1\n99999999999 1 open\nend 99999999999 lost 0\n", "bound"},
  };
  for (const auto& one : cases) {
    auto parsed = parse_trace(one.text);
    ASSERT_FALSE(parsed) << one.text;
    EXPECT_NE(parsed.error().message.find(one.complaint), std::string::npos)
        << one.text << parsed.error().message;
  }
}

TEST(Trace, invented_ones_are_traces_and_come_from_their_seed_alone) {
  for (Population population : kPopulations) {
    SyntheticTrace wanted{.population = population, .users = 12, .hours = 12, .seed = 5};
    Trace trace = make_trace(wanted);
    auto sound = check_trace(trace);
    EXPECT_TRUE(sound) << name_of(population) << ": " << sound.error().message;
    EXPECT_GT(trace.entries.size(), 100u) << name_of(population);
    EXPECT_EQ(make_trace(wanted), trace) << name_of(population);
    wanted.seed = 6;
    EXPECT_NE(make_trace(wanted), trace) << name_of(population);
    auto back = parse_trace(format_trace(trace));
    ASSERT_TRUE(back) << name_of(population) << ": " << back.error().message;
    EXPECT_EQ(*back, trace) << name_of(population);
  }
}

}  // namespace
}  // namespace dormouse::tuning
