// What a stress client says.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "loadtest/stress/client.h"

namespace dormouse::loadtest::stress {
namespace {

// Commands of which nothing is sent before their answer is there, and which wait for all answers:
// they change what the next commands mean, or what the bytes behind them are.
bool is_barrier(Verb verb) {
  switch (verb) {
    case Verb::kList:
    case Verb::kStatus:
    case Verb::kFetch:
    case Verb::kSearch:
    case Verb::kStore:
    case Verb::kExpunge:
    case Verb::kNoop:
      return false;
    default:
      return true;
  }
}

// An EXPUNGE right behind its STORE is not ambiguous, but Dovecot 2.3 may then leave the messages.
bool waits_for_answers(State state) {
  return state == State::kSelect || state == State::kExpunge || state == State::kAppend ||
         state == State::kIdle || state == State::kLogout;
}

// As many messages as a screen shows.
constexpr uint32_t kFetchMessagesMax = 20;

}  // namespace

std::string Client::quote(std::string_view text) const {
  std::string made = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    made += c;
  }
  return made + '"';
}

void Client::issue(Sent sent, const std::string& command, uint64_t now_us, std::string& send) {
  sent.tag = fmt::format("s{}", ++tag_);
  sent.line = command;
  if (sent.event == 0) sent.event = truth_.tick();
  sent.uid_next = truth_.uid_next;
  sent.sent_us = now_us;
  note('C', fmt::format("{} {}", sent.tag, sent.verb == Verb::kLogin ? "LOGIN ..." : command));
  fmt::format_to(std::back_inserter(send), "{} {}\r\n", sent.tag, command);
  sent_.push_back(std::move(sent));
}

bool Client::next_command(uint64_t now_us, std::string& send) {
  if (!greeted_ || bye_heard_ || finished_ || !complaints_.empty()) return false;
  if (sent_.size() >= settings_.pipeline) return false;
  if (std::ranges::any_of(sent_, is_barrier, &Sent::verb)) return false;
  if (sent_.empty() && begin_session(now_us, send)) return true;
  if (!logged_in_) return false;
  if (list_due_) {
    list_due_ = false;
    if (issue_listing(now_us, send)) return true;
  }
  return walk(now_us, send);
}

// What comes before the States: each step once, each awaited.
bool Client::begin_session(uint64_t now_us, std::string& send) {
  if (!logged_in_) {
    issue({.verb = Verb::kLogin, .state = State::kLogin},
          fmt::format("LOGIN {} {}", quote(settings_.user), quote(settings_.password)), now_us,
          send);
    return true;
  }
  if (capabilities_.empty() && !std::exchange(capability_asked_, true)) {
    issue({.verb = Verb::kCapability}, "CAPABILITY", now_us, send);
    return true;
  }
  if (!std::exchange(enable_asked_, true) && settings_.extensions) {
    uint32_t choice = random_.below(4);
    if (choice >= 2 && offers("QRESYNC")) extension_ = Extension::kQresync;
    if (choice == 1 && offers("CONDSTORE")) extension_ = Extension::kCondstore;
    if (extension_ == Extension::kQresync) {
      issue({.verb = Verb::kEnable}, "ENABLE QRESYNC", now_us, send);
      return true;
    }
  }
  return false;
}

// Goes on through the States until one says something.
bool Client::walk(uint64_t now_us, std::string& send) {
  // A table with only small chances still finds one in this many; then the client rests a moment.
  constexpr uint32_t kTriesMax = 10 * kStates;
  constexpr uint64_t kRestUs = 10'000;
  for (uint32_t tries = 0; tries < kTriesMax; ++tries) {
    auto state = State(walk_);
    if (stopping_) state = State::kLogout;
    if (!chosen_ && !stopping_) {
      const StateInfo& info = settings_.states[state];
      bool reachable = selected_ || state <= State::kSelect || state == State::kLogout;
      if (reachable && random_.percent(again_ ? info.again : info.chance)) chosen_ = state;
      if (!chosen_) {
        again_ = false;
        walk_ = state == State::kLogout ? size_t(State::kList) : walk_ + 1;
        continue;
      }
    }
    if (waits_for_answers(state) && !sent_.empty()) return false;
    chosen_.reset();
    again_ = true;
    if (enter(state, now_us, send)) return true;
    again_ = false;
    walk_ = state == State::kLogout ? size_t(State::kList) : walk_ + 1;
  }
  wake_us_ = now_us + kRestUs;
  return false;
}

