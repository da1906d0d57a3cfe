// The model server's FETCH, STORE, SEARCH, EXPUNGE and APPEND.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "loadtest/stress/flags.h"
#include "loadtest/stress/model_server.h"

namespace dormouse::loadtest::stress::test {

void ModelServer::fetch(const std::vector<Value>& arguments, bool by_uid) {
  uint64_t since = 0;
  if (arguments.size() > 2) since = *arguments[2].list.at(1).number();
  if (since != 0 && lies(Lie::kChangedSinceIgnored)) since = 0;
  for (size_t index : named(arguments[0].text, by_uid)) {
    ModelMessage* message = mailbox_.find(view_[index].uid);
    // What was expunged elsewhere is answered with what is known of it.
    if (message == nullptr) {
      if (arguments[0].text == "1:*") {
        output_ += fmt::format("* {} FETCH (UID {})\r\n", index + 1, view_[index].uid);
      }
      continue;
    }
    if (message->mod_seq <= since || lies(Lie::kFetchLeavesOut)) continue;
    fetch_one(index, arguments[1], by_uid, arguments.size() > 2);
  }
}

void ModelServer::fetch_one(size_t index, const Value& items, bool by_uid, bool mod_seq) {
  ModelMessage* message = mailbox_.find(view_[index].uid);
  std::string text;
  auto add = [&text](const std::string& part) { text += (text.empty() ? "" : " ") + part; };
  std::vector<std::string> names;
  for (const Value& name : items.list) names.push_back(to_upper(name.text));
  if (mod_seq) names.push_back("MODSEQ");
  if (by_uid) names.push_back("UID");
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    if (name == "BODY[]") {
      if (message->flags.insert("\\Seen").second) message->mod_seq = ++mailbox_.mod_seq;
    }
    if (name == "UID") {
      uint32_t uid = message->uid;
      if (index > 0 && lies(Lie::kUidsDescend)) uid = view_[index - 1].uid;
      if (lies(Lie::kUidChanges)) uid += 1;
      add(fmt::format("UID {}", uid));
    } else if (name == "MODSEQ") {
      uint64_t value = message->mod_seq;
      if (lies(Lie::kModSeqFalls)) value = 1;
      add(fmt::format("MODSEQ ({})", value));
    } else if (name == "FLAGS") {
      add(fmt::format("FLAGS ({})", flags_of(*message)));
    } else {
      add(item(*message, name));
    }
  }
  output_ += fmt::format("* {} FETCH ({})\r\n", index + 1, text);
}

std::string ModelServer::item(const ModelMessage& message, const std::string& name) {
  if (name == "INTERNALDATE") {
    return fmt::format("INTERNALDATE \"{:02}-Jan-2026 00:00:00 +0000\"",
                       1 + (message.uid + (lies(Lie::kDateChanges) ? 1 : 0)) % 28);
  }
  if (name == "RFC822.SIZE") {
    return fmt::format("RFC822.SIZE {}", message.text.size() + (lies(Lie::kSizeWrong) ? 1 : 0));
  }
  if (name == "ENVELOPE") return fmt::format("ENVELOPE (NIL \"{}\" NIL)", message.uid);
  if (name == "BODYSTRUCTURE") return "BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL)";
  std::string text = message.text;
  if (lies(Lie::kTextOfAnother)) text = mailbox_.messages.front().text;
  size_t header = text.find("\r\n\r\n") + 4;
  std::string said = name;
  if (said.starts_with("BODY.PEEK")) said.replace(0, 9, "BODY");
  if (said.starts_with("BODY[HEADER.FIELDS")) text = "Subject: x\r\n\r\n";
  if (said == "BODY[HEADER]" || said == "RFC822.HEADER") text.resize(header);
  if (said == "BODY[TEXT]" || said == "BODY[1]") text.erase(0, header);
  size_t partial = said.find('<');
  if (partial != std::string::npos) {
    size_t dot = said.find('.', partial);
    size_t offset = *to_number(said.substr(partial + 1, dot - partial - 1));
    size_t count = *to_number(said.substr(dot + 1, said.size() - dot - 2));
    text = offset < text.size() ? text.substr(offset, count) : "";
    said = fmt::format("{}<{}>", said.substr(0, partial), offset);
  }
  if (!text.empty() && lies(Lie::kTextWrong)) text[text.size() / 2] ^= 1;
  if (!text.empty() && lies(Lie::kTextCut)) text.pop_back();
  return fmt::format("{} {{{}}}\r\n{}", said, text.size(), text);
}

