#include "loadtest/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/driver_time.h"

namespace dormouse::loadtest {
namespace {

double rate_of(const Command& command, bool all) { return command.option("rate", all ? 200 : 20); }

}  // namespace

Result<std::unique_ptr<Driver>> Driver::create(io::Loop& loop, Fleet& fleet,
                                               DriverSettings settings) {
  auto driver = std::unique_ptr<Driver>(new Driver(loop, fleet, std::move(settings)));
  auto timer = PreciseTimer::create();
  if (!timer) return std::unexpected(timer.error());
  driver->timer_ = std::move(*timer);
  return driver;
}

void Driver::connect_all() {
  loop_.root().spawn(ramp());
  loop_.root().spawn(watch_deadlines());
  if (settings_.poll_every_ms > 0) loop_.root().spawn(poll());
  if (fleet_.settings().may_drop_awake) loop_.root().spawn(revive());
}

io::Task<void> Driver::ramp() {
  auto timer = PreciseTimer::create();
  if (!timer) co_return;
  ramp_begun_us_ = now_us();
  Round& logins = fleet_.login_round();
  for (uint32_t i = 0; i < fleet_.settings().sessions; ++i) {
    uint64_t due = due_us(ramp_begun_us_, i, settings_.ramp_per_second);
    if (settings_.ramp_per_second == 0) due = now_us();
    if (auto waited = co_await timer->until(loop_, due); !waited) co_return;
    while (logins.begun - logins.back - logins.lost >= settings_.parallel) {
      if (auto slept = co_await loop_.sleep(1); !slept) co_return;
    }
    loop_.root().spawn(fleet_.start(i, due));
    // The login just spawned begins on the next turn, and counts from then on.
    if (auto turned = co_await loop_.yield(); !turned) co_return;
  }
  while (!logins.all_back()) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) co_return;
  }
  ramp_ended_us_ = now_us();
}

io::Task<void> Driver::watch_deadlines() {
  for (;;) {
    if (auto slept = co_await loop_.sleep(1000); !slept) co_return;
    fleet_.end_late_logins();
  }
}

bool Driver::settled() const { return ramp_ended_us_ != 0; }

uint64_t Driver::wrongs() const {
  const Counters& counters = fleet_.counters();
  return counters.lost + counters.failed + counters.errors() + fleet_.ledger().missing();
}

bool Driver::clean() const { return all_ok_ && wrongs() == 0; }

void Driver::refuse(JsonObject* answer, std::string_view why) {
  if (ok_) answer->add("error", why);
  ok_ = false;
}

std::string Driver::status_json() {
  const Counters& counters = fleet_.counters();
  DeliveryLedger& ledger = fleet_.ledger();
  JsonObject reasons;
  for (const auto& [reason, count] : fleet_.reasons()) reasons.add(reason, count);
  JsonObject json;
  json.add("sessions", uint64_t{fleet_.settings().sessions})
      .add("connected", counters.connected)
      .add("idle", counters.idle)
      .add("awake", uint64_t{fleet_.awake()})
      .add("failed", counters.failed)
      .add("lost", counters.lost)
      .add("left", counters.left)
      .add("dropped_awake", counters.dropped)
      .add("connect_timeouts", counters.connect_timeouts)
      .add("deliveries", deliveries_)
      .add("outstanding", ledger.outstanding())
      .add("missing", ledger.missing())
      .add("coalesced", ledger.coalesced())
      .add("repeated_exists", counters.repeated_exists)
      .add("unexpected_exists", counters.unexpected_exists)
      .add("expunges", counters.expunges)
      .add("keepalives", counters.keepalives)
      .add("compressed", counters.compressed)
      .add("asleep_bytes_per_session", fleet_.asleep_bytes_per_session())
      .add("clean", clean())
      .add_json("reasons", reasons.text());
  if (fleet_.poll_latency().count() > 0) json.add_json("polls", fleet_.poll_latency().json());
  return json.text();
}

io::Task<std::string> Driver::run(Command command) {
  ok_ = true;
  uint64_t begun_us = now_us();
  uint64_t wrongs_before = wrongs();
  JsonObject answer;
  answer.add("command", command.word);
  switch (command.verb) {
    case Verb::kWaitConnected:
      co_await wait_connected(command, &answer);
      break;
    case Verb::kWaitParked:
      co_await wait_parked(command, &answer);
      break;
    case Verb::kDeliver:
    case Verb::kDeliverAll:
      co_await deliver(command, &answer);
      break;
    case Verb::kDone:
    case Verb::kDoneAll:
    case Verb::kCommand:
    case Verb::kCommandAll:
      co_await errands(command, &answer);
      break;
    case Verb::kHold:
      co_await hold(command, &answer);
      break;
    case Verb::kStorm:
      co_await storm(command, &answer);
      break;
    case Verb::kLogout:
      co_await log_out(command, &answer);
      break;
    case Verb::kStatus:
    case Verb::kQuit:
      break;
  }
  if (wrongs() != wrongs_before) {
    refuse(&answer, "something was lost, missing or wrong: see status");
  }
  if (command.verb == Verb::kQuit && !clean()) refuse(&answer, "not everything was right");
  all_ok_ = all_ok_ && ok_;
  answer.add("ok", ok_).add("seconds", seconds_since(begun_us));
  answer.add_json("status", status_json());
  co_return answer.text();
}

