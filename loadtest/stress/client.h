#pragma once
// Client: one stress client. An engine: what the server says goes in, commands and complaints come
// out; who owns the connection does the I/O and keeps the time. Random choices come from a
// generator of its own, so that a seed gives the same choices whatever the other clients do (what
// they do to the mailbox still decides which messages there are to choose from).
//
//   connected -> greeting -> LOGIN [CAPABILITY] [ENABLE] -> LIST, STATUS -> SELECT, FETCH 1:* ->
//   commands by StateTable -> LOGOUT -> closed

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loadtest/response_scanner.h"
#include "loadtest/stress/random.h"
#include "loadtest/stress/states.h"
#include "loadtest/stress/truth.h"
#include "loadtest/stress/view.h"

namespace dormouse::loadtest::stress {

struct ClientSettings {
  std::string user;
  std::string password;
  std::string mailbox = "INBOX";
  StateTable states;
  uint32_t messages = 30;  // the mailbox is kept about this full
  uint32_t body_bytes_max = 8000;
  uint32_t pipeline = 2;  // commands under way at most
  uint32_t idle_ms_max = 500;
  bool extensions = true;  // CONDSTORE and QRESYNC where offered
  bool fresh = true;       // a NOOP must report whatever was confirmed before it
  uint64_t seed = 1;       // of the run
  uint32_t number = 0;     // of the client in the run
  uint32_t slot = 0;       // of the client among those of its mailbox
};

enum class Verb : uint8_t {
  kLogin,
  kCapability,
  kEnable,
  kList,
  kStatus,
  kSelect,
  kFetch,
  kSearch,
  kStore,
  kExpunge,
  kAppend,
  kNoop,
  kIdle,
  kLogout,
};

// What a connection makes use of, at random among what is offered.
enum class Extension : uint8_t { kNone, kCondstore, kQresync };

struct AppendedMail {
  MailIdentity mail;
  uint8_t flags = 0;
};

// A command under way and what its answer is held against.
struct Sent {
  Verb verb = Verb::kNoop;
  std::string tag = {};
  std::string line = {};             // for reports
  std::optional<State> state = {};   // whose count it goes to
  uint64_t event = 0;                // when it was sent
  bool by_uid = false;               // "UID FETCH" ...: EXPUNGE may come
  std::vector<uint32_t> uids = {};   // that it is about, or that were known
  std::set<uint32_t> answered = {};  // kFetch: UIDs that a FETCH response came for
  uint32_t count = 0;                // kFetch of everything: how many messages there were
  bool everything = false;
  std::optional<uint32_t> flag = {};    // kStore, kSearch
  bool wanted = true;                   // kSearch: FLAGGED or UNFLAGGED
  std::vector<uint32_t> versions = {};  // kStore of `flag`, one for each of uids
  FetchContext fetch = {};
  bool heard = false;  // kSearch, kStatus: its data came
  // kAppend: the messages, in order, and what waits for each continuation.
  std::vector<AppendedMail> mails = {};
  std::deque<std::string> waiting = {};
  uint32_t uid_next = 0;  // known when it was sent
  uint64_t sent_us = 0;
};

class Client {
 public:
  // Messages of one APPEND, where the server offers MULTIAPPEND.
  static constexpr uint32_t kAppendMailsMax = 3;
  // No response of a right server to our commands is larger: FETCH of the largest mail, SEARCH of
  // the largest mailbox.
  static constexpr ScannerBounds kScannerBounds{.kept_bytes_max = 1024 * 1024,
                                                .literal_bytes_max = 2 * kMailBodyBytesMax};
  static constexpr size_t kDialogueLines = 24;  // of both sides, kept for reports
  static constexpr size_t kLineBytesMax = 240;  // of each of them

  // Borrows the truth.
  Client(ClientSettings settings, MailboxTruth& truth);

  void connected();
  // The connection is gone. What was under way is uncertain from now on.
  void closed();

  // Takes what the server said. Complaints are in complaints().
  void hear(std::string_view plain, uint64_t now_us);
  // Appends the commands that can be sent now to `send`; again after hear() and at wake_us().
  void act(uint64_t now_us, std::string& send);
  // When act() wants to be called even though nothing came (the end of an IDLE); 0: never.
  uint64_t wake_us() const { return wake_us_; }
  // Since when a command waits for its answer; 0: none does.
  uint64_t waiting_since_us() const;
  bool finished() const { return finished_; }      // LOGOUT is done
  const std::string& bye() const { return bye_; }  // why the server ended it; empty: it did not
  // Logs out at the next opportunity.
  void stop() { stopping_ = true; }

