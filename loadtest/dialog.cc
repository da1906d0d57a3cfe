#include "loadtest/dialog.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace dormouse::loadtest {
namespace {

using What = Heard::What;

// Of a server's words, what a report needs; they are printed, so no control characters.
std::string excerpt(std::string_view text) {
  constexpr size_t kExcerptBytesMax = 120;
  std::string kept(text.substr(0, kExcerptBytesMax));
  for (char& c : kept) {
    if (c < ' ' || c > '~') c = '?';
  }
  return kept;
}

Heard broken(std::string_view what, std::string_view text) {
  return {.what = What::kBroken, .reason = fmt::format("{}: {}", what, excerpt(text))};
}

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::kLogin:
      return "LOGIN";
    case Phase::kCompress:
      return "COMPRESS";
    case Phase::kSelect:
      return "SELECT";
    case Phase::kFetch:
      return "FETCH";
    case Phase::kNotify:
      return "NOTIFY";
    case Phase::kQuiet:
      return "sleeping";
    case Phase::kPoll:
      return "NOOP";
    case Phase::kIdleAsked:
      return "IDLE";
    case Phase::kIdle:
      return "sleeping in IDLE";
    case Phase::kDone:
    case Phase::kDoneThenCommand:
      return "DONE";
    case Phase::kCommand:
      return "command";
    case Phase::kLogout:
      return "LOGOUT";
    default:
      return "connection";
  }
}

}  // namespace

Result<std::string> quoted(std::string_view text) {
  std::string made = "\"";
  for (char c : text) {
    if (c < ' ' || c == '\x7f') return fail(ErrorKind::kInvalid, "unfit for a quoted string");
    if (c == '"' || c == '\\') made += '\\';
    made += c;
  }
  return made + '"';
}

std::string Dialog::user_name(uint32_t user) const {
  return settings_.user.name(uint64_t{settings_.first_user} + user);
}

bool Dialog::compresses(uint32_t session) const {
  return uint64_t((session + 1) * settings_.compress) > uint64_t(session * settings_.compress);
}

void Dialog::begin(Session& state, Phase phase, std::string_view command, std::string& send) const {
  ++state.tag;
  state.phase = phase;
  fmt::format_to(std::back_inserter(send), "t{} {}\r\n", state.tag, command);
}

// Spread evenly, whatever the shares and their order: multiples of the golden ratio, their
// fractions.
Dialog::Kind Dialog::kind_of(uint32_t session) const {
  double position = double(uint32_t(session * 0x9e3779b9u)) / 0x1p32;
  if (position < settings_.poll) return Kind::kPoller;
  if (position < settings_.poll + settings_.notify) return Kind::kNotifier;
  return Kind::kIdler;
}

void Dialog::rest(uint32_t session, Session& state, std::string& send, Heard& heard) const {
  Kind kind = kind_of(session);
  bool notify_asked = state.phase == Phase::kNotify || state.phase == Phase::kPoll ||
                      state.phase == Phase::kCommand;
  if (kind == Kind::kIdler) {
    begin(state, Phase::kIdleAsked, "IDLE", send);
  } else if (kind == Kind::kNotifier && !notify_asked) {
    begin(state, Phase::kNotify, "NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))",
          send);
  } else {
    state.phase = Phase::kQuiet;
    heard.asleep = true;
  }
}

void Dialog::login(uint32_t session, Session& state, std::string& send) const {
  uint32_t user = user_of(session);
  auto name = quoted(user_name(user));
  auto password = quoted(settings_.password.name(uint64_t{settings_.first_user} + user));
  DORMOUSE_CHECK(name && password, "patterns are checked before they come here");
  begin(state, Phase::kLogin, fmt::format("LOGIN {} {}", *name, *password), send);
}

void Dialog::done(Session& state, std::string& send) const {
  if (state.phase == Phase::kQuiet) return begin(state, Phase::kPoll, "NOOP", send);
  state.phase = Phase::kDone;
  send += "DONE\r\n";
}

void Dialog::done_and_command(Session& state, std::string& send) const {
  std::string_view command = settings_.command;
  if (command.empty()) command = state.exists > 0 ? "FETCH 1 (FLAGS)" : "NOOP";
  if (state.phase == Phase::kQuiet) return begin(state, Phase::kCommand, command, send);
  send += "DONE\r\n";
  begin(state, Phase::kDoneThenCommand, command, send);
}

