#include "imap/session.h"

#include <fmt/format.h>

#include "imap/capability.h"
#include "imap/commands/commands.h"
#include "imap/syntax/parser.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "role/log.h"
#include "wire/small_talk.h"

namespace dormouse::imap {

using tuning::TraceEvent;

namespace {

// Commands that make no sense, in a row: no client sends so many, and an attacker's parser
// exercises end here.
constexpr uint32_t kBadCommandsMax = 20;
// A den takes the last words, and closes its end, within one turn of its loop. Each of the two may
// take this long before we go anyway.
constexpr uint64_t kLastWordsMs = 2'000;

ReaderLimits limits_of(const wire::Settings::Worker& settings) {
  ReaderLimits limits;
  if (settings.command_line_bytes() != 0) limits.line_bytes_max = settings.command_line_bytes();
  if (settings.append_bytes() != 0) limits.message_bytes_max = settings.append_bytes();
  return limits;
}

std::string_view condition_name(Condition condition) {
  switch (condition) {
    case Condition::kOk:
      return "OK";
    case Condition::kNo:
      return "NO";
    case Condition::kBad:
      break;
  }
  return "BAD";
}

// Small talk is what the den answers by itself (hibernate/small_talk.h), if nothing is pending.
TraceEvent event_of(const Command& command) {
  if (command.as<Idle>() != nullptr) return TraceEvent::kIdle;
  bool talk = command.as<Noop>() != nullptr || command.as<Check>() != nullptr ||
              command.as<Logout>() != nullptr;
  return talk ? TraceEvent::kTalk : TraceEvent::kCommand;
}

// Who asked goes before who is told something, and both before who is not here yet.
io::Urgency urgency_of(wire::DenToWorker::Purpose purpose) {
  switch (purpose) {
    case wire::DenToWorker::INPUT:
      return io::Urgency::kNow;
    case wire::DenToWorker::REFRESH:
      return io::Urgency::kSoon;
    default:
      return io::Urgency::kNone;
  }
}

}  // namespace

Reply refusal(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kNotFound:
      return no("[NONEXISTENT] No such mailbox.");
    case ErrorKind::kExists:
      return no("[ALREADYEXISTS] Mailbox exists already.");
    case ErrorKind::kDenied:
      return no("[NOPERM] Permission denied.");
    case ErrorKind::kNoSpace:
      return no("[OVERQUOTA] No space left; nothing was changed.");
    case ErrorKind::kLimit:
      return no("[LIMIT] A limit of this server was reached.");
    case ErrorKind::kInvalid:
      return no("[CANNOT] This name or argument cannot be used here.");
    case ErrorKind::kUnavailable:
    case ErrorKind::kTimeout:
      return no("[UNAVAILABLE] The mail store is busy; try again.");
    default:
      return no("[SERVERBUG] Internal error; see the server's log.");
  }
}

Session::Session(SessionHost& host, User& user, uint64_t id, std::string remote_address,
                 io::Channel channel)
    : host_(host),
      user_(user),
      id_(id),
      remote_address_(std::move(remote_address)),
      born_ms_(host.loop.now_ms()),
      relay_(host.loop, std::move(channel)),
      out_(relay_),
      reader_(limits_of(host.settings)),
      rhythm_(born_ms_) {
  last_input_ms_ = quiet_since_ms_ = polled_ms_ = born_ms_;
  relay_.set_send_timeout_ms(host.settings.idle_timeout_ms());
  user_.add_listener(this);
}

Session::~Session() { user_.remove_listener(this); }

std::unexpected<Error> Session::say_bye(std::string text) {
  bye_text_ = std::move(text);
  return fail(ErrorKind::kClosed, "the session says BYE");
}

void Session::shut_down(std::string text) {
  shutdown_text_ = text.empty() ? "Server shutting down." : std::move(text);
  if (waiting_ != nullptr) waiting_->cancel();
}

