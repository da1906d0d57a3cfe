// What a server says to a stress client, and whether it may.

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/client.h"

namespace dormouse::loadtest::stress {
namespace {

// "[NAME rest] text": its name and rest; empty: there is no code.
struct Code {
  std::string name = {};
  std::string_view rest = {};
};

Code code_of(std::string_view text) {
  if (!text.starts_with('[')) return {};
  std::string_view inner = text.substr(1, text.rfind(']') - 1);
  if (text.rfind(']') == std::string_view::npos) return {};
  // Human text behind it may hold brackets too; only lists (PERMANENTFLAGS, BADCHARSET) may inside.
  inner = inner.substr(0, inner.find(']'));
  size_t space = std::min(inner.find(' '), inner.size());
  return {.name = to_upper(inner.substr(0, space)),
          .rest = inner.substr(std::min(space + 1, inner.size()))};
}

std::string_view after_word(std::string_view text) {
  return text.substr(std::min(std::min(text.find(' '), text.size()) + 1, text.size()));
}

}  // namespace

void Client::hear_response(const Response& response, uint64_t now_us) {
  switch (response.kind) {
    case ResponseKind::kUntagged:
      note('S', fmt::format("* {}", response.text));
      break;
    case ResponseKind::kContinuation:
      note('S', fmt::format("+ {}", response.text));
      break;
    case ResponseKind::kTagged:
      note('S', fmt::format("{} {}", response.tag, response.text));
      break;
  }
  if (response.truncated) {
    return complain(fmt::format("a response larger than {} bytes of line or {} of literals",
                                kScannerBounds.kept_bytes_max, kScannerBounds.literal_bytes_max));
  }
  switch (response.kind) {
    case ResponseKind::kUntagged:
      return hear_untagged(response);
    case ResponseKind::kContinuation:
      return hear_continuation(now_us);
    case ResponseKind::kTagged:
      return hear_tagged(response, now_us);
  }
}

void Client::hear_continuation(uint64_t now_us) {
  if (sent_.empty()) return complain("a continuation that nobody waits for");
  Sent& front = sent_.front();
  if (front.verb == Verb::kIdle && !idling_) {
    idling_ = true;
    idle_until_us_ = now_us + uint64_t{random_.below(settings_.idle_ms_max + 1)} * 1000;
  } else if (front.verb == Verb::kAppend && !front.literal.empty()) {
    to_send_ += std::exchange(front.literal, {});
  } else {
    complain("a continuation that nobody waits for");
  }
}

void Client::hear_untagged(const Response& response) {
  std::string_view text = response.text;
  if (begins_with_word(text, "BYE")) {
    bye_heard_ = true;
    bool asked = std::ranges::any_of(sent_, [](const Sent& s) { return s.verb == Verb::kLogout; });
    if (!asked) bye_ = std::string(text.substr(0, kLineBytesMax));
    return;
  }
  if (!greeted_) {
    greeted_ = begins_with_word(text, "OK");
    if (!greeted_) complain("the greeting must be * OK");
    return;
  }
  for (std::string_view status : {"OK", "NO", "BAD"}) {
    if (begins_with_word(text, status)) return hear_code(after_word(text));
  }
  if (begins_with_word(text, "CAPABILITY")) return read_capabilities(after_word(text));
  if (begins_with_word(text, "STATUS")) return hear_mailbox_status(response);
  if (begins_with_word(text, "SEARCH")) return hear_search(response);
  if (begins_with_word(text, "LIST")) {
    auto values = parse_values(after_word(text), response.literals);
    if (!values || values->size() < 3) return complain("a LIST response that cannot be read");
    const Value& name = values->at(2);
    mailbox_listed_ = mailbox_listed_ || name.text == settings_.mailbox ||
                      (to_upper(name.text) == "INBOX" && to_upper(settings_.mailbox) == "INBOX");
    return;
  }
  auto data = numbered_data(text);
  bool about_mailbox =
      data || begins_with_word(text, "FLAGS") || begins_with_word(text, "VANISHED");
  if (!about_mailbox) return;
  bool selecting = !sent_.empty() && sent_.front().verb == Verb::kSelect;
  if (!selected_ && !selecting) {
    return complain("mailbox data, but no mailbox is selected");
  }
  if (!data) return hear_mailbox(response);
  if (begins_with_word(data->word, "EXISTS")) return view_.exists(data->number);
  if (begins_with_word(data->word, "RECENT")) return view_.recent(data->number);
  if (begins_with_word(data->word, "EXPUNGE")) return view_.expunge(data->number, may_expunge());
  if (begins_with_word(data->word, "FETCH")) return hear_fetch(data->number, response);
}

// FLAGS (...) and VANISHED [(EARLIER)] set.
void Client::hear_mailbox(const Response& response) {
  auto values = parse_values(after_word(response.text), response.literals);
  if (!values || values->empty()) return complain("a response that cannot be read");
  if (begins_with_word(response.text, "FLAGS")) return view_.flags(values->front());
  bool earlier = values->front().is_list();
  bool selecting = !sent_.empty() && sent_.front().verb == Verb::kSelect;
  if (earlier && !selecting) return complain("VANISHED (EARLIER) that nobody asked for");
  view_.vanished(values->back().text, earlier, may_expunge());
}

void Client::hear_code(std::string_view text) {
  Code code = code_of(text);
  auto number = to_number(code.rest);
  if (code.name == "CAPABILITY") read_capabilities(code.rest);
  bool selecting = !sent_.empty() && sent_.front().verb == Verb::kSelect;
  if (!selected_ && !selecting) return;
  if (code.name == "CLOSED" && selecting) view_.closed();
  if (code.name == "UIDVALIDITY") view_.uid_validity(number.value_or(0));
  if (code.name == "UIDNEXT") view_.uid_next(number.value_or(0));
  if (code.name == "HIGHESTMODSEQ") view_.highest_mod_seq(number.value_or(0));
  if (code.name == "PERMANENTFLAGS") {
    auto values = parse_values(code.rest, {});
    if (!values || values->empty()) return complain("PERMANENTFLAGS that cannot be read");
    view_.permanent_flags(values->front());
  }
}

void Client::hear_fetch(uint64_t number, const Response& response) {
  auto values = parse_values(after_word(after_word(response.text)), response.literals);
  if (!values || values->size() != 1) return complain("a FETCH response that cannot be read");
  // Which of several commands it answers cannot be told: it is held against what all allow.
  FetchContext context;
  uint32_t asking = 0;
  for (Sent& sent : sent_) {
    if (sent.verb != Verb::kFetch && sent.verb != Verb::kStore) continue;
    context.changed_since = ++asking == 1 ? sent.fetch.changed_since : 0;
    context.partial_bytes = std::max(context.partial_bytes, sent.fetch.partial_bytes);
  }
  context.asked = asking > 0;
  view_.fetch(number, values->front(), context);
  if (number == 0 || number > view_.messages().size()) return;
  uint32_t uid = view_.messages()[number - 1].uid;
  for (Sent& sent : sent_) {
    if (sent.verb == Verb::kFetch) sent.answered.insert(uid);
  }
}

void Client::hear_search(const Response& response) {
  Sent* search = awaiting(Verb::kSearch);
  if (search == nullptr) return complain("SEARCH results that nobody asked for");
  search->heard = true;
  auto values = parse_values(after_word(response.text), {});
  if (!values) return complain("SEARCH results that cannot be read");
  for (const Value& value : *values) {
    if (value.is_list()) continue;  // (MODSEQ n)
    auto number = value.number();
    if (!number || *number == 0 || (!search->by_uid && *number > view_.messages().size())) {
      return complain(fmt::format("SEARCH found {}, which does not exist", value.text));
    }
    uint32_t uid = search->by_uid ? uint32_t(*number) : view_.messages()[*number - 1].uid;
    search->answered.insert(uid);
  }
  // Here and not at the tagged reply: a STORE behind it may already have been carried out by then.
  view_.searched(search->flag, search->wanted, search->uids, search->answered);
}

void Client::hear_mailbox_status(const Response& response) {
  auto values = parse_values(after_word(response.text), response.literals);
  if (!values || values->size() != 2 || values->at(1).list.size() % 2 != 0) {
    return complain("a STATUS response that cannot be read");
  }
  Sent* status = awaiting(Verb::kStatus);
  if (status == nullptr) return;
  status->heard = true;
  const std::vector<Value>& items = values->at(1).list;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    auto number = items[i + 1].number();
    if (!number) return complain("a STATUS response without its numbers");
    if (items[i].is_atom("UIDVALIDITY")) view_.uid_validity(*number);
    if (items[i].is_atom("UIDNEXT")) {
      if (*number < status->uid_next) {
        complain(fmt::format("STATUS: UIDNEXT {}, after {} was known", *number, status->uid_next));
      }
      truth_.uid_next = std::max(truth_.uid_next, uint32_t(*number));
    }
    if (items[i].is_atom("MESSAGES") && settings_.fresh) {
      uint64_t least = 0;
      for (const auto& [uid, truth] : truth_.messages()) {
        if (!truth.doomed && truth.born_event <= status->event) ++least;
      }
      if (*number < least) {
        complain(fmt::format("STATUS: {} messages, but {} were there that nobody deleted", *number,
                             least));
      }
    }
  }
}