std::string ModelServer::store(const std::vector<Value>& arguments, bool by_uid) {
  size_t at = 1;
  uint64_t unchanged_since = UINT64_MAX;
  if (arguments[at].is_list()) unchanged_since = *arguments[at++].list.at(1).number();
  std::string how = to_upper(arguments[at].text);
  bool silent = how.ends_with(".SILENT");
  std::vector<uint32_t> modified;
  for (size_t index : named(arguments[0].text, by_uid)) {
    ModelMessage* message = mailbox_.find(view_[index].uid);
    if (message == nullptr) continue;
    if (message->mod_seq > unchanged_since) {
      modified.push_back(by_uid ? message->uid : uint32_t(index + 1));
      continue;
    }
    if (lies(Lie::kStoreLost)) continue;
    for (const Value& flag : arguments[at + 1].list) {
      if (how.starts_with('+')) message->flags.insert(flag.text);
      if (how.starts_with('-')) message->flags.erase(flag.text);
    }
    if (!lies(Lie::kModSeqStays)) message->mod_seq = ++mailbox_.mod_seq;
    bool others_too = view_[index].mod_seq + 1 < message->mod_seq;
    if (!silent || (condstore_ && others_too)) {
      tell_flags(index, by_uid || qresync_);
    } else if (condstore_) {
      output_ += fmt::format("* {} FETCH (UID {} MODSEQ ({}))\r\n", index + 1, message->uid,
                             message->mod_seq);
      view_[index].mod_seq = message->mod_seq;
    }
  }
  return modified.empty() ? "OK done" : fmt::format("OK [MODIFIED {}] some", write_set(modified));
}

void ModelServer::search(const std::vector<Value>& arguments, bool by_uid) {
  std::string key = to_upper(arguments[0].text);
  bool wanted = !key.starts_with("UN");
  if (!wanted) key.erase(0, 2);
  std::string flag = key == "KEYWORD" ? arguments[1].text : "\\" + key;
  std::string found;
  for (size_t i = 0; i < view_.size(); ++i) {
    ModelMessage* message = mailbox_.find(view_[i].uid);
    if (message == nullptr) continue;
    bool has = std::ranges::any_of(
        message->flags, [&flag](const std::string& f) { return to_upper(f) == to_upper(flag); });
    bool match = key == "ALL" || has == wanted;
    if (key == "ALL" && lies(Lie::kSearchLeavesOut)) match = false;
    if (key != "ALL" && lies(Lie::kSearchWrongFlag)) match = !match;
    if (match) fmt::format_to(std::back_inserter(found), " {}", by_uid ? view_[i].uid : i + 1);
  }
  output_ += fmt::format("* SEARCH{}\r\n", found);
}

void ModelServer::expunge(const std::vector<Value>& arguments) {
  std::set<size_t> only;
  if (!arguments.empty()) {
    for (size_t index : named(arguments[0].text, true)) only.insert(index);
  }
  std::vector<uint32_t> gone;
  for (size_t i = 0; i < view_.size(); ++i) {
    ModelMessage* message = mailbox_.find(view_[i].uid);
    if (message == nullptr || !message->flags.contains("\\Deleted")) continue;
    if (!arguments.empty() && !only.contains(i)) continue;
    if (!lies(Lie::kExpungeForgets)) gone.push_back(message->uid);
  }
  for (uint32_t uid : gone) mailbox_.expunge(uid);
}

// Mailbox, then flags and text of each message.
std::string ModelServer::append(const std::vector<Value>& arguments) {
  std::vector<uint32_t> uids;
  uint64_t mod_seq = ++mailbox_.mod_seq;
  for (size_t i = 1; i + 1 < arguments.size(); i += 2) {
    ModelMessage message{.uid = mailbox_.uid_next++, .text = arguments[i + 1].text};
    for (const Value& flag : arguments[i].list) message.flags.insert(flag.text);
    if (!message.flags.empty() && lies(Lie::kAppendFlagsLost)) message.flags.clear();
    message.mod_seq = mod_seq;
    uids.push_back(message.uid);
    mailbox_.messages.push_back(std::move(message));
  }
  if (uids.size() > 1 && lies(Lie::kAppendsSwapped)) {
    std::swap(mailbox_.messages.back().text, mailbox_.messages[mailbox_.messages.size() - 2].text);
  }
  if (uids.size() > 1 && lies(Lie::kAppendsOnlyOne)) {
    mailbox_.messages.pop_back();
    uids.pop_back();
  }
  if (uids.front() > 1 && lies(Lie::kAppendUidReused)) --uids.front();
  if (lies(Lie::kAppendUidMissing)) return "OK done";
  return fmt::format("OK [APPENDUID {} {}] done", mailbox_.uid_validity, write_set(uids));
}

}  // namespace dormouse::loadtest::stress::test
