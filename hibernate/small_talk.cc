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

// One line without its end. False: not for us.
bool answer(std::string_view line, bool selected, SmallTalk& talk) {
  if (talk.mode == Parked::IDLE) {
    if (!equal_ignoring_case(line, "DONE")) return false;
    talk.output += fmt::format("{} {}\r\n", talk.idle_tag, wire::kIdleCompleted);
    talk.mode = selected ? Parked::SELECTED : Parked::AUTHENTICATED;
    talk.idle_tag.clear();
    ++talk.done;
    return true;
  }
  size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  std::string_view tag = line.substr(0, space);
  std::string_view command = line.substr(space + 1);
  if (!is_tag(tag)) return false;
  if (equal_ignoring_case(command, "NOOP")) {
    talk.output += fmt::format("{} {}\r\n", tag, wire::kNoopCompleted);
    ++talk.noop;
    return true;
  }
  if (equal_ignoring_case(command, "IDLE")) {
    talk.output += wire::kIdleContinuation;
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

SmallTalk talk(std::string_view input, ParkedMode mode, std::string_view idle_tag, bool selected,
               bool changed) {
  SmallTalk result;
  result.mode = mode;
  result.idle_tag = idle_tag;
  while (result.verdict == SmallTalk::Verdict::kAnswered) {
    std::string_view rest = input.substr(result.consumed_bytes);
    size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      if (rest.size() >= kLineBytesMax) result.verdict = SmallTalk::Verdict::kAttach;
      break;
    }
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (changed || !answer(line, selected, result)) {
      result.verdict = SmallTalk::Verdict::kAttach;
      break;
    }
    result.consumed_bytes += end + 1;
  }
  return result;
}

}  // namespace dormouse::hibernate
