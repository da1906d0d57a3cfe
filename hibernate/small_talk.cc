#include "hibernate/small_talk.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/small_talk.h"

namespace dormouse::hibernate {
namespace {

using Parked = wire::WorkerToDen::Parked;

bool equal_ignoring_case(std::string_view a, std::string_view upper) {
  return std::ranges::equal(
      a, upper, [](char x, char y) { return (x >= 'a' && x <= 'z' ? char(x - 32) : x) == y; });
}

// RFC 3501: tag = 1*<any ASTRING-CHAR except "+">.
bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kTagBytesMax) return false;
  return std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("(){%*\"\\+").find(c) == std::string_view::npos;
  });
}

// Where nothing could be pushed, a command's answer brings it (RFC 3501 7.3.1).
void tell_arrivals(const Sleeper& sleeper, SmallTalk& talk) {
  if (sleeper.pending == 0 || talk.told) return;
  talk.output += fmt::format("* {} EXISTS\r\n", sleeper.exists + sleeper.pending);
  talk.told = true;
}

// One line without its end. False: not for us. The order of what is said is a worker's.
bool answer(std::string_view line, const Sleeper& sleeper, SmallTalk& talk) {
  if (talk.mode == Parked::IDLE) {
    if (!equal_ignoring_case(line, "DONE")) return false;
    tell_arrivals(sleeper, talk);
    talk.output += fmt::format("{} {}\r\n", talk.idle_tag, wire::kIdleCompleted);
    talk.mode = sleeper.selected ? Parked::SELECTED : Parked::AUTHENTICATED;
    talk.idle_tag.clear();
    ++talk.done;
    return true;
  }
  size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  std::string_view tag = line.substr(0, space);
  std::string_view command = line.substr(space + 1);
  if (!is_tag(tag)) return false;
  bool reports = equal_ignoring_case(command, "NOOP") || equal_ignoring_case(command, "CHECK");
  if (sleeper.polled && reports) return false;
  if (equal_ignoring_case(command, "NOOP")) {
    tell_arrivals(sleeper, talk);
    talk.output += fmt::format("{} {}\r\n", tag, wire::kNoopCompleted);
    ++talk.noop;
    return true;
  }
  // Nothing of ours waits for a checkpoint, so it is a NOOP that needs a mailbox.
  if (equal_ignoring_case(command, "CHECK") && talk.mode == Parked::SELECTED) {
    tell_arrivals(sleeper, talk);
    talk.output += fmt::format("{} {}\r\n", tag, wire::kCheckCompleted);
    ++talk.check;
    return true;
  }
  if (equal_ignoring_case(command, "IDLE")) {
    talk.output += wire::kIdleContinuation;
    tell_arrivals(sleeper, talk);
    talk.mode = Parked::IDLE;
    talk.idle_tag = tag;
    ++talk.idle;
    return true;
  }
  if (equal_ignoring_case(command, "LOGOUT")) {
    talk.output += fmt::format("{}{} {}\r\n", wire::kLogoutBye, tag, wire::kLogoutCompleted);
    talk.verdict = SmallTalk::Verdict::kLogout;
    return true;
  }
  return false;
}

}  // namespace

SmallTalk talk(std::string_view input, const Sleeper& sleeper) {
  SmallTalk result;
  result.mode = sleeper.mode;
  result.idle_tag = sleeper.idle_tag;
  while (result.verdict == SmallTalk::Verdict::kAnswered) {
    std::string_view rest = input.substr(result.consumed_bytes);
    size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      if (rest.size() >= kLineBytesMax) result.verdict = SmallTalk::Verdict::kAttach;
      break;
    }
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (sleeper.changed || !answer(line, sleeper, result)) {
      result.verdict = SmallTalk::Verdict::kAttach;
      break;
    }
    result.consumed_bytes += end + 1;
  }
  return result;
}

}  // namespace dormouse::hibernate
