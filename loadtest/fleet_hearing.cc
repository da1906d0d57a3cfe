// What the fleet hears from its sessions, and what it counts of it.

#include <algorithm>

#include "loadtest/fleet.h"

namespace dormouse::loadtest {

using What = Heard::What;

// Answers false when the session has ended.
bool Fleet::listen(uint32_t session, Awake& awake, std::string_view plain) {
  // The scanner lives in `awake`, which end() frees: the end waits until the scanner is done.
  std::optional<std::string> ending;
  awake.scanner.feed(plain, [&](const Response& response) {
    std::string text;
    Heard heard = dialog_.hear(response, session, sessions_[session], text);
    bool polls = awake.errand == Errand::kPoll;
    if (heard.what != What::kStillHere && !polls) last_activity_us_ = received_us_;
    if (heard.what == What::kCompressed) {
      auto begun = awake.stream.start_compress();
      if (!begun) heard = {.what = What::kBroken, .reason = begun.error().message};
    }
    act(session, awake, heard);
    if (heard.what == What::kBroken || heard.what == What::kBye) ending = heard.reason;
    if (text.empty() || ending) return !ending;
    auto sealed = awake.stream.put(text, awake.next);
    if (!sealed) ending = sealed.error().message;
    return !ending;
  });
  if (awake.scanner.broken()) ending = "a literal beyond 32 bits";
  if (ending) end(session, *ending);
  return !ending;
}

void Fleet::act(uint32_t session, Awake& awake, const Heard& heard) {
  switch (heard.what) {
    case What::kSelected:
      ledger_.selected(dialog_.user_of(session), sessions_[session].exists);
      sessions_[session].selected = true;
      break;
    case What::kExists:
      heard_exists(session, heard);
      break;
    case What::kExpunge:
      ++counters_.expunges;
      break;
    case What::kStillHere:
      ++counters_.keepalives;
      break;
    case What::kDone:
      if (awake.errand != Errand::kCommand) answered(awake);
      break;
    case What::kCommandDone:
      answered(awake);
      break;
    case What::kCompressed:
      ++counters_.compressed;
      break;
    case What::kNothing:
    case What::kBye:
    case What::kBroken:
      break;  // listen() ends the session
  }
  if (heard.asleep) fell_asleep(session, awake);
}

void Fleet::answered(Awake& awake) {
  uint64_t latency_us = received_us_ - std::min(received_us_, awake.intended_us);
  if (awake.errand == Errand::kPoll) poll_latency_.record(latency_us);
  if (awake.round != round_number_) return;
  ++round_.answered;
  round_.latency.record(latency_us);
}

void Fleet::heard_exists(uint32_t session, const Heard& heard) {
  bool timed = dialog_.kind_of(session) != Dialog::Kind::kPoller;
  auto verdict =
      ledger_.heard(dialog_.user_of(session), heard.before, heard.number, received_us_, timed);
  if (verdict == DeliveryLedger::Verdict::kRepeated) ++counters_.repeated_exists;
  if (verdict == DeliveryLedger::Verdict::kUnexpected) ++counters_.unexpected_exists;
}

void Fleet::fell_asleep(uint32_t session, Awake& awake) {
  ++counters_.idle;
  if (settings_.may_drop_awake) settling_[session] = received_us_;
  if (awake.errand == Errand::kLogin) {
    ++counters_.logins;
    ++login_round_.answered;
    ++login_round_.back;
    login_round_.latency.record(received_us_ - std::min(received_us_, awake.intended_us));
    sessions_[session].settled = true;
    awake.deadline_us = 0;
  } else if (awake.round == round_number_) {
    ++round_.back;
  }
  awake.errand = Errand::kNone;
}

}  // namespace dormouse::loadtest
