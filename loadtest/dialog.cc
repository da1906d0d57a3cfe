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

void Dialog::idle(Session& state, std::string& send) const {
  begin(state, Phase::kIdleAsked, "IDLE", send);
}

void Dialog::login(uint32_t session, Session& state, std::string& send) const {
  uint32_t user = user_of(session);
  auto name = quoted(user_name(user));
  auto password = quoted(settings_.password.name(uint64_t{settings_.first_user} + user));
  DORMOUSE_CHECK(name && password, "patterns are checked before they come here");
  begin(state, Phase::kLogin, fmt::format("LOGIN {} {}", *name, *password), send);
}

void Dialog::done(Session& state, std::string& send) const {
  state.phase = Phase::kDone;
  send += "DONE\r\n";
}

void Dialog::done_and_command(Session& state, std::string& send) const {
  send += "DONE\r\n";
  std::string_view command = settings_.command;
  if (command.empty()) command = state.exists > 0 ? "FETCH 1 (FLAGS)" : "NOOP";
  begin(state, Phase::kDoneThenCommand, command, send);
}

void Dialog::done_and_logout(Session& state, std::string& send) const {
  send += "DONE\r\n";
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
  return {.what = What::kIdle};
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
    return {.what = state.phase == Phase::kIdle ? What::kStillHere : What::kNothing};
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
      if (settings_.fetch_headers > 0 && state.exists > 0) {
        uint32_t first = state.exists - std::min(state.exists, settings_.fetch_headers) + 1;
        begin(state, Phase::kFetch,
              fmt::format("FETCH {}:{} (UID FLAGS BODY.PEEK[HEADER])", first, state.exists), send);
      } else {
        idle(state, send);
      }
      return {.what = What::kSelected};
    case Phase::kFetch:
      idle(state, send);
      return {};
    case Phase::kDone:
      idle(state, send);
      return {.what = What::kDone};
    case Phase::kDoneThenCommand:
      state.phase = Phase::kCommand;
      return {.what = What::kDone};
    case Phase::kCommand:
      idle(state, send);
      return {.what = What::kCommandDone};
    default:
      return broken(fmt::format("{} ended by the server", name_of(state.phase)), response.text);
  }
}

}  // namespace dormouse::loadtest
