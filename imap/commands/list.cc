// LIST and LSUB (RFC 3501 6.3.8, 6.3.9) with LIST-EXTENDED (RFC 5258), SPECIAL-USE (RFC 6154),
// CHILDREN (RFC 3348) and LIST-STATUS (RFC 5819).

#include <algorithm>
#include <map>

#include "imap/commands/commands.h"
#include "imap/commands/list_match.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

struct UseAttribute {
  store::SpecialUse use;
  MailboxAttributes attribute;
};
constexpr UseAttribute kUses[] = {
    {store::SpecialUse::kAll, kUseAll},       {store::SpecialUse::kArchive, kUseArchive},
    {store::SpecialUse::kDrafts, kUseDrafts}, {store::SpecialUse::kFlagged, kUseFlagged},
    {store::SpecialUse::kJunk, kUseJunk},     {store::SpecialUse::kSent, kUseSent},
    {store::SpecialUse::kTrash, kUseTrash},
};

MailboxAttributes use_attribute(store::SpecialUse use) {
  for (const UseAttribute& entry : kUses) {
    if (entry.use == use) return entry.attribute;
  }
  return 0;
}

// One line of the answer.
struct Entry {
  MailboxAttributes attributes = 0;
  bool child_subscribed = false;  // CHILDINFO
  bool selectable = false;
};
using Entries = std::map<std::string, Entry>;

class Lister {
 public:
  Lister(const List& arguments, const std::vector<store::MailboxInfo>& mailboxes,
         const std::vector<std::string>& subscriptions)
      : arguments_(arguments), mailboxes_(mailboxes), subscriptions_(subscriptions) {
    for (const std::string& pattern : arguments.patterns) {
      patterns_.push_back(arguments.reference + pattern);
    }
  }

  Entries lsub() const;
  Entries list() const;

 private:
  bool matches(std::string_view name) const {
    return std::ranges::any_of(patterns_, [&](const std::string& pattern) {
      return list_matches(pattern, name, store::kSeparator);
    });
  }
  MailboxAttributes attributes_of(const store::MailboxInfo& info) const;
  void add_subscribed(Entries& entries) const;
  void add_parents_of_subscribed(Entries& entries) const;

  const List& arguments_;
  const std::vector<store::MailboxInfo>& mailboxes_;
  const std::vector<std::string>& subscriptions_;
  std::vector<std::string> patterns_;
};

MailboxAttributes Lister::attributes_of(const store::MailboxInfo& info) const {
  MailboxAttributes attributes = info.has_children ? kHasChildren : kHasNoChildren;
  if (info.no_select) attributes |= kNoSelect;
  if (info.no_select && arguments_.extended) attributes |= kNonExistent;
  attributes |= use_attribute(info.special_use);
  if (info.subscribed && (arguments_.return_subscribed || arguments_.select_subscribed)) {
    attributes |= kSubscribed;
  }
  return attributes;
}

// RFC 3501 6.3.9: with '%', a parent that is not subscribed itself stands for its children.
Entries Lister::lsub() const {
  Entries entries;
  for (const std::string& name : subscriptions_) {
    if (matches(name)) {
      entries[name] = Entry{};
      continue;
    }
    for (size_t at = name.rfind(store::kSeparator); at != std::string::npos && at != 0;
         at = name.rfind(store::kSeparator, at - 1)) {
      std::string parent = name.substr(0, at);
      if (matches(parent)) entries.try_emplace(parent, Entry{.attributes = kNoSelect});
    }
  }
  for (const std::string& name : subscriptions_) {
    if (auto found = entries.find(name); found != entries.end()) found->second.attributes = 0;
  }
  return entries;
}

void Lister::add_subscribed(Entries& entries) const {
  for (const std::string& name : subscriptions_) {
    if (!matches(name)) continue;
    auto known = std::ranges::find(mailboxes_, name, &store::MailboxInfo::name);
    Entry& entry = entries[name];
    if (known == mailboxes_.end()) {
      entry.attributes = kSubscribed | kNonExistent;
    } else {
      entry.attributes = attributes_of(*known) | kSubscribed;
      entry.selectable = !known->no_select;
    }
  }
  if (arguments_.select_recursive_match) add_parents_of_subscribed(entries);
}

void Lister::add_parents_of_subscribed(Entries& entries) const {
  for (const store::MailboxInfo& info : mailboxes_) {
    if (!matches(info.name)) continue;
    std::string below = info.name + store::kSeparator;
    bool has = std::ranges::any_of(
        subscriptions_, [&](const std::string& name) { return name.starts_with(below); });
    if (!has) continue;
    Entry& entry =
        entries.try_emplace(info.name, Entry{.attributes = attributes_of(info)}).first->second;
    entry.child_subscribed = true;
    entry.selectable = !info.no_select;
  }
}

Entries Lister::list() const {
  Entries entries;
  if (arguments_.select_subscribed) {
    add_subscribed(entries);
    if (arguments_.select_special_use) {
      std::erase_if(
          entries, [](const auto& entry) { return (entry.second.attributes & kSpecialUses) == 0; });
    }
    return entries;
  }
  for (const store::MailboxInfo& info : mailboxes_) {
    if (!matches(info.name)) continue;
    if (arguments_.select_special_use && info.special_use == store::SpecialUse::kNone) continue;
    entries[info.name] = Entry{.attributes = attributes_of(info), .selectable = !info.no_select};
  }
  return entries;
}

}  // namespace

Answer run(Session& session, const List& arguments) {
  std::string_view name = arguments.lsub ? "Lsub completed." : "List completed.";
  bool asks_separator =
      !arguments.extended && arguments.patterns.size() == 1 && arguments.patterns.front().empty();
  if (asks_separator) {
    put_list_response(session.out().text(), arguments.lsub, kNoSelect, store::kSeparator, "");
    co_return ok(std::string(name));
  }
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto mailboxes = (*store)->mailboxes();
  if (!mailboxes) co_return refusal(mailboxes.error());
  auto subscriptions = (*store)->subscriptions();
  if (!subscriptions) co_return refusal(subscriptions.error());
  Lister lister(arguments, *mailboxes, *subscriptions);
  Entries entries = arguments.lsub ? lister.lsub() : lister.list();
  for (const auto& [mailbox, entry] : entries) {
    put_list_response(session.out().text(), arguments.lsub, entry.attributes, store::kSeparator,
                      mailbox, entry.child_subscribed);
    if (arguments.return_status != 0 && entry.selectable) {
      if ((arguments.return_status & kStatusHighestModSeq) != 0) session.enable_condstore();
      auto opened = (*store)->open_mailbox(mailbox);
      // A mailbox that went or fails just now has no STATUS; its LIST stands (RFC 5819 2).
      if (opened) {
        [[maybe_unused]] auto told = put_status(session, *opened, mailbox, arguments.return_status);
      }
      if (auto rested = co_await session.loop().yield(); !rested) {
        co_return std::unexpected(rested.error());
      }
    }
    if (session.out().full()) IMAP_CO_TRY(co_await session.out().drain());
  }
  co_return ok(std::string(name));
}

}  // namespace dormouse::imap
