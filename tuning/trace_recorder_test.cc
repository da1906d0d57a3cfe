#include "tuning/trace_recorder.h"

#include <gtest/gtest.h>

#include <random>

namespace dormouse::tuning {
namespace {

using enum TraceEvent;

TEST(TraceRecorder, numbers_sessions_and_clients_in_the_order_in_which_they_appear) {
  TraceRecorder recorder;
  recorder.add({.at_ms = 1'020, .session = 0xdead, .event = kCommand});
  recorder.add({.at_ms = 1'005, .session = 0xbeef, .event = kOpen});
  recorder.add({.at_ms = 1'006, .session = 0xbeef, .client = 77'777, .event = kId});
  recorder.add({.at_ms = 1'030, .session = 0xdead, .client = 55'555, .event = kId});
  recorder.add({.at_ms = 1'040, .session = 0xbeef, .event = kClose});
  EXPECT_EQ(format_trace(recorder.finish(1'000, 1'100)),
            "dormouse-trace 1\n"
            "5 1 open\n"
            "6 1 id 1\n"
            "20 2 open\n"
            "20 2 command\n"
            "30 2 id 2\n"
            "40 1 close\n"
            "end 100 lost 0\n");
}

TEST(TraceRecorder, says_nothing_twice_and_nothing_after_the_close) {
  TraceRecorder recorder;
  uint64_t at_ms = 0;
  for (TraceEvent event : {kOpen, kOpen, kDone, kIdle, kIdle, kDone, kDone, kClose, kCommand}) {
    recorder.add({.at_ms = ++at_ms, .session = 9, .event = event});
  }
  recorder.add({.at_ms = 3, .session = 9, .client = 0, .event = kId});
  EXPECT_EQ(format_trace(recorder.finish(0, 10)),
            "dormouse-trace 1\n1 1 open\n4 1 idle\n6 1 done\n8 1 close\nend 10 lost 0\n");
}

TEST(TraceRecorder, what_could_not_be_told_is_counted) {
  TraceRecorder recorder;
  recorder.add_lost(5);
  EXPECT_EQ(recorder.finish(0, 1).lost, 5u);
}

TEST(TraceRecorder, whatever_workers_say_becomes_a_sound_trace) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    TraceRecorder recorder;
    for (int i = 0; i < 200; ++i) {
      recorder.add({.at_ms = random() % 1'000,
                    .session = random() % 20,
                    .client = random() % 4,
                    .event = TraceEvent(random() % 7)});
    }
    Trace trace = recorder.finish(100, 900);
    auto sound = check_trace(trace);
    ASSERT_TRUE(sound) << sound.error().message;
    auto back = parse_trace(format_trace(trace));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, trace);
  }
}

}  // namespace
}  // namespace dormouse::tuning
