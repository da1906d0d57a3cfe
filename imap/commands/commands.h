#pragma once
// Every command's implementation. A command writes its untagged responses to session.out() and
// answers the tagged one; Session::execute then tells what else changed and writes the tagged line.
//
// `arguments` belong to the Command that Session::execute holds until the answer is there. A failed
// Result ends the session (session.h).

#include <optional>
#include <string_view>
#include <vector>

#include "imap/session.h"
#include "imap/syntax/command.h"
#include "imap/syntax/uid_set.h"

namespace dormouse::imap {

using Answer = io::Task<Result<Reply>>;

// Checks the state the command needs, then runs it.
Answer run_command(Session& session, const Command& command);
// RFC 3501 7.4.1, 5.5: not while the client may still think in the old numbers.
bool allows_expunge(const Command& command);
// It has changed what the selected mailbox holds, so it answers with EXPUNGE or EXISTS, whatever
// NOTIFY says.
bool changes_selected(Session& session, const Command& command);
// APPEND reads its message from the session's input itself and writes its own tagged answer.
io::Task<Result<void>> append(Session& session, Command command);

// commands/session_commands.cc
Answer run(Session& session, const Id& arguments);
Answer run(Session& session, const Enable& arguments);
Answer run(Session& session, const Namespace& arguments);
// commands/select.cc
Answer run(Session& session, const Select& arguments);
Answer run(Session& session, const Close& arguments);
Answer run(Session& session, const Unselect& arguments);
// commands/list.cc
Answer run(Session& session, const List& arguments);
// commands/mailboxes.cc
Answer run(Session& session, const Create& arguments);
Answer run(Session& session, const Delete& arguments);
Answer run(Session& session, const Rename& arguments);
Answer run(Session& session, const Subscribe& arguments);
Answer run(Session& session, const Unsubscribe& arguments);
Answer run(Session& session, const Status& arguments);
// commands/messages.cc
Answer run(Session& session, const Expunge& arguments);
Answer run(Session& session, const Copy& arguments);
Answer run(Session& session, const Store& arguments);
// commands/fetch.cc
Answer run(Session& session, const Fetch& arguments);
// Of new messages, what NOTIFY's MessageNew asked for; without setting \Seen.
io::Task<Result<void>> fetch_arrived(Session& session, Fetch wanted, std::vector<uint32_t> uids);
// commands/notify.cc
Answer run(Session& session, const Notify& arguments);
// commands/search.cc
Answer run_search(Session& session, const Command& command);  // SORT too
Answer run(Session& session, const CancelUpdate& arguments);

// --- What several of them need.

// Rows per store call and turn of the loop: other sessions run in between. 128 rows with their
// cached structure, at most 64 KiB each, are 8 MiB at the worst and 200 KiB as a rule.
inline constexpr size_t kBatchMessages = 128;

// "* STATUS ..." of a mailbox, synced. An Error of the store's.
Result<> put_status(Session& session, store::Mailbox mailbox, std::string_view name,
                    StatusItems items);
// Of `wanted`, those expunged after `mod_seq` (VANISHED (EARLIER), RFC 7162 3.2.10.1); where the
// log does not reach back, all that do not exist.
Result<UidSet> vanished_since(const Selected& box, uint64_t mod_seq, const UidSet& wanted);
// The messages of the view that the client's set names; nullopt: a sequence number that does not
// exist (BAD).
std::optional<UidSet> resolve(Session& session, const SequenceSet& set, bool by_uid);
// The answer to that nullopt.
inline Reply bad_sequence() { return bad("No message has such a sequence number."); }

}  // namespace dormouse::imap
