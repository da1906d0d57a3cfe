// What the driver does for as long as it lasts: hold, polls, storms, and who comes back.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "loadtest/driver.h"
#include "loadtest/driver_time.h"

namespace dormouse::loadtest {
namespace {

enum class Act : uint8_t { kDeliver, kDone, kCommand, kLeave };

// Acts of one kind, one after the other in an open loop.
struct Stream {
  Act act;
  const char* option;
  // Of an interval: acts of two kinds at the same rate are not to be due at the same instants.
  double phase = 0;
  double rate = 0;  // a second; 0: none
  uint64_t acts = 0;
  uint64_t next_us(uint64_t begun_us) const {
    return rate > 0 ? due_us(begun_us, double(acts) + phase, rate) : UINT64_MAX;
  }
};

}  // namespace

io::Task<void> Driver::hold(Command command, JsonObject* answer) {
  std::array<Stream, 4> streams = {{{Act::kDeliver, "deliver", 0.0},
                                    {Act::kDone, "done", 0.5},
                                    {Act::kCommand, "command", 0.25},
                                    {Act::kLeave, "leave", 0.75}}};
  bool busy = false;
  for (Stream& stream : streams) {
    stream.rate = command.option(stream.option, 0);
    busy = busy || stream.rate > 0;
  }
  if (streams[0].rate > 0 && settings_.maildir.empty())
    co_return refuse(answer, "no --maildir was given");
  if (busy && !settled())
    co_return refuse(answer, "sessions are still connecting: wait-connected first");
  if (streams[0].rate > 0) {
    if (auto written = write_letters(); !written) co_return refuse(answer, written.error().message);
  }
  uint64_t begun_us = now_us();
  uint64_t end_us = begun_us + seconds_us(*command.number);
  DeliveryLedger& ledger = fleet_.ledger();
  if (busy) {
    ledger.latency() = Histogram();
    fleet_.begin_round();
    fleet_.begin_login_round();
  }
  uint64_t missing_before = ledger.missing();
  Histogram lateness;
  for (;;) {
    auto stream = std::ranges::min_element(
        streams, {}, [begun_us](const Stream& s) { return s.next_us(begun_us); });
    uint64_t due = stream->next_us(begun_us);
    if (auto waited = co_await timer_.until(loop_, std::min(due, end_us)); !waited) co_return;
    if (due >= end_us) break;
    ++stream->acts;
    if (stream->act == Act::kDeliver) {
      auto done = co_await deliver_one(due, &lateness);
      if (!done) co_return refuse(answer, done.error().message);
      continue;
    }
    auto session = co_await find_sleeper(std::nullopt, now_us() + timeout_us(command));
    if (!session) co_return refuse(answer, "timeout: nobody is asleep");
    if (stream->act == Act::kLeave) {
      leave(*session, stream->acts % 2 == 0);
    } else {
      fleet_.send_on(*session, stream->act == Act::kDone ? Errand::kDone : Errand::kCommand, due);
    }
    if (auto turned = co_await loop_.yield(); !turned) co_return;
  }
  if (!busy) co_return;
  uint64_t give_up_us = now_us() + timeout_us(command);
  while (postman_.under_way() > 0 && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) co_return;
    if (auto sent = note_sent(&lateness); !sent) co_return refuse(answer, sent.error().message);
  }
  co_await finish_hold(command, answer, missing_before, streams[0].acts, streams[3].acts);
  answer->add_json("lateness", lateness.json());
}

// Waits for what is still under way, and says what came of it all.
io::Task<void> Driver::finish_hold(Command command, JsonObject* answer, uint64_t missing_before,
                                   uint64_t deliveries, uint64_t leaves) {
  DeliveryLedger& ledger = fleet_.ledger();
  uint64_t give_up_us = now_us() + timeout_us(command);
  auto over = [this, &ledger] {
    return ledger.outstanding() == 0 && fleet_.round().all_back() &&
           fleet_.login_round().all_back() && away_ == 0;
  };
  while (!over() && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) break;
  }
  if (!fleet_.round().all_back() || away_ > 0) {
    refuse(answer, "timeout: some sessions are not back asleep");
  }
  ledger.give_up();
  Round& round = fleet_.round();
  answer->add("deliveries", deliveries).add("missing", ledger.missing() - missing_before);
  answer->add_json("latency", ledger.latency().json());
  answer->add("asked", round.begun).add("answered", round.answered);
  answer->add_json("answers", round.latency.json());
  answer->add("left", leaves).add_json("logins", fleet_.login_round().latency.json());
}

void Driver::leave(uint32_t session, bool politely) {
  if (politely) {
    fleet_.log_out(session);
  } else {
    fleet_.cut(session);
  }
  ++away_;
  loop_.root().spawn(come_back(session));
}

io::Task<void> Driver::come_back(uint32_t session) {
  while (fleet_.session(session).phase != Phase::kGone) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) co_return;
  }
  --away_;
  co_await fleet_.start(session, now_us());
}

// Sessions that a killed process dropped awake come back, as clients do.
io::Task<void> Driver::revive() {
  constexpr uint64_t kPauseMs = 50;
  for (;;) {
    if (auto slept = co_await loop_.sleep(kPauseMs); !slept) co_return;
    for (uint32_t session : fleet_.take_dropped()) {
      loop_.root().spawn(fleet_.start(session, now_us()));
    }
  }
}

// Every polling session says NOOP each poll_every_ms, all of them spread over it.
io::Task<void> Driver::poll() {
  auto timer = PreciseTimer::create();
  if (!timer) co_return;
  std::vector<uint32_t> pollers;
  for (uint32_t i = 0; i < fleet_.settings().sessions; ++i) {
    if (fleet_.dialog().kind_of(i) == Dialog::Kind::kPoller) pollers.push_back(i);
  }
  if (pollers.empty()) co_return;
  double rate = double(pollers.size()) * 1000 / double(settings_.poll_every_ms);
  uint64_t begun_us = now_us();
  for (uint64_t k = 0;; ++k) {
    uint64_t due = due_us(begun_us, k, rate);
    if (auto waited = co_await timer->until(loop_, due); !waited) co_return;
    uint32_t session = pollers[k % pollers.size()];
    if (fleet_.session(session).phase == Phase::kQuiet) fleet_.send_on(session, Errand::kPoll, due);
    if (auto turned = co_await loop_.yield(); !turned) co_return;
  }
}

// Everybody is cut off at once, and everybody comes back at once.
io::Task<void> Driver::storm(Command command, JsonObject* answer) {
  if (!settled()) co_return refuse(answer, "sessions are still connecting: wait-connected first");
  for (uint32_t i = 0; i < fleet_.settings().sessions; ++i) fleet_.cut(i);
  if (auto turned = co_await loop_.yield(); !turned) co_return;
  fleet_.begin_login_round();
  ramp_ended_us_ = 0;
  loop_.root().spawn(ramp());
  co_await wait_connected(command, answer);
}

}  // namespace dormouse::loadtest
