// From a parsed command to its implementation: the state it needs, and the commands that are only a
// line or two.

#include <fmt/format.h>

#include "imap/capability.h"
#include "imap/commands/commands.h"
#include "wire/small_talk.h"

namespace dormouse::imap {
namespace {

template <class... Types>
bool is_any(const Command& command) {
  return (std::holds_alternative<Types>(command.arguments) || ...);
}

bool needs_selected(const Command& command) {
  return is_any<Check, Close, Unselect, Expunge, Copy, Store, Fetch, Search, CancelUpdate>(command);
}

bool needs_write(const Command& command) {
  const Copy* copy = command.as<Copy>();
  return is_any<Expunge, Store>(command) || (copy != nullptr && copy->move);
}

Answer answer(Reply reply) { co_return reply; }

// wire/small_talk.h has the whole line without its tag: "OK NOOP completed."
Reply small_talk(std::string_view line) { return ok(std::string(line.substr(3))); }

Answer capability(Session& session) {
  session.out().text() += fmt::format("* CAPABILITY {}\r\n", kCapabilities);
  co_return ok("Capability completed.");
}

Answer logout(Session& session) {
  session.out().text() += wire::kLogoutBye;
  session.drop_selected();
  session.log_out();
  co_return small_talk(wire::kLogoutCompleted);
}

struct Runner {
  Session& session;
  const Command& command;

  Answer operator()(const Capability&) { return capability(session); }
  Answer operator()(const Noop&) { return answer(small_talk(wire::kNoopCompleted)); }
  Answer operator()(const Check&) { return answer(small_talk(wire::kCheckCompleted)); }
  Answer operator()(const Logout&) { return logout(session); }
  Answer operator()(const Search&) { return run_search(session, command); }
  Answer operator()(const Starttls&) { return answer(bad("TLS is negotiated before login.")); }
  Answer operator()(const Login&) { return answer(bad("Already logged in.")); }
  Answer operator()(const Authenticate&) { return answer(bad("Already logged in.")); }
  // These three never come here (session.cc), but a variant has them.
  Answer operator()(const Idle&) { return answer(bad("IDLE is not possible here.")); }
  Answer operator()(const Compress&) { return answer(bad("COMPRESS is not possible here.")); }
  Answer operator()(const Append&) { return answer(bad("APPEND needs a message.")); }
  template <class T>
  Answer operator()(const T& arguments) {
    return run(session, arguments);
  }
};

}  // namespace

bool allows_expunge(const Command& command) {
  if (const auto* fetch = command.as<Fetch>()) return fetch->uid;
  if (const auto* store = command.as<Store>()) return store->uid;
  if (const auto* search = command.as<Search>()) return search->uid;
  return true;
}

bool changes_selected(Session& session, const Command& command) {
  if (command.as<Expunge>() != nullptr) return true;
  const auto* copy = command.as<Copy>();
  return copy != nullptr && (copy->move || copy->mailbox == session.selected()->name);
}

Answer run_command(Session& session, const Command& command) {
  if (needs_selected(command)) {
    if (!session.selected()) co_return bad("No mailbox is selected.");
    if (needs_write(command) && session.selected()->read_only) {
      co_return no("[READ-ONLY] The mailbox was opened by EXAMINE.");
    }
  }
  co_return co_await std::visit(Runner{session, command}, command.arguments);
}

std::optional<UidSet> resolve(Session& session, const SequenceSet& set, bool by_uid) {
  const Selected& box = *session.selected();
  if (!by_uid && !set.saved_result) {
    uint32_t exists = box.view.exists();
    for (const SequenceSet::Item& item : set.items) {
      // "*" in an empty mailbox names no message either.
      if (exists == 0 || item.first > exists || item.last > exists) return std::nullopt;
    }
  }
  return box.view.resolve(set, by_uid, box.saved_search);
}

}  // namespace dormouse::imap
