#pragma once
// Notifier: what a client asked for by NOTIFY (RFC 5465) and what it knows of the mailboxes that it
// named. It holds no mailbox open: look() asks the store, says what is new, and remembers what was
// said. So it is the same for an awake session and for one that is only refreshed, and all of it
// (state()) is a part of the session state.
//
// The selected mailbox is the session's own business (session_changes.cc, refresh.cc): here are
// only the client's wishes for it.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imap/output.h"
#include "imap/session_state.h"
#include "imap/syntax/command.h"
#include "imap/syntax/limits.h"
#include "imap/user.h"

namespace dormouse::imap {

class Notifier {
 public:
  // As the parser or decode_state() gave it.
  explicit Notifier(NotifyState state);
  const NotifyState& state() const { return state_; }
  // False: NOTIFY NONE.
  bool active() const { return !state_.groups.empty(); }
  // NOTIFY NONE from now on: more is asked for than can be watched.
  void stop();

  // --- Of the selected mailbox.
  bool tells_messages() const { return (selected_events_ & kNotifyMessageNew) != 0; }
  bool tells_flags() const { return (selected_events_ & kNotifyFlagChange) != 0; }
  // SELECTED: also EXPUNGE is told as soon as no command is under way. Not so SELECTED-DELAYED.
  bool immediate() const { return immediate_; }
  // What is to be told of a new message; nullptr: nothing but that it came. Nothing in it sets
  // \Seen.
  const Fetch* fetch() const { return fetch_ ? &*fetch_ : nullptr; }

  // --- Of the others.
  struct SelectedMailbox {
    store::Guid guid;
    uint64_t mod_seq = 0;  // told up to here
  };
  struct Glance {
    User& user;
    Output& out;
    const ChangeListener* self;  // is not told of what a sync finds
    bool condstore = false;
    std::optional<SelectedMailbox> selected = {};
    // The session itself has changed the list: these and what is below them are known to it.
    std::vector<std::string> own = {};
    bool directories = false;  // Seen.directories are asked for, moved or not
    // NOTIFY SET itself: nothing is news yet. kStatus: but STATUS of every mailbox is asked for.
    enum class First : uint8_t { kNo, kQuiet, kStatus } first = First::kNo;
  };
  struct Seen {
    bool said = false;
    bool overflow = false;  // too many mailboxes to watch; nothing was said or remembered
    bool moved = false;     // other directories are to be watched than at the last look
    // To be watched, where that was asked for or has changed; the root first. Of the selected
    // mailbox none.
    std::vector<wire::Directory> directories;
  };
  // Syncs the mailboxes, says what is new. An Error is the store's, and then the rest is left for
  // the next look.
  io::Task<Result<Seen>> look(Glance glance);

  // The mailbox is no longer selected; its changes up to there are known.
  void left(const SelectedMailbox& mailbox);
  // The session itself has added or removed these messages of a mailbox, and knows it. Where
  // something else has happened too, all of it is told.
  void made(store::Mailbox mailbox, const UidSet& uids);

 private:
  class Look;

  NotifyEvents events_of(std::string_view name, bool subscribed) const;
  KnownMailbox* find(uint32_t mark);

  NotifyState state_;
  NotifyEvents selected_events_ = 0;
  bool immediate_ = false;
  std::optional<Fetch> fetch_;
};

// The name of a mailbox is `top`, or below it.
bool is_below(std::string_view name, std::string_view top);
// SELECTED and SELECTED-DELAYED: about the selected mailbox, not about names.
bool is_selected_group(const NotifyGroup& group);
// "* STATUS": the items that tell of `events` (RFC 5465 5).
StatusItems status_items(NotifyEvents events, bool condstore);

}  // namespace dormouse::imap