  Complaints& complaints() { return complaints_; }
  std::string dialogue() const;  // the last lines
  // Commands that were answered: state and time from sent to answered, since the last call.
  std::vector<std::pair<State, uint64_t>> take_answered() { return std::exchange(answered_, {}); }
  const std::deque<Sent>& under_way() const { return sent_; }
  const ClientSettings& settings() const { return settings_; }

 private:
  // client_commands.cc: what to say.
  bool next_command(uint64_t now_us, std::string& send);
  bool enter(State state, uint64_t now_us, std::string& send);
  bool begin_session(uint64_t now_us, std::string& send);
  bool walk(uint64_t now_us, std::string& send);
  std::string quote(std::string_view text) const;
  uint8_t random_flags();
  bool by_uid();
  void issue(Sent sent, const std::string& command, uint64_t now_us, std::string& send);
  void issue_select(uint64_t now_us, std::string& send);
  bool issue_listing(uint64_t now_us, std::string& send);
  bool issue_fetch(uint64_t now_us, std::string& send);
  bool issue_fetch2(uint64_t now_us, std::string& send);
  bool issue_search(uint64_t now_us, std::string& send);
  bool issue_store(uint64_t now_us, std::string& send);
  bool issue_delete(uint64_t now_us, std::string& send);
  bool issue_expunge(uint64_t now_us, std::string& send);
  bool issue_append(uint64_t now_us, std::string& send);
  std::string name_messages(Sent& sent, std::vector<uint32_t> uids);
  std::vector<uint32_t> some_uids(uint32_t count);
  // client_answers.cc: what was said.
  void hear_response(const Response& response, uint64_t now_us);
  void hear_untagged(const Response& response);
  void hear_code(std::string_view text);
  void hear_fetch(uint64_t number, const Response& response);
  void hear_search(const Response& response);
  void hear_mailbox_status(const Response& response);
  void hear_continuation(uint64_t now_us);
  bool excused(const Sent& sent);
  void hear_tagged(const Response& response, uint64_t now_us);
  void hear_mailbox(const Response& response);
  void done(const Sent& sent, std::string_view text);
  void fetched(const Sent& sent);
  void stored(const Sent& sent, std::string_view text);
  void appended(const Sent& sent, std::string_view text);
  void appended(const AppendedMail& mail, uint32_t uid);
  void lose(const Sent& sent);
  bool may_expunge() const;
  Sent* awaiting(Verb verb);
  bool offers(std::string_view capability) const;
  void read_capabilities(std::string_view text);
  void complain(std::string what) { complaints_.push_back(std::move(what)); }
  void note(char side, std::string_view line);

  ClientSettings settings_;
  MailboxTruth& truth_;
  Random random_;
  Complaints complaints_;
  MailboxView view_;
  SavedView saved_;
  ResponseScanner scanner_;
  std::deque<Sent> sent_;
  std::deque<std::string> dialogue_;
  std::string answered_last_;  // the command of the last tagged reply
  std::vector<std::pair<State, uint64_t>> answered_;
  std::set<std::string> capabilities_;
  std::string bye_;
  std::string to_send_;  // a literal that may go now
  uint64_t wake_us_ = 0;
  uint32_t tag_ = 0;
  uint64_t serial_ = 0;
  size_t walk_ = 0;              // index of the State to decide upon next
  std::optional<State> chosen_;  // decided upon, but it has to wait
  bool again_ = false;           // the State was entered and may be again
  uint64_t idle_until_us_ = 0;
  uint64_t select_event_ = 0;
  Extension extension_ = Extension::kNone;  // of this connection
  bool greeted_ = false;
  bool logged_in_ = false;
  bool capability_asked_ = false;
  bool enable_asked_ = false;
  bool selected_ = false;
  bool list_due_ = false;  // FETCH 1:* after SELECT
  bool mailbox_listed_ = false;
  bool idling_ = false;
  bool bye_heard_ = false;
  bool finished_ = false;
  bool stopping_ = false;
};

}  // namespace dormouse::loadtest::stress
