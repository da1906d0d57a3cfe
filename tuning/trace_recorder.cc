#include "tuning/trace_recorder.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace dormouse::tuning {
namespace {

class Numberer {
 public:
  explicit Numberer(Trace& trace) : trace_(trace) {}

  // False: a bound is reached, and the event is lost.
  bool take(const RawTraceEvent& raw, uint64_t at_ms) {
    Known& known = sessions_[raw.session];
    if (known.closed) return true;
    bool fresh = known.number == 0;
    if (fresh && trace_.sessions >= kTraceSessionsMax) return false;
    // With the open that it may bring.
    if (trace_.entries.size() + 2 > kTraceEntriesMax) return false;
    if (fresh) {
      known.number = ++trace_.sessions;
      trace_.entries.push_back({at_ms, known.number, TraceEvent::kOpen, 0});
    }
    TraceEntry entry{at_ms, known.number, raw.event, 0};
    switch (raw.event) {
      case TraceEvent::kOpen:
        return true;
      case TraceEvent::kIdle:
      case TraceEvent::kDone: {
        bool idle = raw.event == TraceEvent::kIdle;
        if (known.idle == idle) return true;
        known.idle = idle;
        break;
      }
      case TraceEvent::kId:
        entry.client = client(raw.client);
        if (entry.client == 0 || entry.client == known.client) return true;
        known.client = entry.client;
        break;
      case TraceEvent::kClose:
        known.closed = true;
        break;
      case TraceEvent::kCommand:
      case TraceEvent::kTalk:
        break;
    }
    trace_.entries.push_back(entry);
    return true;
  }

 private:
  struct Known {
    uint32_t number = 0;
    uint32_t client = 0;
    bool idle = false;
    bool closed = false;
  };

  // 0: nothing, or too many kinds.
  uint32_t client(uint64_t digest) {
    if (digest == 0) return 0;
    auto found = clients_.find(digest);
    if (found != clients_.end()) return found->second;
    if (clients_.size() >= kTraceClientsMax) return 0;
    return clients_.emplace(digest, uint32_t(clients_.size() + 1)).first->second;
  }

  Trace& trace_;
  std::unordered_map<uint64_t, Known> sessions_;
  std::unordered_map<uint64_t, uint32_t> clients_;
};

}  // namespace

bool TraceRecorder::add(const RawTraceEvent& event) {
  if (events_.size() >= kTraceEntriesMax) {
    ++lost_;
    return false;
  }
  events_.push_back({event, events_.size()});
  return true;
}

Trace TraceRecorder::finish(uint64_t begin_ms, uint64_t end_ms) {
  Trace trace;
  trace.lost = lost_;
  trace.end_ms = std::min(end_ms - std::min(begin_ms, end_ms), kTraceMsMax);
  // Events of one session come from one worker at a time, in their order: that is kept.
  std::ranges::sort(events_, {},
                    [](const Held& held) { return std::pair(held.event.at_ms, held.number); });
  Numberer numberer(trace);
  for (const auto& [raw, number] : events_) {
    if (raw.at_ms < begin_ms || raw.at_ms - begin_ms > trace.end_ms) continue;
    if (!numberer.take(raw, raw.at_ms - begin_ms)) ++trace.lost;
  }
  return trace;
}

}  // namespace dormouse::tuning
