#pragma once
// TraceRecorder: from what workers say of their sessions to a Trace. Sessions and kinds of clients
// get their numbers here, so what is written down knows neither.

#include <cstdint>
#include <vector>

#include "tuning/trace.h"

namespace dormouse::tuning {

struct RawTraceEvent {
  uint64_t at_ms = 0;    // of any clock, the same for all
  uint64_t session = 0;  // of any numbering
  uint64_t client = 0;   // of kId: any digest; 0 says nothing
  TraceEvent event = TraceEvent::kOpen;
};

class TraceRecorder {
 public:
  // False: kTraceEntriesMax is reached, and this one counts as lost.
  bool add(const RawTraceEvent& event);
  void add_lost(uint64_t events) { lost_ += events; }
  size_t size() const { return events_.size(); }

  // Puts them in order, leaves out what tells nothing new (IDLE in IDLE, after the close) and lets
  // every session begin with "open", seen or not. What happened outside the two times is left out.
  Trace finish(uint64_t begin_ms, uint64_t end_ms);

 private:
  struct Held {
    RawTraceEvent event;
    size_t number;  // in the order in which they came
  };
  std::vector<Held> events_;
  uint64_t lost_ = 0;
};

}  // namespace dormouse::tuning
