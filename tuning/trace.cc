#include "tuning/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace dormouse::tuning {
namespace {

constexpr std::string_view kFirstLine = "dormouse-trace 1";
constexpr std::array<std::string_view, 7> kEventNames = {"open", "id",   "command", "talk",
                                                         "idle", "done", "close"};

// Splits at single spaces; too many words leave `rest` not empty.
std::string_view take_word(std::string_view& rest) {
  size_t space = rest.find(' ');
  std::string_view word = rest.substr(0, space);
  rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  return word;
}

bool take_number(std::string_view word, uint64_t most, uint64_t& number) {
  if (word.empty() || (word[0] == '0' && word.size() > 1)) return false;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size() && number <= most;
}

// What is wrong with entries one after the other; "" if nothing.
class Checker {
 public:
  std::string_view wrong_with(const TraceEntry& entry) {
    if (entry.at_ms < last_ms_) return "the time goes back";
    if (entry.at_ms > kTraceMsMax) return "the time is over its bound";
    last_ms_ = entry.at_ms;
    bool fresh = entry.session == open_.size() + 1;
    if (entry.session == 0 || entry.session > open_.size() + 1) return "sessions are skipped";
    if (fresh != (entry.event == TraceEvent::kOpen)) return "a session begins with open, once";
    if (fresh && open_.size() >= kTraceSessionsMax) return "too many sessions";
    if (fresh) open_.push_back(true);
    if (!open_[entry.session - 1]) return "the session is closed";
    if (entry.event == TraceEvent::kClose) open_[entry.session - 1] = false;
    if ((entry.client != 0) != (entry.event == TraceEvent::kId)) return "a client belongs to id";
    if (entry.client > clients_ + 1) return "clients are skipped";
    if (entry.client > kTraceClientsMax) return "too many clients";
    clients_ = std::max(clients_, entry.client);
    return "";
  }
  uint64_t last_ms() const { return last_ms_; }
  uint32_t sessions() const { return uint32_t(open_.size()); }

 private:
  std::vector<bool> open_;
  uint64_t last_ms_ = 0;
  uint32_t clients_ = 0;
};

bool parse_entry(std::string_view line, TraceEntry& entry) {
  uint64_t session = 0;
  uint64_t client = 0;
  if (!take_number(take_word(line), UINT64_MAX, entry.at_ms)) return false;
  if (!take_number(take_word(line), kTraceSessionsMax, session)) return false;
  auto name = std::ranges::find(kEventNames, take_word(line));
  if (name == kEventNames.end()) return false;
  entry.session = uint32_t(session);
  entry.event = TraceEvent(name - kEventNames.begin());
  if (entry.event == TraceEvent::kId) {
    if (!take_number(take_word(line), kTraceClientsMax, client)) return false;
    entry.client = uint32_t(client);
  }
  return line.empty();
}

bool parse_end(std::string_view line, Trace& trace) {
  return take_word(line) == "end" && take_number(take_word(line), kTraceMsMax, trace.end_ms) &&
         take_word(line) == "lost" && take_number(take_word(line), UINT64_MAX, trace.lost) &&
         line.empty();
}

}  // namespace

Result<> check_trace(const Trace& trace) {
  if (trace.entries.size() > kTraceEntriesMax) return fail(ErrorKind::kLimit, "too many events");
  Checker checker;
  for (const TraceEntry& entry : trace.entries) {
    if (auto wrong = checker.wrong_with(entry); !wrong.empty()) {
      return fail(ErrorKind::kInvalid, std::string(wrong));
    }
  }
  if (trace.end_ms < checker.last_ms() || trace.end_ms > kTraceMsMax) {
    return fail(ErrorKind::kInvalid, "the end is before the last event, or over its bound");
  }
  if (trace.sessions != checker.sessions()) return fail(ErrorKind::kInvalid, "count of sessions");
  return {};
}

Result<Trace> parse_trace(std::string_view text) {
  Trace trace;
  if (text.size() > kTraceBytesMax) return fail(ErrorKind::kLimit, "trace: too long");
  Checker checker;
  uint64_t number = 0;
  auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::kInvalid, fmt::format("trace: line {}: {}", number, why));
  };
  bool ended = false;
  while (!text.empty()) {
    ++number;
    size_t end = text.find('\n');
    if (end == std::string_view::npos) return refuse("no end of line");
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (ended) return refuse("something after the end");
    if (number == 1) {
      if (line != kFirstLine) return refuse("not a trace of version 1");
    } else if (line.starts_with("end ")) {
      ended = !line.ends_with(' ') && parse_end(line, trace);
      if (!ended) return refuse("no end line");
    } else {
      TraceEntry entry;
      if (line.ends_with(' ') || !parse_entry(line, entry)) return refuse("not an entry");
      if (auto wrong = checker.wrong_with(entry); !wrong.empty()) return refuse(wrong);
      if (trace.entries.size() >= kTraceEntriesMax) {
        return fail(ErrorKind::kLimit, "trace: too many events");
      }
      trace.entries.push_back(entry);
    }
  }
  if (!ended) return refuse("the end is missing");
  if (trace.end_ms < checker.last_ms()) return refuse("the end is before the last event");
  trace.sessions = checker.sessions();
  return trace;
}

std::string format_trace(const Trace& trace) {
  std::string text = fmt::format("{}\n", kFirstLine);
  auto out = std::back_inserter(text);
  for (const TraceEntry& entry : trace.entries) {
    fmt::format_to(out, "{} {} {}", entry.at_ms, entry.session, kEventNames[size_t(entry.event)]);
    if (entry.event == TraceEvent::kId) fmt::format_to(out, " {}", entry.client);
    text += '\n';
  }
  fmt::format_to(out, "end {} lost {}\n", trace.end_ms, trace.lost);
  return text;
}

}  // namespace dormouse::tuning