// Answers false when there is nothing to say in that State.
bool Client::enter(State state, uint64_t now_us, std::string& send) {
  switch (state) {
    case State::kLogin:
      return false;
    case State::kList:
      mailbox_listed_ = false;
      issue({.verb = Verb::kList, .state = state}, "LIST \"\" \"*\"", now_us, send);
      return true;
    case State::kStatus:
      issue(
          {.verb = Verb::kStatus, .state = state},
          fmt::format("STATUS {} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN{})", quote(settings_.mailbox),
                      extension_ == Extension::kNone ? "" : " HIGHESTMODSEQ"),
          now_us, send);
      return true;
    case State::kSelect:
      issue_select(now_us, send);
      return true;
    case State::kFetch:
      return issue_fetch(now_us, send);
    case State::kFetch2:
      return issue_fetch2(now_us, send);
    case State::kSearch:
      return issue_search(now_us, send);
    case State::kStore:
      return issue_store(now_us, send);
    case State::kDelete:
      return issue_delete(now_us, send);
    case State::kExpunge:
      return issue_expunge(now_us, send);
    case State::kAppend:
      return issue_append(now_us, send);
    case State::kNoop:
      issue({.verb = Verb::kNoop, .state = state}, "NOOP", now_us, send);
      return true;
    case State::kIdle:
      if (!offers("IDLE")) return false;
      issue({.verb = Verb::kIdle, .state = state}, "IDLE", now_us, send);
      return true;
    case State::kLogout:
      issue({.verb = Verb::kLogout, .state = state}, "LOGOUT", now_us, send);
      return true;
  }
  return false;
}

void Client::issue_select(uint64_t now_us, std::string& send) {
  if (selected_) saved_ = view_.save();
  selected_ = false;
  std::string command = fmt::format("SELECT {}", quote(settings_.mailbox));
  view_.condstore = extension_ != Extension::kNone;
  view_.qresync = extension_ == Extension::kQresync;
  bool resync = view_.qresync && saved_.mod_seq != 0 && random_.percent(80);
  if (resync) {
    std::vector<uint32_t> uids;
    for (const ViewMessage& message : saved_.messages) uids.push_back(message.uid);
    bool name = !uids.empty() && random_.percent(50);
    command += fmt::format(" (QRESYNC ({} {}{}{}))", saved_.uid_validity, saved_.mod_seq,
                           name ? " " : "", name ? write_set(uids) : "");
  } else if (extension_ == Extension::kCondstore) {
    command += " (CONDSTORE)";
  }
  view_.select(resync ? &saved_ : nullptr);
  issue({.verb = Verb::kSelect, .state = State::kSelect}, command, now_us, send);
  select_event_ = sent_.back().event;
}

bool Client::issue_listing(uint64_t now_us, std::string& send) {
  auto count = uint32_t(view_.messages().size());
  if (count == 0) {
    if (settings_.fresh) view_.check_fresh(select_event_);
    return false;
  }
  Sent sent{.verb = Verb::kFetch, .state = State::kFetch, .event = select_event_};
  sent.everything = true;
  sent.count = count;
  sent.fetch.asked = true;
  issue(std::move(sent), fmt::format("FETCH 1:* (UID FLAGS{})", view_.condstore ? " MODSEQ" : ""),
        now_us, send);
  return true;
}

// Numbers mean something only while nothing before them may expunge.
bool Client::by_uid() {
  bool may_change = std::ranges::any_of(sent_, [](const Sent& sent) {
    bool by_numbers =
        sent.verb == Verb::kFetch || sent.verb == Verb::kStore || sent.verb == Verb::kSearch;
    return !by_numbers || sent.by_uid;
  });
  bool wanted = random_.percent(50);
  return may_change || wanted;
}

std::vector<uint32_t> Client::some_uids(uint32_t count) {
  const auto& messages = view_.messages();
  std::vector<uint32_t> uids;
  if (messages.empty()) return uids;
  uint32_t first = random_.below(uint32_t(messages.size()));
  for (size_t i = first; i < messages.size() && uids.size() < count; ++i) {
    if (messages[i].uid != 0) uids.push_back(messages[i].uid);
  }
  return uids;
}

// "UID FETCH 7:9" or "FETCH 1:3": the set for `uids`, which go into `sent`.
std::string Client::name_messages(Sent& sent, std::vector<uint32_t> uids) {
  std::ranges::sort(uids);
  std::vector<uint32_t> numbers = uids;
  if (!sent.by_uid) {
    for (uint32_t& number : numbers) number = view_.number_of(number);
  }
  sent.uids = std::move(uids);
  return write_set(numbers);
}