void Session::mailbox_changed(int64_t mailbox_id) {
  bool selected = idle_ && selected_ && selected_->mailbox.id() == mailbox_id;
  if (!selected && !(notify_ && notify_->active())) return;
  woken_ = true;
  if (waiting_ != nullptr) waiting_->cancel();
}

void Session::pressure_changed() {
  if (waiting_ != nullptr) waiting_->cancel();
}

io::Task<void> Session::run() {
  auto lived = co_await live();
  if (!lived && !bye_text_.empty()) {
    ++host_.counters.byes;
    out_.text() += "* BYE ";
    put_text(out_.text(), bye_text_);
    out_.text() += "\r\n";
    lived = co_await io::shielded(2 * kLastWordsMs, finish());
  }
  if (!parked_) note(TraceEvent::kClose);
  if (!lived && lived.error().kind != ErrorKind::kClosed) {
    role::log_info("session-ended",
                   {{"user", user_.name()}, {"session", id_}, {"reason", lived.error().message}});
  }
  relay_.close();
}

io::Task<Result<void>> Session::finish() {
  IMAP_CO_TRY(co_await out_.flush());
  IMAP_CO_TRY(co_await relay_.bye());
  [[maybe_unused]] auto ended = co_await io::with_timeout(kLastWordsMs, relay_.linger());
  co_return Result<void>{};
}

io::Task<Result<void>> Session::live() {
  auto begin = co_await relay_.begin();
  if (!begin) co_return std::unexpected(begin.error());
  (co_await io::current_scope())->set_urgency(urgency_of(begin->purpose()));
  // Until here everybody was urgent, and opening a store is the most that a login does in one step.
  if (begin->purpose() == wire::DenToWorker::NEW) IMAP_CO_TRY(co_await host_.loop.yield());
  switch (begin->purpose()) {
    case wire::DenToWorker::REFRESH: {
      parked_ = true;  // it sleeps on
      auto answer = co_await refresh(*this, std::move(*begin));
      if (!answer) co_return std::unexpected(answer.error());
      IMAP_CO_TRY(co_await out_.flush());
      ++host_.counters.refreshes;
      co_return co_await relay_.refreshed(std::move(*answer));
    }
    case wire::DenToWorker::NEW:
      note(TraceEvent::kOpen);
      IMAP_CO_TRY(co_await log_in(std::move(*begin)));
      break;
    case wire::DenToWorker::INPUT:
      ++host_.counters.attaches;
      IMAP_CO_TRY(co_await restore(std::move(*begin)));
      note(TraceEvent::kId);
      note(idle_ ? TraceEvent::kIdle : TraceEvent::kDone);
      break;
    default:
      co_return fail(ErrorKind::kInvalid, "Begin of an unknown purpose");
  }
  IMAP_CO_TRY(co_await serve());
  co_return co_await finish();
}

io::Task<Result<void>> Session::log_in(wire::DenToWorker::Begin begin) {
  ++host_.counters.logins;
  auto store = user_.store();
  if (!store) {
    role::log_error("mail-store-failed",
                    {{"user", user_.name()}, {"session", id_}, {"reason", store.error().message}});
    put_status_line(out_.text(), begin.tag(), "NO",
                    "[UNAVAILABLE] The mail store cannot be opened.");
    co_return say_bye("The mail store cannot be opened.");
  }
  put_status_line(out_.text(), begin.tag(), "OK",
                  fmt::format("[CAPABILITY {}] Logged in", kCapabilities));
  co_return Result<void>{};
}

