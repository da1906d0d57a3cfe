// What FETCH, STORE and SEARCH tell of messages, held against the truth.

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/view.h"

namespace dormouse::loadtest::stress {
namespace {

// FNV-1a, 64 bits: enough to tell two answers apart.
uint64_t digest(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text) hash = (hash ^ uint8_t(c)) * 0x100000001b3;
  return hash;
}

// Where two texts part, for a report that a person can use.
std::string difference(std::string_view expected, std::string_view said) {
  size_t at = size_t(std::ranges::mismatch(expected, said).in1 - expected.begin());
  auto around = [at](std::string_view text) {
    std::string kept(text.substr(std::min(at, text.size()), 24));
    for (char& c : kept) c = c < ' ' || c > '~' ? '?' : c;
    return kept;
  };
  return fmt::format("{} bytes expected, {} said; at {}: \"{}\" expected, \"{}\" said",
                     expected.size(), said.size(), at, around(expected), around(said));
}

// "BODY[TEXT]<12>" is the section "TEXT" at 12.
struct Section {
  std::string name;
  std::optional<uint64_t> offset;
};

std::optional<Section> section_of(const std::string& name) {
  if (!name.starts_with("BODY[")) return std::nullopt;
  size_t end = name.rfind(']');
  if (end == std::string::npos) return std::nullopt;
  Section section{.name = name.substr(5, end - 5), .offset = {}};
  if (end + 2 < name.size() && name[end + 1] == '<') {
    section.offset = to_number(std::string_view(name).substr(end + 2, name.size() - end - 3));
  }
  return section;
}

// Made of message text, and so never the same as another message's.
bool is_constant(const std::string& name) {
  return name == "INTERNALDATE" || name == "ENVELOPE" || name == "BODYSTRUCTURE" ||
         name == "BODY" || name == "RFC822.SIZE" || name.starts_with("BODY[HEADER.FIELDS");
}

}  // namespace

void MailboxView::learn_uid(size_t index, uint32_t uid) {
  ViewMessage& message = messages_[index];
  if (message.uid == uid) return;
  if (message.uid != 0) {
    return complain(
        fmt::format("message {} was UID {} and is UID {}", index + 1, message.uid, uid));
  }
  for (size_t i = index; i-- > 0;) {
    if (messages_[i].uid == 0) continue;
    if (messages_[i].uid < uid) break;
    return complain(fmt::format("UIDs must ascend: message {} is UID {}, but message {} is UID {}",
                                i + 1, messages_[i].uid, index + 1, uid));
  }
  for (size_t i = index + 1; i < messages_.size(); ++i) {
    if (messages_[i].uid == 0) continue;
    if (messages_[i].uid > uid) break;
    return complain(fmt::format("UIDs must ascend: message {} is UID {}, but message {} is UID {}",
                                index + 1, uid, i + 1, messages_[i].uid));
  }
  bool old = index < old_messages_;
  if (!selecting_ && selected_uid_next_ != 0 && old != (uid < selected_uid_next_)) {
    complain(fmt::format("message {} {} SELECT, which said UIDNEXT {}, but it is UID {}", index + 1,
                         old ? "was there at" : "came after", selected_uid_next_, uid));
  }
  uint64_t gone = truth_.gone_event(uid);
  if (gone != 0 && gone < select_event_) {
    complain(fmt::format("UID {} is back: it was expunged before this SELECT", uid));
  }
  message.uid = uid;
  truth_.observe(uid);
}

void MailboxView::fetch(uint64_t number, const Value& items, const FetchContext& context) {
  if (number == 0 || number > messages_.size()) {
    return complain(
        fmt::format("{} FETCH, but the mailbox has {} messages", number, messages_.size()));
  }
  if (!items.is_list() || items.list.size() % 2 != 0) return complain("FETCH without its list");
  size_t index = number - 1;
  const Value* flags = nullptr;
  uint64_t mod_seq = 0;
  bool has_uid = false;
  // The UID first, wherever it stands: the rest is about that message.
  for (size_t i = 0; i + 1 < items.list.size(); i += 2) {
    const Value& value = items.list[i + 1];
    if (items.list[i].is_atom("UID")) {
      auto uid = value.number();
      has_uid = true;
      if (!uid || *uid == 0 || *uid > UINT32_MAX) return complain("FETCH with an impossible UID");
      learn_uid(index, uint32_t(*uid));
    } else if (items.list[i].is_atom("FLAGS")) {
      flags = &value;
    } else if (items.list[i].is_atom("MODSEQ")) {
      if (value.list.size() == 1) mod_seq = value.list[0].number().value_or(0);
      if (mod_seq == 0) return complain("MODSEQ must be a positive number in a list");
    }
  }
  if (flags != nullptr && !context.asked) {
    if (condstore && mod_seq == 0) complain("a flag change without MODSEQ (RFC 7162 3.2)");
    if (qresync && !has_uid) complain("a flag change without UID (RFC 7162 3.2.4)");
  }
  bool changed = false;
  if (flags != nullptr) {
    FlagList list = read_flags(*flags);
    const ViewMessage& before = messages_[index];
    changed = before.flags_at_mod_seq && before.flags != list.tracked;
    observe_flags(index, list);
  }
  if (mod_seq != 0) observe_mod_seq(index, mod_seq, changed, flags != nullptr, context);
  for (size_t i = 0; i + 1 < items.list.size(); i += 2) {
    observe_item(index, to_upper(items.list[i].text), items.list[i + 1], context);
  }
}