// The messages of a command may have been expunged elsewhere: then NO is an answer.
bool Client::excused(const Sent& sent) {
  if (sent.everything) {
    return std::ranges::any_of(view_.messages(), [this](const ViewMessage& message) {
      TruthMessage* truth = truth_.find(message.uid);
      return truth == nullptr || truth->doomed;
    });
  }
  return std::ranges::any_of(sent.uids, [this](uint32_t uid) {
    TruthMessage* truth = truth_.find(uid);
    return truth == nullptr || truth->doomed;
  });
}

void Client::hear_tagged(const Response& response, uint64_t now_us) {
  if (sent_.empty()) return complain("a tagged reply to no command");
  if (response.tag != sent_.front().tag) {
    return complain(fmt::format("tagged replies in order: {} expected, {} came", sent_.front().tag,
                                response.tag.substr(0, 40)));
  }
  // It stays in front while its answer is looked at: codes belong to it.
  Sent& sent = sent_.front();
  bool ok = begins_with_word(response.text, "OK");
  bool no = begins_with_word(response.text, "NO");
  std::string_view text = after_word(response.text);
  hear_code(text);
  if (idling_ && sent.verb == Verb::kIdle) complain("IDLE ended before DONE");
  if (sent.verb == Verb::kAppend && ok && !sent.literal.empty()) {
    complain("APPEND is OK before the message was sent");
  }
  bool may_fail = no && excused(sent) && (sent.verb == Verb::kFetch || sent.verb == Verb::kStore);
  if (!ok && !may_fail) {
    complain(fmt::format("{:.100} was refused: {:.200}",
                         sent.verb == Verb::kLogin ? "LOGIN" : sent.line, response.text));
  }
  if (sent.state && ok) answered_.emplace_back(*sent.state, now_us - sent.sent_us);
  if (sent.verb != Verb::kLogin) {
    answered_last_ = fmt::format("{} {:.{}}", sent.tag, sent.line, kLineBytesMax);
  }
  Sent finished = std::move(sent);
  sent_.pop_front();
  if (!ok) return lose(finished);
  done(finished, text);
}

