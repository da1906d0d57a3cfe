#include "loadtest/stress/model_server.h"

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/flags.h"

namespace dormouse::loadtest::stress::test {

ModelMessage* ModelMailbox::find(uint32_t uid) {
  auto found = std::ranges::find(messages, uid, &ModelMessage::uid);
  return found == messages.end() ? nullptr : &*found;
}

void ModelMailbox::expunge(uint32_t uid) {
  if (ModelMessage* message = find(uid)) buried = *message;
  std::erase_if(messages, [uid](const ModelMessage& m) { return m.uid == uid; });
  vanished[uid] = ++mod_seq;
}

// Once in a few occasions, so that a lie also meets a client that has seen something.
bool ModelServer::lies(Lie lie) {
  if (lie != lie_ || !random_.percent(30)) return false;
  lied_ = true;
  return true;
}

std::string ModelServer::take(std::string_view bytes) {
  output_.clear();
  input_ += bytes;
  for (;;) {
    if (literal_bytes_) {
      if (input_.size() < *literal_bytes_) break;
      literals_.push_back(input_.substr(0, *literal_bytes_));
      input_.erase(0, *literal_bytes_);
      literal_bytes_.reset();
    }
    size_t end = input_.find("\r\n");
    if (end == std::string::npos) break;
    std::string line = std::exchange(pending_line_, {}) + input_.substr(0, end);
    input_.erase(0, end + 2);
    // What follows a literal directly is no new one.
    if (line.ends_with('}') && end != 0) {
      size_t brace = line.rfind('{');
      bool at_once = line[line.size() - 2] == '+';
      std::string digits = line.substr(brace + 1, line.size() - brace - (at_once ? 3 : 2));
      literal_bytes_ = *to_number(digits);
      pending_line_ = line.substr(0, brace) + "{" + digits + "}";
      if (!at_once) output_ += "+ go on\r\n";
      continue;
    }
    answer(line);
    literals_.clear();
  }
  return output_;
}

void ModelServer::answer(const std::string& line) {
  if (!idle_tag_.empty()) {
    sync(true);
    return finish(std::exchange(idle_tag_, {}), "OK idled");
  }
  auto words = parse_values(line, literals_);
  if (!words || words->size() < 2) {
    output_ += fmt::format("* BAD what? {}\r\n", line.substr(0, 40));
    return;
  }
  std::string tag = words->at(0).text;
  command(tag, to_upper(words->at(1).text), {words->begin() + 2, words->end()});
}

void ModelServer::finish(const std::string& tag, std::string text) {
  if (lies(Lie::kRefuses)) text = "NO not today";
  if (lies(Lie::kUnreadable)) output_ += "* LIST (\r\n";
  if (lies(Lie::kContinuationUnasked)) output_ += "+ idling\r\n";
  std::string reply = fmt::format("{} {}\r\n", lies(Lie::kUnknownTag) ? "x1" : tag, text);
  // Holds one back until the next, which is there already.
  if (held_reply_.empty() && !input_.empty() && lies(Lie::kTagsOutOfOrder)) {
    held_reply_ = reply;
    return;
  }
  output_ += reply + std::exchange(held_reply_, {});
}

void ModelServer::command(const std::string& tag, const std::string& verb,
                          const std::vector<Value>& arguments) {
  std::string text = "OK done";
  bool by_uid = verb == "UID";
  std::string inner = by_uid ? to_upper(arguments[0].text) : verb;
  std::vector<Value> rest(arguments.begin() + (by_uid ? 1 : 0), arguments.end());
  bool by_numbers = !by_uid && (inner == "FETCH" || inner == "STORE" || inner == "SEARCH");
  if (inner == "LOGIN") {
    if (lies(Lie::kDataUnselected)) output_ += "* 3 EXISTS\r\n";
    text =
        "OK [CAPABILITY IMAP4rev1 IDLE LITERAL+ UIDPLUS MULTIAPPEND ENABLE CONDSTORE "
        "QRESYNC] in";
  } else if (inner == "ENABLE") {
    condstore_ = qresync_ = true;
    output_ += "* ENABLED QRESYNC\r\n";
  } else if (inner == "LIST") {
    output_ += "* LIST () \"/\" Trash\r\n";
    if (!lies(Lie::kListLeavesOut)) output_ += "* LIST (\\HasNoChildren) \"/\" INBOX\r\n";
  } else if (inner == "STATUS") {
    status();
  } else if (inner == "SELECT") {
    select(rest);
    text = "OK [READ-WRITE] done";
  } else if (inner == "FETCH") {
    fetch(rest, by_uid);
  } else if (inner == "STORE") {
    text = store(rest, by_uid);
  } else if (inner == "SEARCH") {
    search(rest, by_uid);
  } else if (inner == "EXPUNGE") {
    expunge(rest);
  } else if (inner == "APPEND") {
    text = append(rest);
  } else if (inner == "IDLE") {
    idle_tag_ = tag;
    output_ += "+ idling\r\n";
    sync(true);
    if (lies(Lie::kIdleEnds)) output_ += std::exchange(idle_tag_, {}) + " OK enough\r\n";
    return;
  } else if (inner == "LOGOUT") {
    if (!lies(Lie::kNoBye)) output_ += "* BYE\r\n";
  }
  if (selected_ && inner != "SELECT" && inner != "LOGOUT") sync(!by_numbers);
  finish(tag, text);
}

void ModelServer::status() {
  uint32_t uid_next = mailbox_.uid_next;
  if (uid_next > 1 && lies(Lie::kStatusUidNextFalls)) --uid_next;
  size_t messages = mailbox_.messages.size();
  if (messages > 0 && lies(Lie::kStatusTooFew)) messages = 0;
  output_ += fmt::format(
      "* STATUS \"INBOX\" (MESSAGES {} UIDNEXT {} UIDVALIDITY {} UNSEEN 0 HIGHESTMODSEQ {})\r\n",
      messages, uid_next, mailbox_.uid_validity, mailbox_.mod_seq);
}

void ModelServer::select(const std::vector<Value>& arguments) {
  selected_ = true;
  view_.clear();
  if (!mailbox_.messages.empty() && lies(Lie::kLosesMessage)) {
    mailbox_.messages.erase(mailbox_.messages.begin() +
                            random_.below(uint32_t(mailbox_.messages.size())));
  }
  if (mailbox_.buried && lies(Lie::kMessageBack)) {
    ModelMessage back = *mailbox_.buried;
    mailbox_.buried.reset();
    auto after = std::ranges::upper_bound(mailbox_.messages, back.uid, {}, &ModelMessage::uid);
    mailbox_.messages.insert(after, back);
  }
  for (const ModelMessage& message : mailbox_.messages) {
    view_.push_back({message.uid, message.mod_seq, message.flags});
  }
  uint32_t uid_next = mailbox_.uid_next;
  if (uid_next > 1 && lies(Lie::kUidNextFalls)) --uid_next;
  if (lies(Lie::kUidNextTooHigh)) uid_next += 1;
  uint64_t highest = mailbox_.mod_seq;
  if (highest > 1 && lies(Lie::kHighestModSeqFalls)) --highest;
  std::string keywords = lies(Lie::kKeywordUnannounced) ? "" : " $Forwarded dormouse-load";
  output_ += fmt::format(
      "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft{})\r\n"
      "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] x\r\n"
      "* {} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY {}] x\r\n* OK [UIDNEXT {}] x\r\n"
      "* OK [HIGHESTMODSEQ {}] x\r\n",
      keywords, view_.size(), mailbox_.uid_validity + (lies(Lie::kUidValidityChanges) ? 1 : 0),
      uid_next, highest);
  if (arguments.size() < 2) return;
  condstore_ = true;
  const std::vector<Value>& parameters = arguments[1].list;
  if (parameters.size() == 2) resync(*parameters[1].list.at(1).number());
}

void ModelServer::resync(uint64_t since) {
  std::vector<uint32_t> gone;
  for (const auto& [uid, mod_seq] : mailbox_.vanished) {
    if (mod_seq > since && !lies(Lie::kVanishedForgotten)) gone.push_back(uid);
  }
  if (!view_.empty() && lies(Lie::kVanishedLiving)) gone.push_back(view_.back().uid);
  if (!gone.empty()) output_ += fmt::format("* VANISHED (EARLIER) {}\r\n", write_set(gone));
  for (size_t i = 0; i < view_.size(); ++i) {
    if (view_[i].mod_seq > since && !lies(Lie::kResyncForgetsFlags)) tell_flags(i, true);
  }
}

std::string ModelServer::flags_of(const ModelMessage& message) {
  std::string text;
  for (const std::string& flag : message.flags) text += (text.empty() ? "" : " ") + flag;
  if (lies(Lie::kForeignFlag)) {
    std::string flag(kTrackedFlags[random_.below(kSystemFlags)]);
    if (!message.flags.contains(flag)) text += (text.empty() ? "" : " ") + flag;
  }
  if (!message.flags.contains("\\Deleted") && lies(Lie::kForeignDeleted)) text += " \\Deleted";
  return text;
}

void ModelServer::tell_flags(size_t index, bool uid) {
  ModelMessage* message = mailbox_.find(view_[index].uid);
  if (message == nullptr) return;
  view_[index].mod_seq = message->mod_seq;
  view_[index].flags = message->flags;
  uint64_t mod_seq = message->mod_seq;
  if (lies(Lie::kModSeqFalls)) mod_seq = 1;
  bool with_mod_seq = condstore_ && !lies(Lie::kModSeqMissing);
  output_ += fmt::format("* {} FETCH ({}FLAGS ({}){})\r\n", index + 1,
                         uid ? fmt::format("UID {} ", message->uid) : "", flags_of(*message),
                         with_mod_seq ? fmt::format(" MODSEQ ({})", mod_seq) : "");
}

void ModelServer::tell_expunged(size_t index) {
  uint32_t uid = view_[index].uid;
  view_.erase(view_.begin() + std::ptrdiff_t(index));
  bool by_number = !qresync_ || lies(Lie::kExpungeAfterQresync);
  size_t number = index + 1;
  if (by_number && lies(Lie::kExpungeOutOfRange)) number = view_.size() + 5;
  if (!by_number && lies(Lie::kVanishedUnknown)) uid += 100'000;
  output_ +=
      by_number ? fmt::format("* {} EXPUNGE\r\n", number) : fmt::format("* VANISHED {}\r\n", uid);
}

// Tells what others did.
void ModelServer::sync(bool may_expunge) {
  if (!mailbox_.messages.empty() && lies(Lie::kExpungesLiving)) {
    mailbox_.expunge(mailbox_.messages.front().uid);
  }
  bool expunge = may_expunge || lies(Lie::kExpungeInFetch);
  for (size_t i = view_.size(); expunge && i-- > 0;) {
    if (mailbox_.find(view_[i].uid) == nullptr && lie_ != Lie::kExpungeNotTold)
      tell_expunged(i);
    else if (mailbox_.find(view_[i].uid) == nullptr)
      lied_ = true;
  }
  for (size_t i = 0; i < view_.size(); ++i) {
    ModelMessage* message = mailbox_.find(view_[i].uid);
    if (message == nullptr || message->mod_seq <= view_[i].mod_seq) continue;
    if (lie_ == Lie::kStoreNotTold) {
      lied_ = true;
      view_[i].mod_seq = message->mod_seq;
    } else {
      tell_flags(i, qresync_);
    }
  }
  size_t before = view_.size();
  uint32_t last = view_.empty() ? 0 : view_.back().uid;
  for (const ModelMessage& message : mailbox_.messages) {
    if (message.uid > last) view_.push_back({message.uid, message.mod_seq, message.flags});
  }
  if (view_.size() != before && lie_ == Lie::kExistsNotTold) {
    lied_ = true;
    view_.resize(before);
  }
  if (view_.size() != before) output_ += fmt::format("* {} EXISTS\r\n", view_.size());
  if (!view_.empty() && lies(Lie::kExistsShrinks)) {
    output_ += fmt::format("* {} EXISTS\r\n", view_.size() - 1);
  }
  if (lies(Lie::kRecentTooMany)) output_ += fmt::format("* {} RECENT\r\n", view_.size() + 1);
}

std::vector<size_t> ModelServer::named(const std::string& set, bool by_uid) const {
  std::vector<size_t> indexes;
  if (set == "1:*") {
    for (size_t i = 0; i < view_.size(); ++i) indexes.push_back(i);
    return indexes;
  }
  auto numbers = parse_set(set, 1'000'000);
  for (uint32_t number : *numbers) {
    for (size_t i = 0; i < view_.size(); ++i) {
      if (by_uid ? view_[i].uid == number : i + 1 == number) indexes.push_back(i);
    }
  }
  return indexes;
}

}  // namespace dormouse::loadtest::stress::test
