#pragma once
// The selected mailbox of an awake session, and the pieces of the responses that tell a client what
// changed in it. Emitting is the same whether the session was awake or is only being refreshed, so
// the pieces are here, without a Session.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "imap/context.h"
#include "imap/session_state.h"
#include "imap/syntax/flags.h"
#include "imap/syntax/uid_set.h"
#include "imap/view.h"
#include "store/store.h"

namespace dormouse::imap {

struct Selected {
  explicit Selected(store::Mailbox box) : mailbox(box) {}

  store::Mailbox mailbox;
  store::Guid guid;
  std::string name;
  uint32_t uid_validity = 0;
  uint32_t uid_next = 1;
  bool read_only = false;
  View view;
  uint64_t mod_seq = 0;               // the view is of this moment
  UidSet recent;                      // of the view
  UidSet saved_search;                // SEARCHRES
  std::vector<Context> contexts;      // RETURN (UPDATE)
  std::vector<std::string> keywords;  // as the client was told
  // Mod-sequences of this session's own changes since `mod_seq`: their results were told already.
  std::vector<uint64_t> own_mod_seqs;

  uint32_t recent_count() const { return uint32_t(recent.count()); }
};

SystemFlags to_system_flags(store::Flags flags);
store::Flags to_store_flags(SystemFlags flags);
FlagList to_flag_list(const store::Message& message, std::span<const std::string> names,
                      bool recent);
// Bits beyond the first `known` names.
bool has_unknown_keyword(const store::Keywords& keywords, size_t known);

// * FLAGS (...) and * OK [PERMANENTFLAGS (...)].
void put_flags_responses(std::string& out, std::span<const std::string> names, bool read_only,
                         bool can_add);
// * 3 FETCH (UID 7 FLAGS (...) MODSEQ (9)): what another session's change looks like. The UID is
// always there: RFC 7162 3.2.10.2 wants it with QRESYNC, and it harms nobody else.
void put_flags_update(std::string& out, uint32_t sequence_number, const store::Message& message,
                      std::span<const std::string> names, bool recent, bool condstore);

}  // namespace dormouse::imap