io::Task<void> Driver::wait_connected(Command command, JsonObject* answer) {
  uint64_t give_up_us = now_us() + timeout_us(command);
  while (!settled() && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) break;
  }
  if (!settled()) refuse(answer, "timeout: not all sessions are connected");
  const Counters& counters = fleet_.counters();
  if (counters.failed > 0) refuse(answer, "some logins failed: see status");
  uint64_t ended_us = settled() ? ramp_ended_us_ : now_us();
  double seconds = double(ended_us - ramp_begun_us_) / double(kSecondUs);
  auto logins = fleet_.login_round().back;
  answer->add("logins", logins).add("ramp_seconds", seconds);
  answer->add("logins_per_second", seconds > 0 ? double(logins) / seconds : 0.0);
  answer->add_json("latency", fleet_.login_round().latency.json());
}

io::Task<void> Driver::wait_parked(Command command, JsonObject* answer) {
  uint64_t give_up_us = now_us() + timeout_us(command);
  uint64_t quiet_us = seconds_us(command.option("quiet", 3));
  const Counters& counters = fleet_.counters();
  auto parked = [&] {
    return settled() && counters.idle == counters.connected &&
           now_us() - fleet_.last_activity_us() >= quiet_us;
  };
  while (!parked() && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) break;
  }
  if (!parked()) refuse(answer, "timeout: not all sessions are asleep and quiet");
}

Result<> Driver::write_letters() {
  // As many as come due while the file system keeps the postman waiting.
  constexpr size_t kLettersAhead = 8;
  while (postman_.given() < kLettersAhead) {
    uint32_t user = next_user_++ % fleet_.users_watched();
    std::string name = fleet_.dialog().user_name(user);
    auto path = maildir_path(settings_.maildir, name);
    if (!path) return std::unexpected(path.error());
    postman_.give({.user = user,
                   .maildir = std::move(*path),
                   .recipient = std::move(name),
                   .sequence = ++deliveries_,
                   .message_bytes = settings_.message_bytes});
  }
  return {};
}

io::Task<Result<void>> Driver::deliver_one(uint64_t due, Histogram* lateness) {
  constexpr size_t kUnderWayMax = 64;  // of deliveries that are due all at once
  if (auto written = write_letters(); !written) co_return written;
  if (auto waited = co_await timer_.until(loop_, due); !waited) co_return waited;
  while (postman_.under_way() >= kUnderWayMax) {
    if (auto slept = co_await loop_.sleep(1); !slept) co_return slept;
    if (auto sent = note_sent(lateness); !sent) co_return sent;
  }
  fleet_.ledger().delivered(postman_.next_user(), due);
  sent_due_us_.push_back(due);
  postman_.send();
  if (auto written = write_letters(); !written) co_return written;
  // Late acts do not wait above: the answers must be heard all the same.
  if (auto turned = co_await loop_.yield(); !turned) co_return turned;
  co_return note_sent(lateness);
}

Result<> Driver::note_sent(Histogram* lateness) {
  Result<> all;
  for (Postman::Outcome& outcome : postman_.take_outcomes()) {
    uint64_t due = sent_due_us_.front();
    sent_due_us_.pop_front();
    lateness->record(outcome.begun_us - std::min(outcome.begun_us, due));
    if (outcome.sent) continue;
    fleet_.ledger().undo(outcome.user);
    all = std::move(outcome.sent);
  }
  return all;
}

