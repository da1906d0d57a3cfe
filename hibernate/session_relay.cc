// The bytes of an awake session: client to worker, worker to client, and what waits between.

#include "hibernate/session.h"

#include <poll.h>
#include <sys/socket.h>

#include "hibernate/den.h"
#include "wire/link.h"

namespace dormouse::hibernate {

using Worker = wire::WorkerToDen;

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
      // A tracker that refuses says so and closes the channel: the end may be seen first.
      if (!refusal_ && !heard_) (void)co_await den_.loop().yield();
      if (client_gone_) co_return RelayEnd::kClientGone;
      if (refusal_) co_return RelayEnd::kRefused;
      if (tracker_lost_) co_return RelayEnd::kTrackerLost;
      co_return RelayEnd::kWorkerGone;
    }
    // Said as the relay was given up: another worker will be asked, and only one may answer.
    if (tracker_lost_) co_return RelayEnd::kTrackerLost;
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

void Session::answer_worker(const wire::DenToWorker& message) {
  // The channel has room: the worker reads while it offers, and these are a handful of messages.
  if (auto done = wire::try_send(relay_, message); !done) break_relay();
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

bool Session::relay_readable() const {
  pollfd look{.fd = relay_.fd(), .events = POLLIN, .revents = 0};
  return relay_ && ::poll(&look, 1, 0) == 1 && (look.revents & POLLIN) != 0;
}

void Session::break_relay() {
  if (relay_) ::shutdown(relay_.fd(), SHUT_RDWR);
}

}  // namespace dormouse::hibernate