void MailboxView::observe_flags(size_t index, const FlagList& flags) {
  ViewMessage& message = messages_[index];
  for (const std::string& keyword : flags.keywords) {
    if (std::ranges::find(defined_flags_, keyword) == defined_flags_.end() && !selecting_) {
      complain(fmt::format("keyword {} was never announced by FLAGS", keyword));
    }
  }
  message.flags = flags.tracked;
  message.flags_known = true;
  message.flags_at_mod_seq = false;
  if (message.uid == 0) return;
  TruthMessage* truth = truth_.observe(message.uid);
  if (truth == nullptr) return;
  if (flags.deleted && !truth->doomed) {
    // Only what was there before us may come with it.
    if (truth->flags_seen) {
      complain(fmt::format("UID {} has \\Deleted, which nobody set", message.uid));
    }
    truth->doomed = true;
  }
  truth->flags_seen = true;
  for (uint32_t flag = 0; flag < kTrackedFlags.size(); ++flag) {
    observe_flag(message, *truth, flag, (flags.tracked >> flag & 1) != 0);
  }
}

// The least version from the floor on that has this value must have been started.
bool MailboxView::observe_flag(ViewMessage& message, TruthMessage& truth, uint32_t flag,
                               bool is_set) {
  if (!truth.flags_certain()) return true;
  FlagHistory& history = truth.flags[flag];
  if (!history.known) {
    history.known = true;
    history.initial = is_set;
  }
  uint32_t version = message.floor[flag];
  if (history.value(version) != is_set) ++version;
  if (version <= history.started) {
    message.floor[flag] = version;
    return true;
  }
  complain(fmt::format(
      "UID {} {} {}: this client knew version {} of it ({}), and {} change(s) were ever asked for",
      message.uid, is_set ? "has" : "lacks", kTrackedFlags[flag], message.floor[flag],
      history.value(message.floor[flag]) ? "set" : "not set", history.started));
  truth.uncertain = true;  // one report for one loss
  return false;
}

void MailboxView::observe_mod_seq(size_t index, uint64_t mod_seq, bool flags_changed,
                                  bool has_flags, const FetchContext& context) {
  ViewMessage& message = messages_[index];
  if (mod_seq < message.mod_seq) {
    complain(fmt::format("MODSEQ of message {} (UID {}) fell from {} to {}", index + 1, message.uid,
                         message.mod_seq, mod_seq));
  }
  if (flags_changed && mod_seq == message.mod_seq) {
    complain(fmt::format("the flags of message {} (UID {}) changed, but its MODSEQ is still {}",
                         index + 1, message.uid, mod_seq));
  }
  if (context.changed_since != 0 && mod_seq <= context.changed_since) {
    complain(fmt::format("FETCH (CHANGEDSINCE {}) answered message {} with MODSEQ {}",
                         context.changed_since, index + 1, mod_seq));
  }
  // A new MODSEQ alone says nothing of the flags that were heard before it.
  message.flags_at_mod_seq = has_flags || (message.flags_at_mod_seq && mod_seq == message.mod_seq);
  message.mod_seq = mod_seq;
  truth_.highest_mod_seq = std::max(truth_.highest_mod_seq, mod_seq);
}

void MailboxView::observe_item(size_t index, const std::string& name, const Value& value,
                               const FetchContext& context) {
  uint32_t uid = messages_[index].uid;
  TruthMessage* truth = uid == 0 ? nullptr : truth_.find(uid);
  if (truth == nullptr) return;
  bool text = name.starts_with("BODY[") || name == "RFC822.HEADER";
  // A server may have nothing left of a message that was expunged elsewhere.
  if (text && value.is_atom("NIL")) {
    if (!truth->doomed) complain(fmt::format("{} of UID {} is NIL", name, uid));
    return;
  }
  if (text && truth->doomed && value.text.empty()) return;
  if (is_constant(name)) {
    if (truth->doomed && value.is_atom("NIL")) return;
    check_constant(*truth, uid, name, value.canonical());
    if (name == "RFC822.SIZE" && truth->mail &&
        value.number() != std::optional<uint64_t>(mail_text(*truth->mail).size())) {
      complain(fmt::format("RFC822.SIZE of UID {} is {}, must be {}", uid, value.text,
                           mail_text(*truth->mail).size()));
    }
  } else if (text) {
    check_text(*truth, uid, name, value, context);
  }
}

