#include "hibernate/session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>

#include "hibernate/den.h"
#include "role/log.h"
#include "wire/hindrance.h"
#include "wire/link.h"

namespace dormouse::hibernate {

using Worker = wire::WorkerToDen;

Session::Session(Den& den, uint32_t slot, Purpose purpose, RecordParts parts, ClientStream stream)
    : den_(den),
      slot_(slot),
      purpose_(purpose),
      parts_(std::move(parts)),
      stream_(std::move(stream)),
      readable_(den.loop()),
      received_(den.loop()),
      progress_(den.loop()) {}

Session::~Session() = default;

void Session::set_grant(std::string grant, std::string tag) {
  grant_ = std::move(grant);
  tag_ = std::move(tag);
}

void Session::set_pending(std::string input, tls::Bytes output) {
  input_ = std::move(input);
  queued_ = std::move(output);
  pump();
}

size_t Session::held_bytes() const {
  return sizeof(Session) + input_.capacity() + replay_.capacity() + queued_.capacity() +
         (flying_ ? flying_->capacity() : 0) + collected_.capacity() + parts_.state.capacity() +
         stream_.held_bytes();
}

io::Task<void> Session::live() {
  SessionEnd end = co_await serve();
  den_.finish(slot_, end);  // destroys *this
}

io::Task<SessionEnd> Session::serve() {
  for (uint32_t attempt = 0;;) {
    if (!attach(attempt)) {
      // No tracker: it is being restarted. Client bytes and record stay where they are.
      reason_ = "waiting for the tracker";
      auto up = co_await den_.tracker_up();
      if (!up) {
        if (purpose_ == wire::DenToWorker::REFRESH) co_return put_off(kNoTrackerPutOffMs);
        co_return co_await farewell("Server is not available");
      }
      // A tracker that has just died looks connected until its link has seen the end: without a
      // pause this would go round for ever and the den do nothing else.
      auto slept = co_await den_.loop().sleep(kTrackerRetryMs);
      if (!slept) co_return SessionEnd::kClosed;
      continue;
    }
    RelayEnd end = co_await relay();
    relay_.close();
    switch (end) {
      case RelayEnd::kParked:
        co_return SessionEnd::kParked;
      case RelayEnd::kRefreshed:
        co_return co_await refreshed(*refreshed_);
      case RelayEnd::kBye:
        co_return co_await farewell("");
      case RelayEnd::kClientGone:
        co_return SessionEnd::kClosed;
      case RelayEnd::kTrackerLost:
        continue;
      case RelayEnd::kRefused: {
        if (!refusal_->permanent() && attempt < kAttemptsMax) {
          reason_ = "refused: " + refusal_->text();
          uint64_t retry_ms = std::clamp(refusal_->retry_ms(), 10u, 30'000u);
          if (purpose_ == wire::DenToWorker::REFRESH) co_return put_off(retry_ms);
          auto slept = co_await den_.loop().sleep(retry_ms);
          if (!slept) co_return SessionEnd::kClosed;
          ++attempt;
          continue;
        }
        if (purpose_ == wire::DenToWorker::NEW && !tag_.empty()) {
          std::string code = refusal_->response_code().empty()
                                 ? ""
                                 : fmt::format("[{}] ", refusal_->response_code());
          if (!stream_.put(fmt::format("{} NO {}{}\r\n", tag_, code, refusal_->text()), queued_)) {
            co_return SessionEnd::kClosed;
          }
        }
        co_return co_await farewell(refusal_->text());
      }
      case RelayEnd::kWorkerGone:
        ++den_.counters().workers_lost;
        if (heard_ || streaming_) {
          co_return co_await farewell("Internal error: the session's worker is gone");
        }
        if (++attempt <= kAttemptsMax) continue;
        if (purpose_ == wire::DenToWorker::REFRESH) co_return put_off(kNoWorkerPutOffMs);
        co_return co_await farewell("Internal error: no worker can serve this session");
    }
  }
}

// Makes the relay channel and asks the tracker to give its other end to a worker. False: there is
// no tracker to ask.
bool Session::attach(uint32_t attempt) {
  refusal_.reset();
  tracker_lost_ = false;
  stopping_ = false;
  given_bytes_ = 0;
  collected_.clear();
  // What a worker has taken without a word is said again to the next one.
  input_.insert(0, replay_);
  replay_.clear();
  if (!den_.tracker_connected()) return false;

  io::Channel worker_end;
  if (!open_relay(worker_end)) return false;
  den_.forget_request(request_);
  request_ = den_.new_request(slot_);
  wire::DenToTracker message;
  if (purpose_ == wire::DenToWorker::NEW && parts_.user.empty()) {
    auto* open = message.mutable_open();
    open->set_request(request_);
    open->set_grant(grant_);
    open->set_remote_address(parts_.address.text());
    open->set_session(parts_.session);
  } else {
    auto* again = message.mutable_attach();
    again->set_request(request_);
    again->set_user(parts_.user);
    again->set_cookie(parts_.cookie.data(), parts_.cookie.size());
    again->set_session(parts_.session);
    again->set_remote_address(parts_.address.text());
    again->set_purpose(purpose_ != wire::DenToWorker::REFRESH ? wire::DenToTracker::INPUT
                       : sweep_                               ? wire::DenToTracker::SWEEP
                                                              : wire::DenToTracker::REFRESH);
    again->set_attempt(attempt);
  }
  reason_ = "waiting for a worker";
  return den_.post_to_tracker(message, worker_end.release());
}

// The pair, with Begin on it already.
bool Session::open_relay(io::Channel& worker_end) {
  auto ends = io::Channel::pair();
  if (!ends) {
    role::log_error("relay-pair-failed",
                    {{"session", parts_.session}, {"error", ends.error().message}});
    return false;
  }
  relay_ = std::move(ends->first);
  worker_end = std::move(ends->second);
  wire::DenToWorker message;
  auto* begin = message.mutable_begin();
  begin->set_purpose(purpose_);
  begin->set_tag(tag_);
  begin->set_state(parts_.state);
  begin->set_remote_address(parts_.address.text());
  begin->set_tls(stream_.tls());
  begin->set_compressed(stream_.compressed());
  begin->set_mode(parts_.mode);
  begin->set_idle_tag(parts_.idle_tag);
  if (parts_.announces) begin->set_exists(parts_.exists);
  return bool(wire::try_send(relay_, message));
}

io::Task<Session::RelayEnd> Session::relay() {
  io::Scope scope(den_.loop(), co_await io::current_scope());
  if (purpose_ != wire::DenToWorker::REFRESH) scope.spawn(uplink());
  RelayEnd end = co_await downlink();
  stopping_ = true;
  scope.cancel();
  co_await scope.join();
  den_.forget_request(request_);
  if (end != RelayEnd::kParked) drop_offer();
  co_return end;
}

// Client to worker. Takes from the socket only when the worker has taken what came before.
io::Task<void> Session::uplink() {
  while (!stopping_) {
    if (input_.empty()) {
      if (stream_.more()) {
        take({});
        continue;
      }
      if (client_gone_) {
        break_relay();
        co_return;
      }
      if (!receiving_) {
        den_.table().arm(slot_);
        auto woken = co_await readable_.wait();
        if (!woken || stopping_) co_return;
        readable_.clear();
        receiving_ = true;
        received_.clear();
        den_.table().receive(slot_);
      }
      auto got = co_await received_.wait();
      if (!got) co_return;
      continue;
    }
    wire::DenToWorker message;
    message.set_data(input_.substr(0, wire::kMaxRelayDataBytes));
    size_t size = message.data().size();
    input_.erase(0, size);
    given_bytes_ += size;
    if (!heard_) {
      replay_ += message.data();
      if (replay_.size() > kReplayBytesMax) commit();
    }
    auto given = co_await wire::send(den_.loop(), relay_, message);
    if (!given) co_return;  // the downlink sees the end of the channel too
  }
}

// Worker to client, until the relay ends one way or another.
io::Task<Session::RelayEnd> Session::downlink() {
  while (true) {
    auto message = co_await wire::receive<Worker>(den_.loop(), relay_);
    if (!message) {
      if (client_gone_) co_return RelayEnd::kClientGone;
      if (refusal_) co_return RelayEnd::kRefused;
      if (tracker_lost_) co_return RelayEnd::kTrackerLost;
      co_return RelayEnd::kWorkerGone;
    }
    const Worker& said = message->message;
    if (said.has_refreshed()) {
      if (purpose_ != wire::DenToWorker::REFRESH) co_return RelayEnd::kWorkerGone;
      refreshed_ = said.refreshed();
      co_return RelayEnd::kRefreshed;
    }
    if (said.has_data()) {
      bool ok = co_await downlink_data(said.data());
      if (!ok) co_return RelayEnd::kClientGone;
    } else if (purpose_ == wire::DenToWorker::REFRESH) {
      co_return RelayEnd::kWorkerGone;  // it may say nothing else in a refresh
    } else if (said.has_start_compress()) {
      bool ok = start_compress(said.start_compress());
      if (!ok) co_return RelayEnd::kBye;
    } else if (said.has_offer()) {
      offer(said.offer());
    } else if (said.has_withdraw()) {
      drop_offer();
      auto kind = said.withdraw().hindrance();
      if (kind != wire::Hindrance::NONE && wire::Hindrance::Kind_IsValid(kind)) hindered(kind, {});
    } else if (said.has_park()) {
      bool parked = co_await park(said.park());
      if (parked) co_return RelayEnd::kParked;
    } else if (said.has_bye()) {
      co_return RelayEnd::kBye;
    }
  }
}

// False: the client is gone.
io::Task<bool> Session::downlink_data(const std::string& data) {
  if (purpose_ == wire::DenToWorker::REFRESH) {
    collected_ += data;
    if (collected_.size() <= kRefreshBytesMax) co_return true;
    if (!streaming_) den_.hold(slot_);
    streaming_ = true;
    if (!stream_.put(collected_, queued_)) co_return false;
    collected_.clear();
  } else {
    commit();
    reason_ = "awake";
    hindrance_ = wire::Hindrance::NONE;
    if (!stream_.put(data, queued_)) co_return false;
  }
  pump();
  auto room = co_await drained(kOutputBytesMax);
  co_return bool(room);
}

// The answer to COMPRESS in clear, and both ways deflated from there. False: the client is to go.
bool Session::start_compress(const Worker::StartCompress& start) {
  commit();
  bool waited = start.consumed_bytes() == given_bytes_ && input_.empty();
  std::string said =
      waited ? start.last_plain() : "* BYE Nothing may be sent between COMPRESS and its answer\r\n";
  if (stream_.compressed() || !stream_.put(said, queued_)) return false;
  if (waited) stream_.start_compress();
  pump();
  return waited;
}

// The worker's first word: from now on the session is its, and the record is gone.
void Session::commit() {
  if (heard_) return;
  heard_ = true;
  replay_.clear();
  den_.awoken(slot_);
}

void Session::offer(const Worker::Offer& offer) {
  drop_offer();
  offer_number_ = offer.number();
  if (parts_.user.empty()) {
    refuse_park(wire::Hindrance::UNCONFIRMED);
    return;
  }
  parts_.directories.clear();
  auto kept = den_.kept_directories(offer.directories());
  if (!kept) {
    refuse_park(wire::Hindrance::DIRECTORIES, kept.error().message);
    return;
  }
  parts_.directories = std::move(*kept);
  offered_ = true;
  changed_ = false;
  reason_ = "offered";
  den_.watch(slot_, parts_.directories);
}

void Session::watch_answer(bool watched, const std::string& reason) {
  if (!offered_ || published_) return;
  if (!watched) {
    drop_offer();
    refuse_park(wire::Hindrance::NOT_WATCHED, reason);
    return;
  }
  wire::DenToWorker message;
  message.mutable_ready()->set_number(offer_number_);
  answer_worker(message);
}

void Session::drop_offer() {
  if (!offered_) return;
  offered_ = false;
  den_.unwatch(slot_);
}

void Session::hindered(wire::Hindrance::Kind kind, std::string_view detail) {
  hindrance_ = kind;
  reason_ = wire::text_of(kind);
  if (!detail.empty()) reason_ += fmt::format(": {}", detail);
  ++den_.counters().hindered[size_t(kind)];
}

void Session::refuse_park(wire::Hindrance::Kind kind, std::string_view detail) {
  hindered(kind, detail);
  wire::DenToWorker message;
  message.mutable_park_refused()->set_reason(reason_);
  message.mutable_park_refused()->set_number(offer_number_);
  message.mutable_park_refused()->set_hindrance(kind);
  answer_worker(message);
}

void Session::answer_worker(const wire::DenToWorker& message) {
  // The channel has room: the worker reads while it offers, and these are a handful of messages.
  if (auto done = wire::try_send(relay_, message); !done) break_relay();
}

// The last step of parking (DESIGN.md section 2). True: the record is published.
io::Task<bool> Session::park(const Worker::Park& park) {
  auto out = co_await drained(1);
  if (!out) {
    client_gone_ = true;
    break_relay();
    co_return false;
  }
  bool crossed = park.consumed_bytes() != given_bytes_ || !input_.empty() || stream_.more();
  if (crossed || !offered_) {
    ++den_.counters().crossed;
    drop_offer();
    co_return false;
  }
  Result<std::vector<std::byte>> history;
  wire::Hindrance::Kind hindrance = park_hindrance();
  if (hindrance == wire::Hindrance::NONE) {
    history = stream_.freeze_history();
    if (!history) hindrance = wire::Hindrance::NO_MEMORY;
  }
  if (hindrance != wire::Hindrance::NONE) {
    drop_offer();
    refuse_park(hindrance);
    co_return false;
  }
  parts_.mode = park.parked().mode();
  parts_.idle_tag = park.parked().idle_tag();
  parts_.state = park.parked().state();
  parts_.small_talk = park.parked().small_talk();
  parts_.selected = parts_.mode != Worker::Parked::AUTHENTICATED;
  looked(park.parked());
  parts_.changed = changed_;
  parts_.sending = false;
  parts_.held = false;
  parts_.input.clear();
  parts_.tls = stream_.freeze();
  parts_.compress = std::move(*history);
  if (!den_.publish(slot_, parts_)) {
    drop_offer();
    refuse_park(encoded_bytes(parts_) == 0 ? wire::Hindrance::RECORD_LONG
                                           : wire::Hindrance::SLAB_FULL);
    co_return false;
  }
  stopping_ = true;
  published_ = true;
  ++den_.counters().parks;
  co_return true;
}

wire::Hindrance::Kind Session::park_hindrance() const {
  if (receiving_) return wire::Hindrance::INPUT_UNREAD;
  if (client_gone_) return wire::Hindrance::CLIENT_GONE;
  return stream_.hindrance();
}

// A worker has looked at the mailbox before it said this.
void Session::looked(const Worker::Parked& parked) {
  parts_.announces = parked.announces();
  parts_.pushes = parked.pushes();
  parts_.exists = parked.exists();
  parts_.pending = 0;
  parts_.looked_at_s = uint32_t(den_.loop().now_ms() / 1000);
}

// A refresh has its answer: the new record, then the bytes. kFlagSending covers the time between.
io::Task<SessionEnd> Session::refreshed(const Worker::Refreshed& answer) {
  ++den_.counters().refreshes;
  if (!answer.bye().empty()) co_return co_await farewell(answer.bye());
  if (!stream_.put(collected_, queued_)) co_return SessionEnd::kClosed;
  collected_.clear();
  parts_.state = answer.parked().state();
  parts_.small_talk = answer.parked().small_talk();
  looked(answer.parked());
  parts_.changed = changed_;
  parts_.tls = stream_.freeze();
  std::vector<std::string> former = parts_.directories;
  if (answer.directories_size() > 0) {
    auto kept = den_.kept_directories(answer.directories());
    if (kept) parts_.directories = std::move(*kept);
  }
  bool silent = queued_.empty() && !flying_;
  parts_.sending = !silent;
  parts_.held = false;
  bool all = !flying_;  // what is queued is all that is still to be sent
  if (!den_.publish(slot_, parts_,
                    all ? std::span<const std::byte>(queued_) : std::span<const std::byte>())) {
    co_return co_await farewell("Internal error: no room");
  }
  published_ = true;
  pump();
  if (parts_.directories != former || !den_.watched(slot_)) {
    den_.unwatch(slot_);
    den_.watch(slot_, parts_.directories);
  }
  if (silent) co_return SessionEnd::kParked;
  auto out = co_await drained(1);
  if (!out) co_return SessionEnd::kClosed;
  co_return SessionEnd::kParked;
}

SessionEnd Session::put_off(uint64_t ms) {
  put_off_ms_ = ms;
  return SessionEnd::kPutOff;
}

// Last words, given a while to leave.
io::Task<SessionEnd> Session::farewell(std::string text) {
  den_.hold(slot_);
  if (!text.empty() && !stream_.put(fmt::format("* BYE {}\r\n", text), queued_)) {
    co_return SessionEnd::kClosed;
  }
  stream_.end(queued_);
  pump();
  [[maybe_unused]] auto out = co_await io::with_timeout(kFarewellMs, output_below(1));
  co_return SessionEnd::kClosed;
}

io::Task<Result<void>> Session::drained(size_t below) {
  co_return co_await io::with_timeout(kStallMs, output_below(below));
}

io::Task<Result<void>> Session::output_below(size_t below) {
  while (queued_.size() + (flying_ ? flying_->size() - flown_bytes_ : 0) >= below) {
    if (client_gone_) co_return fail(ErrorKind::kClosed, "the client is gone");
    progress_.clear();
    auto woken = co_await progress_.wait();
    if (!woken) co_return woken;
  }
  co_return Result<void>();
}

void Session::pump() {
  if (flying_ || queued_.empty() || client_gone_) return;
  flying_ = std::make_shared<tls::Bytes>(std::move(queued_));
  queued_.clear();
  flown_bytes_ = 0;
  den_.send_recorded(slot_, *flying_);
}

void Session::sent(int32_t result) {
  if (result <= 0) {
    client_gone_ = true;
    flying_.reset();
    queued_.clear();
    break_relay();
  } else {
    flown_bytes_ += size_t(result);
    if (flown_bytes_ < flying_->size()) {
      den_.send_recorded(slot_, std::span(*flying_).subspan(flown_bytes_));
    } else {
      flying_.reset();
      pump();
      // What the record says is exact, if there is one.
      if (!flying_ && !heard_) den_.mark_sending(slot_, false);
    }
  }
  progress_.set();
}

void Session::readable() { readable_.set(); }

void Session::received(int32_t result, std::span<std::byte> bytes) {
  receiving_ = false;
  if (result > 0) {
    take(bytes);
  } else if (result != -EAGAIN) {
    client_gone_ = true;
  }
  received_.set();
}

void Session::take(std::span<std::byte> bytes) {
  // The record knows nothing of them.
  if (!heard_) den_.hold(slot_);
  auto state = stream_.take(bytes, input_, queued_);
  if (!queued_.empty()) pump();
  if (state != ClientStream::Input::kOpen) client_gone_ = true;
  if (state == ClientStream::Input::kBroken) ++den_.counters().broken_records;
  keep_input();
}

// Until a worker's first word the record stands for the session: what the client says meanwhile
// goes into it, so that a den that dies leaves it to the next one. More than the bound, or half a
// record, only this den can hold.
void Session::keep_input() {
  if (heard_ || client_gone_ || purpose_ != wire::DenToWorker::INPUT) return;
  if (!stream_.at_boundary() || replay_.size() + input_.size() > kInputBytesMax) return;
  auto history = stream_.freeze_history();
  if (!history) return;
  parts_.tls = stream_.freeze();
  parts_.compress = std::move(*history);
  parts_.sending = flying_ || !queued_.empty();
  parts_.held = false;
  parts_.input = replay_ + input_;
  // No room: the old record stays, held.
  [[maybe_unused]] bool kept = den_.publish(slot_, parts_);
  parts_.input.clear();
}

void Session::break_relay() {
  if (relay_) ::shutdown(relay_.fd(), SHUT_RDWR);
}

void Session::opened(const wire::TrackerToDen::Opened& opened) {
  if (purpose_ != wire::DenToWorker::NEW || opened.cookie().size() != parts_.cookie.size()) return;
  if (opened.user().empty() || opened.user().size() > kUserBytesMax) return;
  parts_.user = opened.user();
  std::copy_n(reinterpret_cast<const std::byte*>(opened.cookie().data()), parts_.cookie.size(),
              parts_.cookie.begin());
}

void Session::refused(const wire::TrackerToDen::Refused& refused) {
  refusal_ = refused;
  break_relay();
}

void Session::tracker_lost() {
  // A worker that has it does not mind; one that may never come is not waited for.
  if (heard_) return;
  tracker_lost_ = true;
  break_relay();
}

void Session::shut_down(const std::string& text) {
  wire::DenToWorker message;
  message.mutable_shutdown()->set_text(text);
  if (relay_ && heard_) {
    answer_worker(message);
  } else {
    refusal_.emplace();
    refusal_->set_permanent(true);
    refusal_->set_text(text);
    break_relay();
  }
}

}  // namespace dormouse::hibernate
