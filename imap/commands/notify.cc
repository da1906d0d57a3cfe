// NOTIFY (RFC 5465). What it sets in motion: imap/notify.h, imap/session_notify.cc.

#include "imap/commands/commands.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

// Annotations (RFC 5257) and metadata (RFC 5464) are not offered, so their events are not either.
constexpr std::string_view kBadEvent =
    "[BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)] "
    "Other events are not offered.";

}  // namespace

Answer run(Session& session, const Notify& arguments) {
  NotifyState state;
  state.groups = arguments.groups;
  for (const NotifyGroup& group : state.groups) {
    if ((group.events & ~kNotifySupported) != 0) co_return no(std::string(kBadEvent));
  }
  Notifier notifier(std::move(state));
  if (notifier.fetch() != nullptr && (notifier.fetch()->items & kFetchModSeq) != 0) {
    session.enable_condstore();
  }
  Notifier::Glance glance = session.glance();
  using First = Notifier::Glance::First;
  glance.first = arguments.status ? First::kStatus : First::kQuiet;
  auto seen = co_await notifier.look(std::move(glance));
  if (!seen && seen.error().kind == ErrorKind::kCancelled) co_return std::unexpected(seen.error());
  if (!seen) co_return refusal(seen.error());
  if (seen->overflow) {
    co_return no("[NOTIFICATIONOVERFLOW] More mailboxes than can be watched.");
  }
  session.notify() = std::move(notifier);
  co_return ok("Notify completed.");
}

}  // namespace dormouse::imap
