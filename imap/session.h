#pragma once
// Session: one client, awake. It lives from Begin to the end of its relay channel: until it parks,
// is refreshed, logs out or is ended. One coroutine (run), under a Scope whose hook is the user's
// Identity.
//
//   session.cc          the command loop and how a session ends
//   session_wait.cc     waiting for the client: pushes in IDLE, the offer to park, autologout
//   session_changes.cc  telling the client what changed in its mailbox
//   session_restore.cc  from a parked state back to an awake session
//   refresh.cc          the difference for a sleeper, without waking it
//   session_notify.cc   NOTIFY: what is told unasked, awake and asleep
//   commands/           what the client can ask, a file a family
//
// Errors: a Result that fails ends the session (the channel is gone, the scope cancelled, or
// say_bye() was called). What a client is merely refused is a Reply.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imap/notify.h"
#include "imap/output.h"
#include "imap/relay.h"
#include "imap/selected.h"
#include "imap/session_state.h"
#include "imap/syntax/command.h"
#include "imap/syntax/command_reader.h"
#include "imap/trace_tap.h"
#include "imap/user.h"
#include "io/loop.h"
#include "tuning/pressure_level.h"
#include "tuning/session_rhythm.h"
#include "wire/settings.pb.h"

namespace dormouse::imap {

// Of one worker process, since its start.
struct SessionCounters {
  uint64_t logins = 0;     // Begin(NEW)
  uint64_t attaches = 0;   // Begin(INPUT)
  uint64_t refreshes = 0;  // Begin(REFRESH) answered
  uint64_t offers = 0;
  uint64_t withdrawn = 0;  // offers taken back
  uint64_t parks = 0;      // ended in end of file
  uint64_t crossed = 0;    // ended in data: the session went on
  uint64_t commands = 0;
  uint64_t byes = 0;
};

// Word of what a session has changed to sleepers whose mailboxes nobody else tells of in time
// (wire/watch_worker.proto).
class ChangePublisher {
 public:
  // False: the file system tells everything.
  virtual bool wanted() const = 0;
  virtual void publish(uint64_t topic) = 0;

 protected:
  virtual ~ChangePublisher() = default;
};

// What a worker lends its sessions; outlives them.
struct SessionHost {
  explicit SessionHost(io::Loop& l) : loop(l) {}
  io::Loop& loop;
  wire::Settings::Worker settings;
  SessionCounters counters;
  // When sessions park: docs/tuning.md.
  tuning::ParkParameters park_parameters;
  tuning::ClientHabits habits;
  tuning::Pressure pressure = tuning::Pressure::kCalm;  // of the server (docs/pressure.md)
  TraceTap* tap = nullptr;                              // while somebody records
  ChangePublisher* publisher = nullptr;
};

enum class Condition : uint8_t { kOk, kNo, kBad };
// A command's tagged answer.
struct Reply {
  Condition condition = Condition::kOk;
  std::string text;  // with its response code, if any
};
inline Reply ok(std::string text) { return {Condition::kOk, std::move(text)}; }
inline Reply no(std::string text) { return {Condition::kNo, std::move(text)}; }
inline Reply bad(std::string text) { return {Condition::kBad, std::move(text)}; }
// What the store's refusal means to a client (RFC 5530). Its text stays in the log.
Reply refusal(const Error& error);

class Session final : public ChangeListener {
 public:
  Session(SessionHost& host, User& user, uint64_t id, std::string remote_address,
          io::Channel channel);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The whole life. Under a Scope with the user's identity.
  io::Task<void> run();
  // The server goes down: BYE with this text once the command under way is done.
  void shut_down(std::string text);
  void mailbox_changed(int64_t mailbox_id) override;
  // SessionHost::pressure is another: one that waits may be due to park now.
  void pressure_changed();
  // One line of the worker's view.
  std::string describe() const;
  uint64_t id() const { return id_; }
  User& user() { return user_; }

