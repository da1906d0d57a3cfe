#pragma once
// SessionState: what a session is when it sleeps, as plain values; encode and decode are the only
// two places that know its bytes (wire/session_state.proto, docs/session-state.md).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "imap/context.h"
#include "imap/syntax/command.h"
#include "imap/syntax/uid_set.h"
#include "io/result.h"
#include "store/types.h"

namespace dormouse::imap {

inline constexpr uint32_t kSessionStateVersion = 1;
// A parked record must stay small, and the den's slab is cut for a few hundred bytes on average.
// 4 KiB hold some 1,500 ranges; a session with more fragments than that stays awake.
inline constexpr size_t kSessionStateBytesMax = 4096;

struct MailboxState {
  store::Guid guid;
  std::string name;
  uint32_t uid_validity = 0;
  bool read_only = false;
  uint64_t mod_seq = 0;
  uint32_t uid_next = 1;
  uint32_t exists = 0;
  UidSet recent;
  uint32_t recent_count = 0;
  UidSet saved_search;
  UidSet unreported;
  std::vector<Context> contexts;
  uint32_t keyword_count = 0;
  uint32_t keyword_digest = 0;
  bool operator==(const MailboxState&) const = default;
};

// What the client knows of a mailbox that a NOTIFY filter names.
struct KnownMailbox {
  uint32_t mark = 0;     // mailbox_mark() of its GUID; 0: subscribed, but no mailbox
  uint64_t mod_seq = 0;  // told up to here; 0: messages do not matter
  std::string name;      // empty where names do not matter
  bool subscribed = false;
  bool operator==(const KnownMailbox&) const = default;
};

struct NotifyState {
  std::vector<NotifyGroup> groups;
  std::vector<KnownMailbox> known;  // ascending by name, where there are names
  uint32_t watched_digest = 0;
  bool operator==(const NotifyState&) const = default;
};

struct SessionState {
  bool condstore = false;
  bool qresync = false;
  bool idle = false;
  std::string idle_tag;
  uint64_t client_id = 0;
  std::optional<MailboxState> mailbox;
  std::optional<NotifyState> notify;
  std::string rhythm;  // SessionRhythm::freeze(), or empty
  bool operator==(const SessionState&) const = default;
};

// kLimit: longer than kSessionStateBytesMax, or two mailboxes of NOTIFY look alike.
Result<std::string> encode_state(const SessionState& state);
// kInvalid for whatever encode_state() cannot have written.
Result<SessionState> decode_state(std::string_view bytes);

// Stands for a mailbox within one user's: never 0. GUIDs are random, so two of 126 mailboxes look
// alike once in 500,000 users; their sessions stay awake (encode_state()).
uint32_t mailbox_mark(const store::Guid& guid);

// Of keyword names, in order: tells whether the client's FLAGS response still holds.
uint32_t keyword_digest(std::span<const std::string> names);

}  // namespace dormouse::imap
