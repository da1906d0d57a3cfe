// NOTIFY (RFC 5465 8):
//
//   notify  = "NOTIFY" SP ("NONE" / "SET" [SP "STATUS"] 1*(SP group))
//   group   = "(" filter SP events ")"
//   filter  = "SELECTED" / "SELECTED-DELAYED" / "INBOXES" / "PERSONAL" / "SUBSCRIBED" /
//             ("SUBTREE" / "MAILBOXES") SP (mailbox / "(" mailbox *(SP mailbox) ")")
//   events  = "NONE" / "(" event *(SP event) ")"
//   event   = "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")"] / atom

#include <array>
#include <utility>

#include "imap/syntax/command_parsers.h"
#include "imap/syntax/limits.h"
#include "imap/syntax/parser.h"

namespace dormouse::imap {
namespace {

struct FilterName {
  std::string_view name;
  NotifyFilter filter;
};
constexpr std::array kFilters{
    FilterName{"SELECTED", NotifyFilter::kSelected},
    FilterName{"SELECTED-DELAYED", NotifyFilter::kSelectedDelayed},
    FilterName{"INBOXES", NotifyFilter::kInboxes},
    FilterName{"PERSONAL", NotifyFilter::kPersonal},
    FilterName{"SUBSCRIBED", NotifyFilter::kSubscribed},
    FilterName{"SUBTREE", NotifyFilter::kSubtree},
    FilterName{"MAILBOXES", NotifyFilter::kMailboxes},
};

struct EventName {
  std::string_view name;
  NotifyEvents event;
};
constexpr std::array kEvents{
    EventName{"MessageNew", kNotifyMessageNew},
    EventName{"MessageExpunge", kNotifyMessageExpunge},
    EventName{"FlagChange", kNotifyFlagChange},
    EventName{"AnnotationChange", kNotifyAnnotationChange},
    EventName{"MailboxName", kNotifyMailboxName},
    EventName{"SubscriptionChange", kNotifySubscriptionChange},
    EventName{"MailboxMetadataChange", kNotifyMailboxMetadataChange},
    EventName{"ServerMetadataChange", kNotifyServerMetadataChange},
};

constexpr NotifyEvents kOfMessages =
    kNotifyMessageNew | kNotifyMessageExpunge | kNotifyFlagChange | kNotifyAnnotationChange;

bool is_selected(const NotifyGroup& group) {
  return group.filter == NotifyFilter::kSelected || group.filter == NotifyFilter::kSelectedDelayed;
}

// How many more mailboxes the command may name: `room`.
bool take_mailboxes(Lexer& lexer, NotifyGroup& group, std::size_t& room) {
  if (!lexer.take_space()) return false;
  bool many = lexer.skip('(');
  do {
    if (room == 0) return lexer.fail("Too many mailboxes");
    --room;
    if (!lexer.take_mailbox(group.mailboxes.emplace_back())) return false;
  } while (many && lexer.skip(' '));
  return !many || lexer.take(')', "Missing ) after mailboxes");
}

bool take_filter(Lexer& lexer, NotifyGroup& group, std::size_t& room) {
  std::string_view word = lexer.take_word();
  for (const auto& [name, filter] : kFilters) {
    if (!equals_nocase(word, name)) continue;
    group.filter = filter;
    if (filter != NotifyFilter::kSubtree && filter != NotifyFilter::kMailboxes) return true;
    return take_mailboxes(lexer, group, room);
  }
  return lexer.fail("Unknown mailbox filter");
}

// The items behind MessageNew, where they are.
bool take_items(Lexer& lexer, NotifyGroup& group) {
  if (!lexer.rest().starts_with(" (")) return true;
  lexer.skip(' ');
  return take_fetch_text(lexer, group.fetch);
}

bool take_event(Lexer& lexer, NotifyGroup& group) {
  std::string_view word;
  if (!lexer.take_atom(word, "Expected an event")) return false;
  for (const auto& [name, event] : kEvents) {
    if (!equals_nocase(word, name)) continue;
    group.events |= event;
    return event != kNotifyMessageNew || take_items(lexer, group);
  }
  group.events |= kNotifyUnknown;
  return true;
}

// RFC 5465 5: which events go together.
bool check(Lexer& lexer, const NotifyGroup& group) {
  bool arrives = (group.events & kNotifyMessageNew) != 0;
  bool goes = (group.events & kNotifyMessageExpunge) != 0;
  if (arrives != goes) return lexer.fail("MessageNew and MessageExpunge go together");
  if (!arrives && (group.events & (kNotifyFlagChange | kNotifyAnnotationChange)) != 0) {
    return lexer.fail("FlagChange needs MessageNew and MessageExpunge");
  }
  if (is_selected(group)) {
    bool others = (group.events & ~(kOfMessages | kNotifyUnknown)) != 0;
    return !others || lexer.fail("The selected mailbox has message events only");
  }
  return group.fetch.empty() || lexer.fail("FETCH items are for the selected mailbox only");
}

bool take_group(Lexer& lexer, NotifyGroup& group, std::size_t& room) {
  if (!lexer.take('(', "Expected an event group") || !take_filter(lexer, group, room) ||
      !lexer.take_space()) {
    return false;
  }
  if (!lexer.skip_word("NONE")) {
    if (!lexer.take('(', "Expected events")) return false;
    do {
      if (!take_event(lexer, group)) return false;
    } while (lexer.skip(' '));
    if (!lexer.take(')', "Missing ) after events")) return false;
  }
  return lexer.take(')', "Missing ) after an event group") && check(lexer, group);
}

}  // namespace

bool parse_notify(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<Notify>();
  if (!lexer.take_space()) return false;
  if (lexer.skip_word("NONE")) return lexer.take_end();
  if (!lexer.skip_word("SET")) return lexer.fail("Expected SET or NONE");
  if (!lexer.take_space()) return false;
  if (lexer.skip_word("STATUS")) {
    command.status = true;
    if (!lexer.take_space()) return false;
  }
  std::size_t room = kNotifyMailboxesMax;
  bool selected = false;
  do {
    if (command.groups.size() == kNotifyGroupsMax) return lexer.fail("Too many event groups");
    NotifyGroup& group = command.groups.emplace_back();
    if (!take_group(lexer, group, room)) return false;
    if (is_selected(group) && std::exchange(selected, true)) {
      return lexer.fail("Only one group can be of the selected mailbox");
    }
  } while (lexer.skip(' ') && !lexer.at_end());
  return lexer.take_end();
}

bool take_fetch_text(Lexer& lexer, std::string& out) {
  std::string_view from = lexer.rest();
  Fetch items;
  if (!take_fetch_list(lexer, items)) return false;
  out = from.substr(0, from.size() - lexer.rest().size());
  return out.size() <= kNotifyFetchBytesMax || lexer.fail("Too many FETCH items");
}

std::optional<Fetch> parse_fetch_list(std::string_view text) {
  Lexer lexer(text);
  Fetch items;
  if (!take_fetch_list(lexer, items) || !lexer.at_end()) return std::nullopt;
  return items;
}

}  // namespace dormouse::imap