void Client::done(const Sent& sent, std::string_view text) {
  switch (sent.verb) {
    case Verb::kLogin:
      logged_in_ = true;
      // What was said before LOGIN need not hold after it (RFC 3501 6.2.3).
      if (code_of(text).name != "CAPABILITY") capabilities_.clear();
      break;
    case Verb::kList:
      if (!mailbox_listed_) complain(fmt::format("LIST leaves out {}", settings_.mailbox));
      break;
    case Verb::kSelect:
      selected_ = true;
      list_due_ = true;
      view_.selected();
      // Already now a resynchronised client must know all that it missed.
      if (view_.resynchronised() && settings_.fresh) view_.check_fresh(sent.event);
      break;
    case Verb::kFetch:
      fetched(sent);
      break;
    case Verb::kStore:
      stored(sent, text);
      break;
    case Verb::kSearch:
      if (!sent.heard) complain("SEARCH without results");
      break;
    case Verb::kExpunge:
      view_.check_expunged(sent.uids);
      break;
    case Verb::kAppend:
      appended(sent, text);
      break;
    case Verb::kNoop:
      if (selected_ && settings_.fresh) view_.check_fresh(sent.event);
      break;
    case Verb::kLogout:
      if (!bye_heard_) complain("LOGOUT without BYE");
      finished_ = true;
      break;
    case Verb::kStatus:
      if (!sent.heard) complain("STATUS without its data");
      break;
    case Verb::kCapability:
    case Verb::kEnable:
    case Verb::kIdle:
      break;
  }
}

