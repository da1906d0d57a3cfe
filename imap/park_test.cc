// When a session is parked: its rhythm, awake and asleep (tuning/session_rhythm.h), the pressure,
// the setting; and what a trace tells of it.

#include <gmock/gmock.h>

#include "imap/test_script.h"
#include "imap/trace_tap.h"
#include "wire/link.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;
using tuning::Quiet;
using tuning::SessionRhythm;
using tuning::TraceEvent;

SessionRhythm rhythm_of(const Client& client) {
  auto state = decode_state(client.state_bytes());
  EXPECT_TRUE(state);
  auto rhythm = SessionRhythm::thaw(state->rhythm, 1'000'000'000, unix_ms());
  EXPECT_TRUE(rhythm && !state->rhythm.empty());
  return *rhythm;
}

// As if it had slept for so long.
void age(Client& client, uint64_t by_ms) {
  constexpr uint64_t kNowMs = 1'000'000'000;
  auto state = decode_state(client.state_bytes());
  EXPECT_TRUE(state);
  auto rhythm = SessionRhythm::thaw(state->rhythm, kNowMs, unix_ms());
  EXPECT_TRUE(rhythm);
  state->rhythm = rhythm->freeze(kNowMs, unix_ms() - by_ms);
  client.set_state_bytes(*encode_state(*state));
}

io::Task<Client*> dozing(Household* home, io::Scope* scope) {
  home->deliver("INBOX", "Subject: 1\n\nx\n");
  Client& client = home->client(*scope, "s");
  client.log_in();
  co_await client.take_until("l0 ");
  co_await client.command("SELECT INBOX");
  client.send("i1 IDLE\r\n");
  co_await client.take_until("+ ");
  bool parked = co_await client.parked();
  EXPECT_TRUE(parked);
  co_return &client;
}

io::Task<void> remembered(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* client = co_await dozing(home, scope);
  age(*client, 10'000);
  SessionRhythm before = rhythm_of(*client);
  client->send("DONE\r\n");
  co_await client->command("FETCH 1 (UID)");
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
  SessionRhythm after = rhythm_of(*client);
  EXPECT_EQ(after.history().size(), before.history().size() + 1);
  EXPECT_EQ(after.history()[0].quiet, Quiet::kIdle) << "it was in IDLE when it fell asleep";
  EXPECT_GT(after.gap_since_ms(), before.gap_since_ms());
  EXPECT_EQ(home->host().habits.kinds(), 1u) << "others are judged by it too";
}
TEST(Park, a_command_ends_the_gap_that_began_before_the_sleep) { play(remembered); }

io::Task<void> small_talk(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* client = co_await dozing(home, scope);
  SessionRhythm before = rhythm_of(*client);
  // The den might have answered these; here a worker does.
  client->send("DONE\r\n");
  co_await client->command("NOOP");
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
  EXPECT_EQ(rhythm_of(*client).history(), before.history());
  // To the eighth of a second that the state keeps.
  EXPECT_NEAR(double(rhythm_of(*client).gap_since_ms()), double(before.gap_since_ms()), 200);
}
TEST(Park, small_talk_leaves_the_gap_as_it_is) { play(small_talk); }

io::Task<void> refreshed(Household* home, io::Scope* scope) {
  Client* client = co_await dozing(home, scope);
  auto before = decode_state(client->state_bytes());
  home->deliver("INBOX", "Subject: 2\n\nx\n");
  co_await client->refresh();
  EXPECT_THAT(client->transcript(), HasSubstr("* 2 EXISTS"));
  auto after = decode_state(client->state_bytes());
  EXPECT_TRUE(before && after);
  EXPECT_EQ(after->rhythm, before->rhythm);
}
TEST(Park, a_refresh_is_no_event_of_the_clients) { play(refreshed); }

io::Task<void> pressed(Household* home, io::Scope* scope) {
  home->host().settings.set_park_after_ms(0);
  home->host().settings.set_park_quiet_ms(0);
  home->host().pressure = tuning::Pressure::kCritical;
  Client& client = home->client(*scope, "s");
  client.log_in();
  co_await client.take_until("l0 ");
  bool parked = co_await client.parked();
  EXPECT_TRUE(parked) << "outside IDLE, right after the login, with no setting to hurry it";
}
TEST(Park, critical_pressure_parks_whatever_may_be_parked) { play(pressed); }

io::Task<void> long_sleeper(Household* home, io::Scope* scope) {
  Client* client = co_await dozing(home, scope);
  // As one that slept for an hour or so, again and again, and goes back to sleep for as long.
  auto state = decode_state(client->state_bytes());
  EXPECT_TRUE(state);
  SessionRhythm rhythm(0);
  uint64_t now_ms = 0;
  for (int i = 0; i < 8; ++i) {
    rhythm.in_idle();
    now_ms += 3'600'000;
    rhythm.command_came(now_ms, 0, home->host().habits);
    rhythm.command_done(now_ms);
  }
  rhythm.in_idle();
  state->rhythm = rhythm.freeze(now_ms, unix_ms() - 3'600'000);
  client->set_state_bytes(*encode_state(*state));
  home->host().settings.set_park_after_ms(0);
  home->host().settings.set_park_quiet_ms(0);
  uint32_t offers = client->offers();
  client->send("DONE\r\nf1 FETCH 1 (UID)\r\ni2 IDLE\r\n");
  co_await client->take_until("+ ");
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked) << "with no setting at all";
  EXPECT_EQ(client->offers(), offers + 1);
}
TEST(Park, a_long_sleeper_parks_by_its_history_alone) { play(long_sleeper); }

io::Task<void> viewed(Household* home, io::Scope*) {
  home->host().settings.set_park_after_ms(0);
  home->host().settings.set_park_quiet_ms(0);
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  Session session(home->host(), home->user(), 7, "192.0.2.1", std::move(ends->first));
  EXPECT_THAT(session.describe(), HasSubstr(" parks=\"after "));
  home->host().pressure = tuning::Pressure::kCritical;
  EXPECT_THAT(session.describe(), HasSubstr("pressure is critical"));
  home->host().settings.set_park_quiet_ms(1);
  EXPECT_THAT(session.describe(), HasSubstr("the setting says so"));
  co_return;
}
TEST(Park, the_view_says_when_and_why) { play(viewed); }

io::Task<void> run_tap(TraceTap* tap) { co_await tap->run(); }

io::Task<void> recorded(Household* home, io::Scope* scope) {
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  TraceTap tap(home->loop(), std::move(ends->first));
  home->host().tap = &tap;
  home->host().settings.set_park_quiet_ms(1);
  io::Scope tapping(home->loop(), co_await io::current_scope());
  tapping.spawn(run_tap(&tap));
  Client* client = co_await dozing(home, scope);
  client->send("DONE\r\n");
  co_await client->command("FETCH 1 (UID)");
  co_await client->command("NOOP");
  co_await client->command("LOGOUT");
  co_await client->ended();
  std::vector<TraceEvent> events;
  while (events.empty() || events.back() != TraceEvent::kClose) {
    auto received = co_await io::with_timeout(
        20'000, wire::receive<wire::AdminReply>(home->loop(), ends->second));
    EXPECT_TRUE(received);
    if (!received) break;
    const auto& told = received->message.trace_events();
    EXPECT_EQ(told.lost(), 0u);
    for (uint32_t event : told.events()) events.push_back(TraceEvent(event));
  }
  // Once it has woken it is told anew who and in what state it is (kId, kIdle). A session that
  // parked between the commands woke again in the same way.
  std::erase(events, TraceEvent::kId);
  EXPECT_EQ(events.front(), TraceEvent::kOpen);
  EXPECT_EQ(std::ranges::count(events, TraceEvent::kCommand), 2) << "SELECT and FETCH";
  EXPECT_EQ(std::ranges::count(events, TraceEvent::kTalk), 2) << "NOOP and LOGOUT";
  EXPECT_GE(std::ranges::count(events, TraceEvent::kIdle), 2);
  EXPECT_EQ(std::ranges::count(events, TraceEvent::kClose), 1);
  home->host().tap = nullptr;
  tapping.cancel();
  co_await tapping.join();
}
TEST(Park, a_trace_tells_commands_small_talk_and_the_end) { play(recorded); }

io::Task<void> unheard(Household* home, io::Scope*) {
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  TraceTap tap(home->loop(), std::move(ends->first));
  for (int i = 0; i < 1'500; ++i) tap.note(1, TraceEvent::kCommand);
  io::Scope tapping(home->loop(), co_await io::current_scope());
  tapping.spawn(run_tap(&tap));
  auto received = co_await io::with_timeout(
      20'000, wire::receive<wire::AdminReply>(home->loop(), ends->second));
  EXPECT_TRUE(received);
  if (received) {
    const auto& told = received->message.trace_events();
    EXPECT_LT(told.events_size(), 1'500);
    EXPECT_EQ(uint64_t(told.events_size()) + told.lost(), 1'500u);
  }
  // The tap ends with its listener; else this test would not.
  ends->second.close();
  co_await tapping.join();
}
TEST(Park, what_a_trace_cannot_take_is_counted) { play(unheard); }

}  // namespace
}  // namespace dormouse::imap
