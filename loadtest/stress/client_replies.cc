// The end of a command: its tagged reply, and what must be true by then.

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/client.h"
#include "loadtest/stress/response_code.h"

namespace dormouse::loadtest::stress {

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
  if (sent.verb == Verb::kAppend && ok && !sent.waiting.empty()) {
    complain("APPEND is OK before the message was sent");
  }
  // RFC 5530: some part of the server is away for now. The end of this session, as a BYE is.
  if (no && code_of(text).name == "UNAVAILABLE") {
    bye_heard_ = true;
    bye_ = std::string(response.text.substr(0, kLineBytesMax));
    return;
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
  auto uids = parse_set(after_word(code.rest), kAppendMailsMax);
  if (!validity || !uids || uids->empty() || uids->front() == 0) {
    return complain("APPENDUID that cannot be read");
  }
  view_.uid_validity(*validity);
  if (uids->size() != sent.mails.size()) {
    return complain(fmt::format("APPENDUID of {} messages, {} were sent (RFC 4315 3)", uids->size(),
                                sent.mails.size()));
  }
  if (uids->front() < sent.uid_next) {
    complain(fmt::format("APPENDUID {}, after UIDNEXT {} was known", uids->front(), sent.uid_next));
  }
  for (size_t i = 0; i < uids->size(); ++i) appended(sent.mails[i], uids->at(i));
}

void Client::appended(const AppendedMail& mail, uint32_t uid) {
  truth_.uid_next = std::max(truth_.uid_next, uid + 1);
  TruthMessage* truth = truth_.observe(uid);
  if (truth == nullptr) return;  // deleted by somebody already
  if (truth->mail && truth->mail != mail.mail) {
    complain(fmt::format("APPENDUID {} is the UID of another message", uid));
  }
  truth->mail = mail.mail;
  truth->flags_seen = true;
  for (uint32_t flag = 0; flag < kTrackedFlags.size(); ++flag) {
    FlagHistory& history = truth->flags[flag];
    bool given = (mail.flags >> flag & 1) != 0;
    if (history.known && history.initial != given && truth->flags_certain()) {
      complain(fmt::format("UID {} was appended {} {}, but came {} it", uid,
                           given ? "with" : "without", kTrackedFlags[flag],
                           given ? "without" : "with"));
    }
    history.known = true;
    history.initial = given;
  }
}

}  // namespace dormouse::loadtest::stress