io::Task<void> Driver::deliver(Command command, JsonObject* answer) {
  if (settings_.maildir.empty()) {
    refuse(answer, "no --maildir was given");
    co_return;
  }
  if (!settled()) {
    refuse(answer, "sessions are still connecting: wait-connected first");
    co_return;
  }
  bool all = command.verb == Verb::kDeliverAll;
  auto count = all ? fleet_.users_watched() : uint64_t(*command.number);
  double rate = rate_of(command, all);
  DeliveryLedger& ledger = fleet_.ledger();
  ledger.latency() = Histogram();
  uint64_t missing_before = ledger.missing();
  Histogram lateness;
  uint64_t begun_us = now_us();
  for (uint64_t k = 0; k < count; ++k) {
    auto done = co_await deliver_one(due_us(begun_us, k, rate), &lateness);
    if (done) continue;
    refuse(answer, done.error().message);
    break;
  }
  uint64_t give_up_us = now_us() + timeout_us(command);
  while ((postman_.under_way() > 0 || ledger.outstanding() > 0) && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) break;
    if (auto sent = note_sent(&lateness); !sent) refuse(answer, sent.error().message);
  }
  ledger.give_up();
  answer->add("deliveries", lateness.count());
  answer->add("missing", ledger.missing() - missing_before);
  answer->add_json("latency", ledger.latency().json()).add_json("lateness", lateness.json());
}

// A session in kIdle, as soon as there is one: `wanted` and no other where it is given. Nothing:
// `wanted` has ended, or it took too long.
// All sessions in turn, each the next user's also where a user's sessions lie together.
uint32_t Driver::next_in_turn() {
  const uint32_t step = fleet_.settings().dialog.together + 1;
  const uint32_t session = next_session_;
  next_session_ += step;
  if (next_session_ >= fleet_.settings().sessions) {
    turn_offset_ = (turn_offset_ + 1) % std::min(step, fleet_.settings().sessions);
    next_session_ = turn_offset_;
  }
  return session;
}

io::Task<std::optional<uint32_t>> Driver::find_sleeper(std::optional<uint32_t> wanted,
                                                       uint64_t give_up_us) {
  uint32_t sessions = fleet_.settings().sessions;
  for (;;) {
    if (wanted) {
      Phase phase = fleet_.session(*wanted).phase;
      if (is_asleep(phase)) co_return wanted;
      if (phase == Phase::kGone) co_return std::nullopt;
    }
    for (uint32_t i = 0; i < sessions && !wanted; ++i) {
      uint32_t session = next_in_turn();
      if (is_asleep(fleet_.session(session).phase)) co_return session;
    }
    if (now_us() > give_up_us) co_return std::nullopt;
    if (auto slept = co_await loop_.sleep(1); !slept) co_return std::nullopt;
  }
}

io::Task<void> Driver::errands(Command command, JsonObject* answer) {
  if (!settled()) {
    refuse(answer, "sessions are still connecting: wait-connected first");
    co_return;
  }
  bool all = command.verb == Verb::kDoneAll || command.verb == Verb::kCommandAll;
  bool done = command.verb == Verb::kDone || command.verb == Verb::kDoneAll;
  auto count = all ? fleet_.settings().sessions : uint64_t(*command.number);
  double rate = rate_of(command, all);
  fleet_.begin_round();
  Round& round = fleet_.round();
  uint64_t begun_us = now_us();
  for (uint64_t k = 0; k < count; ++k) {
    uint64_t due = due_us(begun_us, k, rate);
    if (auto waited = co_await timer_.until(loop_, due); !waited) co_return;
    std::optional<uint32_t> wanted;
    if (all) wanted = uint32_t(k);
    auto session = co_await find_sleeper(wanted, now_us() + timeout_us(command));
    if (session) fleet_.send_on(*session, done ? Errand::kDone : Errand::kCommand, due);
    if (!session && !(all && fleet_.session(uint32_t(k)).phase == Phase::kGone)) {
      refuse(answer, "timeout: no session came back to sleep");
      break;
    }
    if (auto turned = co_await loop_.yield(); !turned) co_return;
  }
  uint64_t give_up_us = now_us() + timeout_us(command);
  while (!round.all_back() && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) break;
  }
  if (!round.all_back()) refuse(answer, "timeout: some sessions are not back in IDLE");
  if (round.answered != round.begun) refuse(answer, "some sessions did not answer");
  answer->add("asked", round.begun).add("answered", round.answered);
  answer->add_json("latency", round.latency.json()).add_json("lateness", round.lateness.json());
}

io::Task<void> Driver::log_out(Command command, JsonObject* answer) {
  double rate = command.option("rate", 0);
  uint64_t begun_us = now_us();
  for (uint32_t i = 0; i < fleet_.settings().sessions; ++i) {
    if (auto waited = co_await timer_.until(loop_, due_us(begun_us, i, rate)); !waited) co_return;
    fleet_.log_out(i);
    if (auto turned = co_await loop_.yield(); !turned) co_return;
  }
  uint64_t give_up_us = now_us() + timeout_us(command);
  while (fleet_.counters().connected > 0 && now_us() < give_up_us) {
    if (auto slept = co_await loop_.sleep(kLookMs); !slept) break;
  }
  if (fleet_.counters().connected > 0) refuse(answer, "timeout: not all sessions are logged out");
}

}  // namespace dormouse::loadtest