bool Client::issue_fetch(uint64_t now_us, std::string& send) {
  constexpr std::array<std::string_view, 8> kItems = {
      "FLAGS",
      "UID",
      "INTERNALDATE",
      "RFC822.SIZE",
      "ENVELOPE",
      "BODYSTRUCTURE",
      "BODY.PEEK[HEADER.FIELDS (SUBJECT MESSAGE-ID)]",
      "MODSEQ"};
  auto uids = some_uids(1 + random_.below(kFetchMessagesMax));
  if (uids.empty()) return false;
  Sent sent{.verb = Verb::kFetch, .state = State::kFetch, .by_uid = by_uid()};
  sent.fetch.asked = true;
  std::string items;
  uint32_t offered = uint32_t(kItems.size()) - (view_.condstore ? 0 : 1);
  uint32_t always = random_.below(offered);
  for (uint32_t i = 0; i < offered; ++i) {
    if (i != always && !random_.percent(40)) continue;
    fmt::format_to(std::back_inserter(items), "{}{}", items.empty() ? "" : " ", kItems[i]);
  }
  std::string modifier;
  if (view_.condstore && random_.percent(20)) {
    sent.fetch.changed_since = view_.find(uids.front())->mod_seq;
    if (sent.fetch.changed_since != 0) {
      modifier = fmt::format(" (CHANGEDSINCE {})", sent.fetch.changed_since);
    }
  }
  std::string set = name_messages(sent, std::move(uids));
  std::string command =
      fmt::format("{}FETCH {} ({}){}", sent.by_uid ? "UID " : "", set, items, modifier);
  issue(std::move(sent), command, now_us, send);
  return true;
}

bool Client::issue_fetch2(uint64_t now_us, std::string& send) {
  constexpr std::array<std::string_view, 6> kItems = {"BODY.PEEK[]",     "BODY.PEEK[HEADER]",
                                                      "BODY.PEEK[TEXT]", "RFC822.HEADER",
                                                      "BODY.PEEK[1]",    "BODY[]"};
  auto uids = some_uids(1);
  if (uids.empty()) return false;
  uint32_t uid = uids.front();
  Sent sent{.verb = Verb::kFetch, .state = State::kFetch2, .by_uid = by_uid()};
  sent.fetch.asked = true;
  // Of two that are under way, which one a part belongs to could not be told.
  bool partial_under_way =
      std::ranges::any_of(sent_, [](const Sent& s) { return s.fetch.partial_bytes > 0; });
  uint32_t choice = random_.below(uint32_t(kItems.size()) + (partial_under_way ? 0 : 1));
  std::string item;
  TruthMessage* truth = truth_.find(uid);
  if (choice == kItems.size()) {
    sent.fetch.partial_bytes = 1 + random_.below(3000);
    item = fmt::format("BODY.PEEK[]<{}.{}>", random_.below(2000), sent.fetch.partial_bytes);
  } else if (kItems[choice] == "BODY[]") {
    // It sets \Seen: only for who owns that flag.
    bool ours = truth != nullptr && truth->flags_certain() && truth->flags[kSeenFlag].known &&
                truth_.owner(uid, kSeenFlag) == settings_.slot;
    item = ours ? "BODY[]" : "BODY.PEEK[]";
    if (ours && !truth->flags[kSeenFlag].value(truth->flags[kSeenFlag].started)) {
      sent.flag = kSeenFlag;
      sent.versions = {++truth->flags[kSeenFlag].started};
    }
  } else {
    item = kItems[choice];
  }
  std::string set = name_messages(sent, std::move(uids));
  std::string command = fmt::format("{}FETCH {} ({})", sent.by_uid ? "UID " : "", set, item);
  issue(std::move(sent), command, now_us, send);
  return true;
}

bool Client::issue_search(uint64_t now_us, std::string& send) {
  Sent sent{.verb = Verb::kSearch, .state = State::kSearch, .by_uid = by_uid()};
  for (const ViewMessage& message : view_.messages()) {
    if (message.uid != 0) sent.uids.push_back(message.uid);
  }
  sent.count = uint32_t(view_.messages().size());
  std::string key = "ALL";
  if (random_.percent(70)) {
    sent.flag = random_.below(uint32_t(kTrackedFlags.size()));
    sent.wanted = random_.percent(50);
    key = kTrackedFlags[*sent.flag];
    bool keyword = *sent.flag >= kSystemFlags;
    if (!keyword) key = to_upper(key.substr(1));
    key = fmt::format("{}{}{}", sent.wanted ? "" : "UN", keyword ? "KEYWORD " : "", key);
  }
  std::string command = fmt::format("{}SEARCH {}", sent.by_uid ? "UID " : "", key);
  issue(std::move(sent), command, now_us, send);
  return true;
}

}  // namespace dormouse::loadtest::stress
