#pragma once
// A trace: when sessions were used, and nothing else of them. What the simulator replays and
// `dormouse trace` records. No names, no addresses, no content: sessions and kinds of clients are
// numbered in the order in which they appear.
//
// grammar, version 1 (text, so that whoever records one can read that nothing else is in it):
//   trace   = "dormouse-trace 1" LF *entry end
//   entry   = time SP session SP event LF
//   time    = number            ; ms since the trace began, never less than in the line before
//   session = number            ; from 1; a new one is one more than all before, and "open" first
//   event   = "open"            ; logged in, or seen for the first time
//           / "id" SP number    ; the client said what it is (RFC 2971); from 1, numbered likewise
//           / "command"         ; one that a sleeper wakes for
//           / "talk"            ; one that the den answers: NOOP, CHECK
//           / "idle" / "done"   ; IDLE, and its end
//           / "close"           ; last of its session
//   end     = "end" SP time SP "lost" SP number LF   ; events that could not be recorded
//   number  = "0" / (%x31-39 *19DIGIT)

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"

namespace dormouse::tuning {

enum class TraceEvent : uint8_t { kOpen, kId, kCommand, kTalk, kIdle, kDone, kClose };

struct TraceEntry {
  uint64_t at_ms = 0;
  uint32_t session = 0;  // from 1
  TraceEvent event = TraceEvent::kOpen;
  uint32_t client = 0;  // of kId, from 1
  bool operator==(const TraceEntry&) const = default;
};

struct Trace {
  std::vector<TraceEntry> entries;  // ascending by time
  uint32_t sessions = 0;
  uint64_t end_ms = 0;
  uint64_t lost = 0;
  bool operator==(const Trace&) const = default;
};

// A day of 100,000 sessions with 100 events each, in 240 MB of memory.
inline constexpr size_t kTraceEntriesMax = 10'000'000;
// As text: 25 bytes an entry.
inline constexpr size_t kTraceBytesMax = 25 * kTraceEntriesMax;
inline constexpr uint32_t kTraceSessionsMax = 1'000'000;
inline constexpr uint32_t kTraceClientsMax = 10'000;
inline constexpr uint64_t kTraceMsMax = 31ull * 24 * 3600 * 1000;

// kInvalid with the line's number; kLimit.
Result<Trace> parse_trace(std::string_view text);
std::string format_trace(const Trace& trace);
// What every Trace holds: order, numbering, bounds. parse_trace() answers no other.
Result<> check_trace(const Trace& trace);

}  // namespace dormouse::tuning