  // --- For commands.
  io::Loop& loop() { return host_.loop; }
  SessionHost& host() { return host_; }
  Output& out() { return out_; }
  Relay& relay() { return relay_; }
  CommandReader& reader() { return reader_; }
  std::optional<Selected>& selected() { return selected_; }
  bool condstore() const { return condstore_; }
  bool qresync() const { return qresync_; }
  void enable_condstore();  // says HIGHESTMODSEQ when a mailbox is selected (RFC 7162 3.1.2.1)
  void enable_qresync();
  void set_client_id(uint64_t id);
  void begin_idle(std::string tag);
  void log_out() { logged_out_ = true; }
  // The session ends with "* BYE <text>": return this.
  std::unexpected<Error> say_bye(std::string text);
  // Until input is there. Sends what was said. May park the session, which is the end of it
  // (kClosed).
  io::Task<Result<void>> await_input();
  // Brings the view up to date and says what changed. True when something was said.
  io::Task<Result<bool>> report_changes(bool allow_expunge);
  // Word to the user's other sessions that this one has changed a mailbox; tell_here(): that it has
  // found it changed, for the sessions of this process alone.
  void tell_others(store::Mailbox mailbox);
  void tell_here(store::Mailbox mailbox) { user_.notify(mailbox.id(), this); }
  // The part of it for sleepers, where the mailbox has no such name any more. Empty: the list of
  // mailboxes.
  void publish(std::string_view mailbox);
  // Announces keywords the client does not know yet, if `keywords` has any.
  Result<> announce_keywords(const store::Keywords& keywords);
  // The same whether or not the client wants to hear of it (NOTIFY): its own command needs it.
  io::Task<Result<bool>> report_all_changes(bool allow_expunge);
  void drop_selected();

  // --- NOTIFY (session_notify.cc).
  std::optional<Notifier>& notify() { return notify_; }
  Notifier::Glance glance();
  // Whether changes of the selected mailbox are told at all.
  bool tells_selected() const { return !notify_ || notify_->tells_messages(); }
  // Says what is new in the mailboxes of its filters, but not of `own` and what is below them: the
  // session has made, removed, renamed or subscribed those itself. True when something was said.
  io::Task<Result<bool>> look_around(std::vector<std::string> own);
  // The session has added or removed these messages of a mailbox that is not selected.
  void made(store::Mailbox mailbox, const UidSet& uids);
  // Word to the user's other sessions here that the list of mailboxes or subscriptions changed.
  void tell_others_of_names() {
    user_.notify(kNamesChanged, this);
    publish({});
  }
  // Begin(REFRESH) of a session with NOTIFY; for refresh().
  io::Task<Result<wire::WorkerToDen::Refreshed>> refresh_notify(wire::DenToWorker::Begin begin,
                                                                SessionState state, uint32_t told);
  // The same as an awake session does it, where that takes a view.
  io::Task<Result<wire::WorkerToDen::Refreshed>> refresh_with_view(wire::DenToWorker::Begin begin);

 private:
  // session.cc
  io::Task<Result<void>> live();
  io::Task<Result<void>> log_in(wire::DenToWorker::Begin begin);
  io::Task<Result<void>> serve();
  io::Task<Result<void>> handle_step(CommandReader::Step step);
  // A whole command has come: kCommand, or small talk (kTalk, kIdle, kDone).
  void heard(tuning::TraceEvent what);
  void note(tuning::TraceEvent event);
  io::Task<Result<void>> execute(Command command);
  io::Task<Result<void>> start_compress(Command command);
  io::Task<Result<void>> end_idle(bool done);
  io::Task<Result<void>> finish();

  // session_wait.cc
  io::Task<Result<RelayEvent>> wait_event(uint64_t wait_ms);
  io::Task<Result<void>> wait_once();
  io::Task<Result<void>> tick();
  io::Task<Result<void>> make_offer();
  io::Task<Result<void>> settle_offer();
  io::Task<Result<void>> park(bool small_talk);
  void park_refused();
  io::Task<Result<void>> hindered(wire::Hindrance::Kind kind, std::string detail);
  uint64_t due_ms() const;
  uint64_t park_due_ms() const;
  uint64_t park_bound_ms() const;
  tuning::ParkAdvice park_advice() const;
  void disturbed();
  bool parkable() const;
  Result<std::vector<wire::Directory>> directories();
  Result<bool> changes_pending();
  Result<std::string> freeze() const;

