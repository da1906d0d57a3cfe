// CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3 to 6.3.7, RFC 6154) and STATUS
// (6.3.10).

#include <fmt/format.h>

#include "imap/commands/commands.h"
#include "imap/syntax/writer.h"

namespace dormouse::imap {
namespace {

std::optional<store::SpecialUse> special_use(MailboxAttributes uses) {
  switch (uses) {
    case 0:
      return store::SpecialUse::kNone;
    case kUseAll:
      return store::SpecialUse::kAll;
    case kUseArchive:
      return store::SpecialUse::kArchive;
    case kUseDrafts:
      return store::SpecialUse::kDrafts;
    case kUseFlagged:
      return store::SpecialUse::kFlagged;
    case kUseJunk:
      return store::SpecialUse::kJunk;
    case kUseSent:
      return store::SpecialUse::kSent;
    case kUseTrash:
      return store::SpecialUse::kTrash;
    default:
      return std::nullopt;  // several at once, or one the store does not keep
  }
}

// The answer; before it, what others have changed meanwhile (NOTIFY), but not `own`.
Answer done(Session& session, Result<> result, std::string_view what,
            std::vector<std::string> own) {
  if (!result) co_return refusal(result.error());
  session.tell_others_of_names();
  if (auto said = co_await session.look_around(std::move(own)); !said) {
    co_return std::unexpected(said.error());
  }
  co_return ok(fmt::format("{} completed.", what));
}

// As the store has it.
std::string without_separator(std::string name) {
  if (name.ends_with(store::kSeparator)) name.pop_back();
  return name;
}

}  // namespace

Answer run(Session& session, const Create& arguments) {
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto use = special_use(arguments.uses);
  if (!use) co_return no("[USEATTR] This special use cannot be given.");
  auto created = (*store)->create(arguments.mailbox, *use);
  if (!created) co_return refusal(created.error());
  co_return co_await done(session, {}, "Create", {without_separator(arguments.mailbox)});
}

Answer run(Session& session, const Delete& arguments) {
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto mailbox = (*store)->open_mailbox(arguments.mailbox);
  bool selected = mailbox && session.selected() && session.selected()->mailbox == *mailbox;
  auto removed = (*store)->remove(arguments.mailbox);
  if (!removed && removed.error().kind == ErrorKind::kExists) {
    co_return no("[HASCHILDREN] The name has mailboxes below it.");
  }
  if (!removed && removed.error().kind == ErrorKind::kDenied) {
    co_return no("[CANNOT] This mailbox cannot be deleted.");
  }
  if (removed && mailbox) {
    session.tell_here(*mailbox);
    session.publish(arguments.mailbox);
  }
  if (removed && selected) {
    session.drop_selected();
    session.out().text() += "* OK [CLOSED] The selected mailbox was deleted.\r\n";
  }
  co_return co_await done(session, removed, "Delete", {arguments.mailbox});
}

Answer run(Session& session, const Rename& arguments) {
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto renamed = (*store)->rename(arguments.from, arguments.to);
  if (renamed) {
    // INBOX's messages have moved: a session on it is told like of any expunge.
    if (auto inbox = (*store)->open_mailbox(arguments.from)) session.tell_others(*inbox);
    session.publish(arguments.from);
  }
  std::vector<std::string> own = {without_separator(arguments.from),
                                  without_separator(arguments.to)};
  co_return co_await done(session, renamed, "Rename", std::move(own));
}

Answer run(Session& session, const Subscribe& arguments) {
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  co_return co_await done(session, (*store)->subscribe(arguments.mailbox), "Subscribe",
                          {arguments.mailbox});
}

Answer run(Session& session, const Unsubscribe& arguments) {
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  co_return co_await done(session, (*store)->unsubscribe(arguments.mailbox), "Unsubscribe",
                          {arguments.mailbox});
}

Result<> put_status(Session& session, store::Mailbox mailbox, std::string_view name,
                    StatusItems items) {
  auto synced = mailbox.sync();
  if (synced && synced->any()) session.user().notify(mailbox.id(), nullptr);
  auto status = mailbox.status();
  if (!status) return std::unexpected(status.error());
  StatusValues values;
  values.messages = status->exists;
  values.recent = status->recent;
  values.uid_next = status->uid_next;
  values.uid_validity = status->uid_validity;
  values.unseen = status->unseen;
  values.highest_mod_seq = status->highest_mod_seq;
  if ((items & kStatusSize) != 0) {
    auto octets = mailbox.size_octets();
    if (!octets) return std::unexpected(octets.error());
    values.size_octets = *octets;
  }
  put_status_response(session.out().text(), name, items, values);
  return {};
}

Answer run(Session& session, const Status& arguments) {
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto mailbox = (*store)->open_mailbox(arguments.mailbox);
  if (!mailbox) co_return refusal(mailbox.error());
  if ((arguments.items & kStatusHighestModSeq) != 0) session.enable_condstore();
  auto told = put_status(session, *mailbox, arguments.mailbox, arguments.items);
  if (!told) co_return refusal(told.error());
  co_return ok("Status completed.");
}

}  // namespace dormouse::imap