io::Task<Result<void>> Session::serve() {
  while (!logged_out_) {
    if (relay_.input().empty()) {
      IMAP_CO_TRY(co_await await_input());
      continue;
    }
    IMAP_CO_TRY(co_await handle_step(reader_.feed(relay_.input())));
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  co_return Result<void>{};
}

// text() and data lie in the relay's input: they are read before it is consumed.
io::Task<Result<void>> Session::handle_step(CommandReader::Step step) {
  using Event = CommandReader::Event;
  switch (step.event) {
    case Event::kMoreInput:
      relay_.consume(step.consumed_bytes);
      break;
    case Event::kContinuation:
      relay_.consume(step.consumed_bytes);
      out_.text() += "+ OK\r\n";
      break;
    case Event::kCommand: {
      if (idle_) {
        bool done = is_done(reader_.text());
        relay_.consume(step.consumed_bytes);
        heard(done ? TraceEvent::kDone : TraceEvent::kCommand);
        co_return co_await end_idle(done);
      }
      auto parsed = parse_command(reader_.text());
      relay_.consume(step.consumed_bytes);
      heard(parsed ? event_of(*parsed) : TraceEvent::kCommand);
      if (parsed) co_return co_await execute(std::move(*parsed));
      put_status_line(out_.text(), parsed.error().tag, parsed.error().no ? "NO" : "BAD",
                      parsed.error().text);
      if (++bad_commands_ >= kBadCommandsMax) co_return say_bye("Too many invalid commands.");
      break;
    }
    case Event::kMessageLiteral: {
      auto parsed = parse_command(reader_.text());
      relay_.consume(step.consumed_bytes);
      heard(TraceEvent::kCommand);
      if (parsed && parsed->as<Append>() != nullptr) {
        command_ = parsed->name;
        Command command = std::move(*parsed);
        ++host_.counters.commands;
        IMAP_CO_TRY(co_await append(*this, std::move(command)));
        command_.clear();
        break;
      }
      reader_.refuse_message();
      put_status_line(out_.text(), parsed ? parsed->tag : parsed.error().tag,
                      !parsed && parsed.error().no ? "NO" : "BAD",
                      parsed ? "A message belongs to APPEND." : parsed.error().text);
      break;
    }
    case Event::kMessageData:
    case Event::kMessageEnd:
      bug(__FILE__, __LINE__, "no message here", "append() reads a message it accepted");
    case Event::kRefused:
      heard(TraceEvent::kCommand);
      put_status_line(out_.text(), reader_.refusal_tag(), reader_.refusal_is_no() ? "NO" : "BAD",
                      reader_.refusal());
      relay_.consume(step.consumed_bytes);
      break;
    case Event::kFatal:
      relay_.consume(step.consumed_bytes);
      co_return say_bye(std::string(reader_.refusal()));
  }
  co_return Result<void>{};
}

void Session::note(TraceEvent event) {
  if (host_.tap == nullptr) return;
  host_.tap->note(id_, event, event == TraceEvent::kId ? client_id_ : 0);
}

void Session::set_client_id(uint64_t id) {
  client_id_ = id;
  note(TraceEvent::kId);
}

void Session::heard(TraceEvent what) {
  uint64_t now_ms = host_.loop.now_ms();
  note(what);
  if (what != TraceEvent::kCommand) return rhythm_.talked(now_ms);
  rhythm_.command_came(now_ms, client_id_, host_.habits);
  commanded_ = true;
}

io::Task<Result<void>> Session::execute(Command command) {
  ++host_.counters.commands;
  command_ = command.name;
  if (command.as<Idle>() != nullptr) {
    begin_idle(command.tag);
    out_.text() += wire::kIdleContinuation;
    if (auto said = co_await push_changes(); !said) co_return std::unexpected(said.error());
    co_return Result<void>{};
  }
  if (command.as<Compress>() != nullptr) co_return co_await start_compress(std::move(command));
  auto reply = co_await run_command(*this, command);
  if (!reply) co_return std::unexpected(reply.error());
  bad_commands_ = reply->condition == Condition::kBad ? bad_commands_ + 1 : 0;
  if (selected_ && command.as<Select>() == nullptr) {
    bool expunge = allows_expunge(command);
    auto said = changes_selected(*this, command) ? co_await report_all_changes(expunge)
                                                 : co_await report_changes(expunge);
    if (!said) co_return std::unexpected(said.error());
  }
  if (command.as<Noop>() != nullptr || command.as<Check>() != nullptr) {
    if (auto said = co_await look_around({}); !said) co_return std::unexpected(said.error());
  }
  put_status_line(out_.text(), command.tag, condition_name(reply->condition), reply->text);
  command_.clear();
  if (bad_commands_ >= kBadCommandsMax) co_return say_bye("Too many invalid commands.");
  co_return Result<void>{};
}

// RFC 4978. Deflate itself is the den's; the answer must be the last it sends in clear.
io::Task<Result<void>> Session::start_compress(Command command) {
  std::string_view refusal;
  if (command.as<Compress>()->mechanism != "DEFLATE") {
    refusal = "NO [CANNOT] Only DEFLATE is offered.";
  } else if (compressed_) {
    refusal = "NO [COMPRESSIONACTIVE] DEFLATE is active already.";
  } else if (!relay_.input().empty()) {
    refusal = "BAD Nothing may be sent between COMPRESS and its answer.";
  }
  if (selected_) {
    if (auto said = co_await report_changes(true); !said) co_return std::unexpected(said.error());
  }
  command_.clear();
  if (!refusal.empty()) {
    out_.text() += fmt::format("{} {}\r\n", command.tag, refusal);
    co_return Result<void>{};
  }
  IMAP_CO_TRY(co_await out_.flush());
  compressed_ = true;
  co_return co_await relay_.start_compress(fmt::format("{} OK DEFLATE active.\r\n", command.tag));
}

void Session::begin_idle(std::string tag) {
  idle_ = true;
  idle_tag_ = std::move(tag);
  command_ = "IDLE";
  rhythm_.in_idle();
  reader_.expect_line();
}

io::Task<Result<void>> Session::end_idle(bool done) {
  idle_ = false;
  woken_ = false;
  std::string tag = std::exchange(idle_tag_, {});
  command_.clear();
  if (selected_) {
    if (auto said = co_await report_changes(true); !said) co_return std::unexpected(said.error());
  }
  if (auto said = co_await look_around({}); !said) co_return std::unexpected(said.error());
  out_.text() += fmt::format("{} {}\r\n", tag, done ? wire::kIdleCompleted : "BAD Expected DONE.");
  co_return Result<void>{};
}

void Session::drop_selected() {
  if (notify_ && selected_) {
    notify_->left(Notifier::SelectedMailbox{selected_->guid, selected_->mod_seq});
  }
  selected_.reset();
}

void Session::enable_condstore() {
  if (condstore_) return;
  condstore_ = true;
  if (!selected_) return;
  out_.text() += fmt::format("* OK [HIGHESTMODSEQ {}] Highest\r\n", selected_->mod_seq);
}

void Session::enable_qresync() {
  enable_condstore();
  qresync_ = true;
}

std::string Session::describe() const {
  uint64_t now_ms = host_.loop.now_ms();
  return fmt::format(
      "session={:x} user={} remote={} state={} mailbox={} contexts={} command={} age_s={} "
      "quiet_s={} out_bytes={} parks=\"{}\" awake=\"{}\"\n",
      id_, user_.name(), remote_address_,
      idle_       ? "idle"
      : selected_ ? "selected"
                  : "authenticated",
      selected_ ? std::string_view(selected_->name) : std::string_view("-"),
      selected_ ? selected_->contexts.size() : size_t{0},
      command_.empty() ? std::string_view("-") : std::string_view(command_),
      (now_ms - born_ms_) / 1000, (now_ms - quiet_since_ms_) / 1000, out_.sent_bytes(),
      park_advice().text(),
      !awake_because_.empty()  ? std::string_view(awake_because_)
      : !park_refusal_.empty() ? std::string_view(park_refusal_)
                               : std::string_view("active"));
}

}  // namespace dormouse::imap
