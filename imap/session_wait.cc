// Waiting for the client. What may happen meanwhile: the mailbox changes and the client is in IDLE,
// so it is told; the session has been quiet for long enough, so it is offered to the den
// (relay.proto, docs/life-of-a-session.md); the client is gone for too long; the server goes down.

#include <algorithm>
#include <chrono>
#include <utility>

#include "imap/session.h"
#include "imap/try.h"
#include "role/log.h"
#include "wire/hindrance.h"

namespace dormouse::imap {
namespace {

// A change by another program is seen after this long at the most while a session in IDLE is still
// awake: two stat calls each time. Parked sessions are watched instead.
constexpr uint64_t kPollMs = 1'000;
// Where the setting gives none.
constexpr uint64_t kIdleTimeoutMs = 1'800'000;  // RFC 3501 5.4
// A den that was told of a shutdown and got Park answers at once; this only ends a dead one.
constexpr uint64_t kShutdownParkMs = 1'000;
// After something was said unasked: a client that looks at it does so within a second. As long as
// the first time after a refusal of the den's; each further one doubles it, up to a minute.
constexpr uint64_t kDisturbedMs = 1'000;
constexpr uint32_t kRefusalDoublingsMax = 6;

}  // namespace

uint64_t unix_ms() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return uint64_t(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

uint64_t Session::park_bound_ms() const {
  return idle_ ? host_.settings.park_after_ms() : host_.settings.park_quiet_ms();
}

tuning::ParkAdvice Session::park_advice() const {
  return rhythm_.advise(host_.park_parameters, idle_ ? tuning::Quiet::kIdle : tuning::Quiet::kOther,
                        client_id_, host_.habits, host_.pressure, park_bound_ms());
}

uint64_t Session::park_due_ms() const {
  uint64_t bound_ms = park_bound_ms();
  uint64_t due = rhythm_.park_at_ms(park_advice(),
                                    idle_ ? tuning::Quiet::kIdle : tuning::Quiet::kOther, bound_ms);
  if (disturbed_ms_ == 0) return due;
  uint64_t pause_ms = bound_ms != 0 ? std::min(bound_ms, kDisturbedMs) : kDisturbedMs;
  return std::max(due,
                  disturbed_ms_ + (pause_ms << std::min(park_refusals_, kRefusalDoublingsMax)));
}

void Session::disturbed() { disturbed_ms_ = quiet_since_ms_ = host_.loop.now_ms(); }

void Session::park_refused() {
  ++park_refusals_;
  park_refusal_ = relay_.refusal();
  disturbed();
}

// What a worker itself finds is told to the den, for its view, and not tried again before the
// client speaks.
io::Task<Result<void>> Session::hindered(wire::Hindrance::Kind kind, std::string detail) {
  awake_because_ = wire::text_of(kind);
  if (!detail.empty()) awake_because_ += ": " + detail;
  if (relay_.offered()) ++host_.counters.withdrawn;
  co_return co_await relay_.withdraw(kind);
}

bool Session::parkable() const { return relay_.input().empty() && awake_because_.empty(); }

uint64_t Session::due_ms() const {
  uint64_t timeout =
      host_.settings.idle_timeout_ms() != 0 ? host_.settings.idle_timeout_ms() : kIdleTimeoutMs;
  uint64_t due = last_input_ms_ + timeout;
  if (watches()) due = std::min(due, polled_ms_ + kPollMs);
  if (parkable() && !relay_.offered()) due = std::min(due, park_due_ms());
  return due;
}

io::Task<Result<void>> Session::await_input() {
  last_input_ms_ = quiet_since_ms_ = host_.loop.now_ms();
  if (std::exchange(commanded_, false)) rhythm_.command_done(last_input_ms_);
  if (reader_.at_boundary()) reader_.release();
  while (relay_.input().empty()) {
    IMAP_CO_TRY(co_await out_.flush());
    IMAP_CO_TRY(co_await wait_once());
  }
  last_input_ms_ = host_.loop.now_ms();
  awake_because_.clear();
  disturbed_ms_ = 0;
  park_refusals_ = 0;
  park_refusal_.clear();
  co_return Result<void>{};
}

io::Task<Result<void>> Session::wait_once() {
  if (relay_.shutdown_asked()) co_return say_bye(relay_.shutdown_text());
  if (!shutdown_text_.empty()) co_return say_bye(shutdown_text_);
  uint64_t now_ms = host_.loop.now_ms();
  uint64_t due = due_ms();
  Result<RelayEvent> event = fail(ErrorKind::kTimeout, "woken");
  if (!woken_ && due > now_ms) event = co_await wait_event(due - now_ms);
  if (!event) {
    if (event.error().kind == ErrorKind::kTimeout) co_return co_await tick();
    co_return std::unexpected(event.error());
  }
  switch (*event) {
    case RelayEvent::kData:
      if (!relay_.offered()) break;
      ++host_.counters.withdrawn;
      co_return co_await relay_.withdraw();
    case RelayEvent::kReady:
      co_return co_await settle_offer();
    case RelayEvent::kRefused:
      park_refused();
      break;
    case RelayEvent::kShutdown:
      break;  // seen at the next turn
  }
  co_return Result<void>{};
}

io::Task<Result<RelayEvent>> Session::wait_event(uint64_t wait_ms) {
  io::Scope* here = co_await io::current_scope();
  io::Scope wait(host_.loop, here);
  waiting_ = &wait;
  auto event = co_await wait.run(io::with_timeout(wait_ms, relay_.next()));
  waiting_ = nullptr;
  if (!event && event.error().kind == ErrorKind::kCancelled && !here->cancelled()) {
    co_return fail(ErrorKind::kTimeout, "woken");
  }
  co_return event;
}

io::Task<Result<void>> Session::tick() {
  uint64_t now_ms = host_.loop.now_ms();
  bool polling = watches() && (woken_ || now_ms >= polled_ms_ + kPollMs);
  woken_ = false;
  if (polling) {
    polled_ms_ = now_ms;
    auto said = co_await push_changes();
    if (!said) co_return std::unexpected(said.error());
    if (*said) disturbed();
  }
  uint64_t timeout =
      host_.settings.idle_timeout_ms() != 0 ? host_.settings.idle_timeout_ms() : kIdleTimeoutMs;
  if (now_ms >= last_input_ms_ + timeout) co_return say_bye("Autologout; idle for too long.");
  bool quiet = parkable() && !relay_.offered() && now_ms >= park_due_ms();
  if (!quiet) co_return Result<void>{};
  if (!reader_.at_boundary()) co_return co_await hindered(wire::Hindrance::HALF_COMMAND, {});
  co_return co_await make_offer();
}

io::Task<Result<void>> Session::make_offer() {
  auto places = directories();
  if (!places) {
    auto kind = places.error().kind == ErrorKind::kLimit ? wire::Hindrance::DIRECTORIES
                                                         : wire::Hindrance::STORE_FAILED;
    co_return co_await hindered(kind, places.error().message);
  }
  if (notify_) {
    auto seen = co_await watch_others(*places);
    if (!seen) co_return std::unexpected(seen.error());
    if (*seen) {
      disturbed();
      co_return Result<void>{};
    }
    if (!fit_an_offer(*places)) {
      co_return co_await hindered(wire::Hindrance::DIRECTORIES, "too much to watch");
    }
  }
  if (auto state = freeze(); !state) {
    co_return co_await hindered(wire::Hindrance::STATE_LONG, state.error().message);
  }
  IMAP_CO_TRY(co_await out_.flush());
  ++host_.counters.offers;
  co_return co_await relay_.offer(std::move(*places));
}

Result<std::vector<wire::Directory>> Session::directories() {
  if (!selected_ || !tells_selected()) return std::vector<wire::Directory>();
  return watched_of(user_, selected_->guid, selected_->name);
}

// Outside IDLE: whether a NOOP would have something to say.
Result<bool> Session::changes_pending() {
  if (!selected_ || !tells_selected()) return false;
  auto synced = selected_->mailbox.sync();
  if (synced && synced->any()) tell_here(selected_->mailbox);
  auto status = selected_->mailbox.status();
  if (!status) return std::unexpected(status.error());
  return status->highest_mod_seq != selected_->mod_seq || !selected_->view.unreported().empty();
}

// The den watches: whatever happens from now on, it notices. What happened before is found here.
io::Task<Result<void>> Session::settle_offer() {
  if (pushes()) {
    behind_ = false;
    uint32_t digest = notify_ ? notify_->state().watched_digest : 0;
    auto said = co_await push_changes();
    if (!said) co_return std::unexpected(said.error());
    // Where the store was busy, too, or where other mailboxes are to be watched than were offered.
    bool moved = notify_ && notify_->state().watched_digest != digest;
    if (*said || behind_ || moved) {
      // The sync itself may have moved files, which the den has noticed: begin anew.
      disturbed();
      IMAP_CO_TRY(co_await out_.flush());
      ++host_.counters.withdrawn;
      co_return co_await relay_.withdraw(wire::Hindrance::CHANGING);
    }
    // What SELECTED-DELAYED holds back waits for a NOOP.
    co_return co_await park(!selected_ || selected_->view.unreported().empty());
  }
  auto pending = changes_pending();
  if (!pending) {
    co_return co_await hindered(wire::Hindrance::STORE_FAILED, pending.error().message);
  }
  co_return co_await park(!*pending);
}

io::Task<Result<void>> Session::park(bool small_talk) {
  auto state = freeze();
  if (!state) {
    co_return co_await hindered(wire::Hindrance::STATE_LONG, state.error().message);
  }
  wire::WorkerToDen::Parked parked;
  parked.set_mode(idle_       ? wire::WorkerToDen::Parked::IDLE
                  : selected_ ? wire::WorkerToDen::Parked::SELECTED
                              : wire::WorkerToDen::Parked::AUTHENTICATED);
  parked.set_idle_tag(idle_tag_);
  parked.set_state(std::move(*state));
  parked.set_small_talk(small_talk);
  parked.set_pushes(notify_ && notify_->active());
  if (announces(small_talk)) {
    parked.set_announces(true);
    parked.set_exists(selected_->view.exists());
  }
  IMAP_CO_TRY(co_await relay_.park(std::move(parked)));
  auto event = co_await relay_.next();
  if (event && *event == RelayEvent::kShutdown) {
    event = co_await io::with_timeout(kShutdownParkMs, relay_.next());
  }
  parked_ = !event && event.error().kind == ErrorKind::kClosed;
  if (parked_) ++host_.counters.parks;
  if (!event && event.error().kind == ErrorKind::kTimeout) co_return Result<void>{};
  if (!event) co_return std::unexpected(event.error());
  if (*event == RelayEvent::kRefused) park_refused();
  // Data crossed the Park: the den has dropped the offer, and the session goes on where it was.
  if (*event == RelayEvent::kData) ++host_.counters.crossed;
  co_return Result<void>{};
}

Result<std::string> Session::freeze() const {
  SessionState state;
  state.condstore = condstore_;
  state.qresync = qresync_;
  state.idle = idle_;
  state.idle_tag = idle_tag_;
  state.client_id = client_id_;
  state.rhythm = rhythm_.freeze(host_.loop.now_ms(), unix_ms());
  if (notify_) state.notify = notify_->state();
  if (selected_) {
    const Selected& from = *selected_;
    MailboxState& to = state.mailbox.emplace();
    to.guid = from.guid;
    to.name = from.name;
    to.uid_validity = from.uid_validity;
    to.read_only = from.read_only;
    to.mod_seq = from.mod_seq;
    to.uid_next = from.uid_next;
    to.exists = from.view.exists();
    to.recent = from.view.coarsen(from.recent);
    to.recent_count = from.recent_count();
    to.saved_search = from.view.coarsen(from.saved_search);
    to.unreported = from.view.unreported();
    to.contexts = from.contexts;
    for (Context& context : to.contexts) context.found = from.view.coarsen(context.found);
    to.keyword_count = uint32_t(from.keywords.size());
    to.keyword_digest = keyword_digest(from.keywords);
  }
  return encode_state(state);
}

}  // namespace dormouse::imap