  // session_notify.cc
  // Changes are looked for while it is quiet; outside IDLE not within a command that is coming in.
  bool watches() const {
    if (idle_) return selected_ || (notify_ && notify_->active());
    return notify_ && notify_->active() && reader_.at_boundary();
  }
  bool pushes() const { return idle_ || (notify_ && notify_->active()); }
  io::Task<Result<bool>> push_changes();
  // Appends to `places` what NOTIFY's other filters are watched by. True: something was said, or
  // cannot be known now, so it is too early to park.
  io::Task<Result<bool>> watch_others(std::vector<wire::Directory>& places);
  // One look: says an overflow, too.
  io::Task<Result<Notifier::Seen>> look(std::vector<std::string> own, bool directories = false);
  bool announces(bool settled) const;

  // session_changes.cc
  io::Task<Result<bool>> say_changes(store::Changes changes, bool allow_expunge);
  Result<> take_arrivals(const store::Changes& changes);
  io::Task<Result<void>> fetch_for_contexts(const std::vector<store::Message>* arrived);
  io::Task<Result<void>> say_expunged();

  // session_restore.cc
  io::Task<Result<void>> restore(wire::DenToWorker::Begin begin);
  Result<> restore_mailbox(const MailboxState& state, uint32_t told);

  SessionHost& host_;
  User& user_;
  const uint64_t id_;
  const std::string remote_address_;
  const uint64_t born_ms_;
  Relay relay_;
  Output out_;
  CommandReader reader_;

  std::optional<Selected> selected_;
  std::optional<Notifier> notify_;
  bool behind_ = false;  // the store was busy: something is still to be told
  bool condstore_ = false;
  bool qresync_ = false;
  bool compressed_ = false;  // COMPRESS is in force: the den inflates and deflates
  bool idle_ = false;
  std::string idle_tag_;
  uint64_t client_id_ = 0;

  bool logged_out_ = false;
  std::string bye_text_;
  std::string shutdown_text_;  // shut_down() was called when not empty
  std::string command_;        // under way, for the view
  std::string awake_because_;  // why the session cannot park until the next command
  tuning::SessionRhythm rhythm_;
  bool parked_ = false;
  bool commanded_ = false;      // a command that a sleeper wakes for is being answered
  uint64_t disturbed_ms_ = 0;   // when something else than the client broke the quiet; 0: nothing
  uint32_t park_refusals_ = 0;  // by the den, since the last input
  std::string park_refusal_;

  uint32_t bad_commands_ = 0;  // in a row
  uint64_t last_input_ms_ = 0;
  uint64_t quiet_since_ms_ = 0;
  uint64_t polled_ms_ = 0;
  io::Scope* waiting_ = nullptr;  // cancelled to wake the session
  bool woken_ = false;
};

// The wall clock, by which a rhythm tells how long a session slept.
uint64_t unix_ms();

// Begin(REFRESH): the difference for a sleeper (refresh.cc). Writes it to the session's output and
// answers what goes into Refreshed. The session has nothing of the sleeper's yet.
io::Task<Result<wire::WorkerToDen::Refreshed>> refresh(Session& session,
                                                       wire::DenToWorker::Begin begin);
// The part of it that is about the selected mailbox: `state` is brought up to date. An answer with
// `bye`: the session ends. `told`: arrivals that the den has announced. `flags`: whether changes of
// flags are told.
io::Task<Result<wire::WorkerToDen::Refreshed>> refresh_mailbox(User& user, Output& out,
                                                               SessionState& state, uint32_t told,
                                                               bool flags);
// The state as bytes. What makes it too long may be a context that has grown: then the largest is
// given up, and the client told so.
Result<std::string> encode_or_shed(SessionState& state, std::string& out);
// Whether an Offer or Refreshed, one datagram, can hold them.
bool fit_an_offer(const std::vector<wire::Directory>& places);
// The directories of a mailbox, as an Offer names them.
Result<std::vector<wire::Directory>> watched_of(User& user, const store::Guid& guid,
                                                std::string_view name);
// Whether the mailbox has changed since: synced, and looked at. An Error is the store's; kNotFound:
// it is gone.
io::Task<Result<bool>> has_changed(User& user, const MailboxState& box);
// Whether a context wants new messages fetched, for which a refresh needs a view.
bool fetches_arrivals(const MailboxState& box);

}  // namespace dormouse::imap