void Client::fetched(const Sent& sent) {
  if (sent.flag) stored(sent, "");  // BODY[] set \Seen
  if (sent.everything) {
    view_.check_all_known(sent.count);
    if (settings_.fresh) view_.check_fresh(sent.event);
    return;
  }
  if (sent.fetch.changed_since != 0) return;
  for (uint32_t uid : sent.uids) {
    TruthMessage* truth = truth_.find(uid);
    bool there = truth != nullptr && !truth->doomed;
    if (there && !sent.answered.contains(uid)) {
      complain(fmt::format("FETCH was OK, but left out UID {}", uid));
    }
  }
}

void Client::stored(const Sent& sent, std::string_view text) {
  std::set<uint32_t> modified;
  Code code = code_of(text);
  if (code.name == "MODIFIED") {
    auto numbers = parse_set(code.rest, MailboxView::kMessagesMax);
    if (!numbers) return complain("MODIFIED: " + numbers.error().message);
    for (uint32_t number : *numbers) {
      if (!sent.by_uid && number > view_.messages().size())
        return complain("MODIFIED beyond EXISTS");
      modified.insert(sent.by_uid ? number : view_.messages()[number - 1].uid);
    }
  }
  for (size_t i = 0; i < sent.uids.size(); ++i) {
    uint32_t uid = sent.uids[i];
    TruthMessage* truth = truth_.find(uid);
    if (truth == nullptr) continue;
    if (!sent.flag) {
      if (ViewMessage* message = view_.find(uid)) message->deleted_by_us = !modified.contains(uid);
      continue;
    }
    FlagHistory& history = truth->flags[*sent.flag];
    uint32_t version = sent.versions[i];
    if (modified.contains(uid)) {
      // It did not happen, unless a later change that is under way was built upon it.
      if (history.started == version)
        --history.started;
      else
        truth->uncertain = true;
      continue;
    }
    history.completed = std::max(history.completed, version);
    history.completed_event = truth_.tick();
    view_.stored(uid, *sent.flag, version);
  }
}

void Client::appended(const Sent& sent, std::string_view text) {
  Code code = code_of(text);
  if (code.name != "APPENDUID") {
    if (offers("UIDPLUS")) complain("APPEND without APPENDUID (RFC 4315 3)");
    return;
  }
  size_t space = std::min(code.rest.find(' '), code.rest.size());
  auto validity = to_number(code.rest.substr(0, space));
  auto uid = to_number(after_word(code.rest));
  if (!validity || !uid || *uid == 0 || *uid > UINT32_MAX) {
    return complain("APPENDUID that cannot be read");
  }
  view_.uid_validity(*validity);
  if (*uid < sent.uid_next) {
    complain(fmt::format("APPENDUID {}, after UIDNEXT {} was known", *uid, sent.uid_next));
  }
  truth_.uid_next = std::max(truth_.uid_next, uint32_t(*uid) + 1);
  TruthMessage* truth = truth_.observe(uint32_t(*uid));
  if (truth == nullptr) return;  // deleted by somebody already
  if (truth->mail && truth->mail != sent.mail) {
    complain(fmt::format("APPENDUID {} is the UID of another message", *uid));
  }
  truth->mail = sent.mail;
  truth->flags_seen = true;
  for (uint32_t flag = 0; flag < kTrackedFlags.size(); ++flag) {
    FlagHistory& history = truth->flags[flag];
    bool given = (sent.flags >> flag & 1) != 0;
    if (history.known && history.initial != given && truth->flags_certain()) {
      complain(fmt::format("UID {} was appended {} {}, but came {} it", *uid,
                           given ? "with" : "without", kTrackedFlags[flag],
                           given ? "without" : "with"));
    }
    history.known = true;
    history.initial = given;
  }
}

}  // namespace dormouse::loadtest::stress
