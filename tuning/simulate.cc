#include "tuning/simulate.h"

#include <algorithm>
#include <vector>

#include "tuning/client_habits.h"
#include "tuning/session_rhythm.h"

namespace dormouse::tuning {
namespace {

struct Simulated {
  SessionRhythm rhythm;
  uint64_t client = 0;
  uint64_t awake_since_ms = 0;
  uint64_t word_ms = 0;     // the client's last word
  uint64_t settled_ms = 0;  // since when due_ms holds
  uint64_t due_ms = 0;
  bool idle = false;
  bool awake = false;
  bool open = false;
};

class Simulation {
 public:
  Simulation(const Trace& trace, const SimulatedPolicy& policy, const SimulationPrices& prices)
      : trace_(trace), policy_(policy), prices_(prices), sessions_(trace.sessions) {}

  SimulationResult run() {
    for (const TraceEntry& entry : trace_.entries) take(entry);
    for (Simulated& session : sessions_) {
      if (session.open) end(session, trace_.end_ms);
    }
    double worth_s = double(prices_.wake_worth_ms) / 1000;
    result_.added_latency_ms = double(result_.wakes) * prices_.wake_latency_ms;
    result_.cost_s = result_.awake_s + double(result_.wakes) * worth_s * (1 - prices_.park_share) +
                     double(result_.parks) * worth_s * prices_.park_share;
    return result_;
  }

 private:
  void take(const TraceEntry& entry) {
    Simulated& session = sessions_[entry.session - 1];
    uint64_t now_ms = entry.at_ms;
    if (session.open) park_if_due(session, now_ms);
    switch (entry.event) {
      case TraceEvent::kOpen:
        session.rhythm = SessionRhythm(now_ms);
        session.open = session.awake = true;
        session.awake_since_ms = now_ms;
        break;
      case TraceEvent::kId:
        session.client = entry.client;
        break;
      case TraceEvent::kCommand:
        ++result_.commands;
        if (!session.awake) ++result_.wakes;
        if (!session.awake) session.awake_since_ms = now_ms;
        session.awake = true;
        session.rhythm.command_came(now_ms, session.client, habits_);
        break;
      case TraceEvent::kIdle:
        session.idle = true;
        session.rhythm.in_idle();
        break;
      case TraceEvent::kDone:
        session.idle = false;
        session.rhythm.talked(now_ms);
        break;
      case TraceEvent::kTalk:
        session.rhythm.talked(now_ms);
        break;
      case TraceEvent::kClose:
        end(session, now_ms);
        return;
    }
    session.word_ms = now_ms;
    if (session.awake) settle(session, now_ms);
  }

  void settle(Simulated& session, uint64_t now_ms) {
    session.settled_ms = now_ms;
    session.due_ms = due_ms(session);
  }

  uint64_t due_ms(const Simulated& session) const {
    if (policy_.fixed_ms && policy_.fixed_other_ms) {
      return session.word_ms + (session.idle ? *policy_.fixed_ms : *policy_.fixed_other_ms);
    }
    if (policy_.fixed_ms) return session.rhythm.gap_since_ms() + *policy_.fixed_ms;
    Quiet quiet = session.idle ? Quiet::kIdle : Quiet::kOther;
    ParkAdvice advice =
        session.rhythm.advise(policy_.parameters, quiet, session.client,
                              policy_.learns_kinds ? habits_ : nothing_, policy_.pressure, 0);
    return session.rhythm.park_at_ms(advice, quiet, 0);
  }

  void park_if_due(Simulated& session, uint64_t now_ms) {
    // A client that speaks at that very moment is awake still.
    uint64_t at_ms = std::max(session.due_ms, session.settled_ms);
    if (!session.awake || at_ms >= now_ms) return;
    session.awake = false;
    ++result_.parks;
    result_.awake_s += double(at_ms - session.awake_since_ms) / 1000;
  }

  void end(Simulated& session, uint64_t now_ms) {
    park_if_due(session, now_ms);
    if (session.awake) result_.awake_s += double(now_ms - session.awake_since_ms) / 1000;
    session.open = session.awake = false;
  }

  const Trace& trace_;
  const SimulatedPolicy& policy_;
  const SimulationPrices& prices_;
  std::vector<Simulated> sessions_;
  ClientHabits habits_;
  const ClientHabits nothing_;
  SimulationResult result_;
};

}  // namespace

SimulationResult simulate(const Trace& trace, const SimulatedPolicy& policy,
                          const SimulationPrices& prices) {
  return Simulation(trace, policy, prices).run();
}

SimulationResult hindsight(const Trace& trace, const SimulationPrices& prices) {
  SimulationResult result;
  std::vector<uint64_t> since_ms(trace.sessions, UINT64_MAX);
  double worth_ms = double(prices.wake_worth_ms);
  double park_ms = worth_ms * prices.park_share;
  auto gap = [&](uint32_t session, uint64_t now_ms, bool wakes) {
    uint64_t& since = since_ms[session - 1];
    if (since == UINT64_MAX) return;
    double gap_ms = double(now_ms - since);
    double sleep_ms = wakes ? worth_ms : park_ms;
    if (sleep_ms < gap_ms) {
      ++result.parks;
      result.wakes += wakes ? 1 : 0;
      result.cost_s += sleep_ms / 1000;
    } else {
      result.awake_s += gap_ms / 1000;
      result.cost_s += gap_ms / 1000;
    }
    since = wakes ? now_ms : UINT64_MAX;
  };
  for (const TraceEntry& entry : trace.entries) {
    if (entry.event == TraceEvent::kOpen) since_ms[entry.session - 1] = entry.at_ms;
    if (entry.event == TraceEvent::kCommand) {
      ++result.commands;
      gap(entry.session, entry.at_ms, true);
    }
    if (entry.event == TraceEvent::kClose) gap(entry.session, entry.at_ms, false);
  }
  for (uint32_t session = 1; session <= trace.sessions; ++session) {
    gap(session, trace.end_ms, false);
  }
  result.added_latency_ms = double(result.wakes) * prices.wake_latency_ms;
  return result;
}

}  // namespace dormouse::tuning