void Dialog::done_and_logout(Session& state, std::string& send) const {
  if (state.phase == Phase::kIdle) send += "DONE\r\n";
  begin(state, Phase::kLogout, "LOGOUT", send);
}

Heard Dialog::hear(const Response& response, uint32_t session, Session& state,
                   std::string& send) const {
  switch (response.kind) {
    case ResponseKind::kUntagged:
      return hear_untagged(response, session, state, send);
    case ResponseKind::kTagged:
      return hear_tagged(response, session, state, send);
    case ResponseKind::kContinuation:
      break;
  }
  if (state.phase != Phase::kIdleAsked) {
    return broken(fmt::format("continuation during {}", name_of(state.phase)), response.text);
  }
  state.phase = Phase::kIdle;
  return {.what = What::kNothing, .asleep = true};
}

Heard Dialog::hear_untagged(const Response& response, uint32_t session, Session& state,
                            std::string& send) const {
  std::string_view text = response.text;
  if (begins_with_word(text, "BYE")) {
    if (state.phase == Phase::kLogout) return {.what = What::kBye};
    return broken(fmt::format("BYE during {}", name_of(state.phase)), text);
  }
  if (state.phase == Phase::kGreeting) {
    if (begins_with_word(text, "OK")) {
      login(session, state, send);
      return {};
    }
    return broken("greeting", text);
  }
  if (begins_with_word(text, "OK")) {
    return {.what = is_asleep(state.phase) ? What::kStillHere : What::kNothing};
  }
  auto data = numbered_data(text);
  if (!data) return {};
  if (begins_with_word(data->word, "EXISTS")) {
    Heard heard{.what = What::kExists, .number = data->number, .before = state.exists};
    state.exists = data->number;
    if (state.phase == Phase::kSelect) heard.what = What::kNothing;
    return heard;
  }
  if (begins_with_word(data->word, "EXPUNGE")) {
    if (state.exists > 0) --state.exists;
    return {.what = What::kExpunge};
  }
  return {};
}

void Dialog::select(Session& state, std::string& send) const {
  begin(state, Phase::kSelect, fmt::format("SELECT \"{}\"", settings_.mailbox), send);
}

Heard Dialog::hear_tagged(const Response& response, uint32_t session, Session& state,
                          std::string& send) const {
  // IDLE's tag, while the command behind it already has the next.
  bool for_idle = state.phase == Phase::kDoneThenCommand;
  auto tag = uint16_t(for_idle ? state.tag - 1 : state.tag);
  if (state.phase == Phase::kLogout) return {};  // IDLE's or LOGOUT's: the BYE says the rest
  if (response.tag != fmt::format("t{}", tag)) {
    return broken(fmt::format("wrong tag during {}", name_of(state.phase)), response.tag);
  }
  if (!begins_with_word(response.text, "OK")) {
    return broken(fmt::format("{} refused", name_of(state.phase)), response.text);
  }
  Heard heard;
  switch (state.phase) {
    case Phase::kLogin:
      if (compresses(session)) {
        begin(state, Phase::kCompress, "COMPRESS DEFLATE", send);
      } else {
        select(state, send);
      }
      return {};
    case Phase::kCompress:
      select(state, send);
      return {.what = What::kCompressed};
    case Phase::kSelect:
      heard.what = What::kSelected;
      if (settings_.fetch_headers > 0 && state.exists > 0) {
        uint32_t first = state.exists - std::min(state.exists, settings_.fetch_headers) + 1;
        begin(state, Phase::kFetch,
              fmt::format("FETCH {}:{} (UID FLAGS BODY.PEEK[HEADER])", first, state.exists), send);
      } else {
        rest(session, state, send, heard);
      }
      return heard;
    case Phase::kFetch:
    case Phase::kNotify:
      rest(session, state, send, heard);
      return heard;
    case Phase::kDone:
    case Phase::kPoll:
      heard.what = What::kDone;
      rest(session, state, send, heard);
      return heard;
    case Phase::kDoneThenCommand:
      state.phase = Phase::kCommand;
      return {.what = What::kDone};
    case Phase::kCommand:
      heard.what = What::kCommandDone;
      rest(session, state, send, heard);
      return heard;
    default:
      return broken(fmt::format("{} ended by the server", name_of(state.phase)), response.text);
  }
}

}  // namespace dormouse::loadtest