void MailboxView::check_constant(TruthMessage& truth, uint32_t uid, const std::string& name,
                                 const std::string& value) {
  auto [constant, is_new] = truth.constants.try_emplace(name, digest(value));
  if (!is_new && constant->second != digest(value)) {
    complain(fmt::format("{} of UID {} is not what it was: now {:.200}", name, uid, value));
  }
}

void MailboxView::check_text(TruthMessage& truth, uint32_t uid, const std::string& name,
                             const Value& value, const FetchContext& context) {
  Section section{.name = "HEADER", .offset = {}};
  if (auto named = section_of(name)) section = *named;
  bool has_header = section.name.empty() || section.name == "HEADER";
  if (!truth.mail && has_header && !section.offset) truth.mail = identify_mail(value.text);
  if (!truth.mail) {
    if (!section.offset) check_constant(truth, uid, name, value.text);
    return;
  }
  std::string expected;
  if (section.name.empty()) {
    expected = mail_text(*truth.mail);
  } else if (section.name == "HEADER") {
    expected = mail_header(*truth.mail);
  } else if (section.name == "TEXT" || section.name == "1") {
    expected = mail_body(*truth.mail);
  } else {
    return;
  }
  if (section.offset) {
    expected =
        expected.substr(std::min<size_t>(*section.offset, expected.size()),
                        context.partial_bytes == 0 ? std::string::npos : context.partial_bytes);
  }
  if (value.text != expected) {
    complain(fmt::format("{} of UID {} is not the text that was appended: {}", name, uid,
                         difference(expected, value.text)));
  }
}

void MailboxView::stored(uint32_t uid, uint32_t flag, uint32_t version) {
  if (ViewMessage* message = find(uid)) {
    message->floor[flag] = std::max(message->floor[flag], version);
    message->flags_at_mod_seq = false;
  }
}

void MailboxView::searched(std::optional<uint32_t> flag, bool wanted,
                           std::span<const uint32_t> uids, const std::set<uint32_t>& found) {
  for (uint32_t uid : uids) {
    ViewMessage* message = find(uid);
    TruthMessage* truth = truth_.find(uid);
    if (message == nullptr || truth == nullptr || !truth->flags_certain()) continue;
    bool is_found = found.contains(uid);
    if (!flag && !is_found) complain(fmt::format("SEARCH ALL leaves out UID {}", uid));
    if (flag) observe_flag(*message, *truth, *flag, is_found == wanted);
  }
}

void MailboxView::check_fresh(uint64_t event) {
  size_t unknown = 0;
  std::set<uint32_t> present;
  for (size_t i = 0; i < messages_.size(); ++i) {
    ViewMessage& message = messages_[i];
    if (message.uid == 0) {
      ++unknown;
      continue;
    }
    present.insert(message.uid);
    uint64_t gone = truth_.gone_event(message.uid);
    if (gone != 0 && gone <= event) {
      complain(
          fmt::format("message {} (UID {}) was expunged before this command was sent, and is "
                      "still here",
                      i + 1, message.uid));
      truth_.expunged(message.uid);
    }
    TruthMessage* truth = truth_.find(message.uid);
    if (truth == nullptr || !message.flags_known) continue;
    for (uint32_t flag = 0; flag < kTrackedFlags.size(); ++flag) {
      const FlagHistory& history = truth->flags[flag];
      if (!history.known || history.completed_event > event) continue;
      if (message.floor[flag] >= history.completed) continue;
      message.floor[flag] = history.completed;
      observe_flag(message, *truth, flag, (message.flags >> flag & 1) != 0);
    }
  }
  size_t missing = 0;
  uint32_t example = 0;
  std::vector<uint32_t> lost;
  for (const auto& [uid, truth] : truth_.messages()) {
    if (truth.doomed || truth.born_event > event || present.contains(uid)) continue;
    ++missing;
    example = uid;
    lost.push_back(uid);
  }
  if (missing > unknown) {
    // One report for one loss.
    for (uint32_t uid : lost) truth_.find(uid)->doomed = true;
    complain(
        fmt::format("{} message(s) that nobody deleted are missing, UID {} of them; the mailbox "
                    "shows {} messages, {} of them with UIDs not told yet",
                    missing, example, messages_.size(), unknown));
  }
}

void MailboxView::check_all_known(uint32_t count) {
  for (size_t i = 0; i < std::min<size_t>(count, messages_.size()); ++i) {
    if (messages_[i].uid != 0) continue;
    return complain(fmt::format("FETCH 1:* (UID) was OK, but left out message {}", i + 1));
  }
}

void MailboxView::check_expunged(std::span<const uint32_t> uids) {
  for (size_t i = 0; i < messages_.size(); ++i) {
    if (!messages_[i].deleted_by_us) continue;
    if (!uids.empty() && std::ranges::find(uids, messages_[i].uid) == uids.end()) continue;
    complain(
        fmt::format("EXPUNGE was OK, but message {} (UID {}) is still here, with the \\Deleted "
                    "that this client set",
                    i + 1, messages_[i].uid));
    messages_[i].deleted_by_us = false;
  }
}

}  // namespace dormouse::loadtest::stress
