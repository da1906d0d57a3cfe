// How a session falls asleep: the handshake of relay.proto (offer, ready, park), and the answer to
// a refresh, after which it sleeps on.

#include "hibernate/session.h"

#include <fmt/format.h>

#include "hibernate/den.h"
#include "wire/hindrance.h"
#include "wire/link.h"

namespace dormouse::hibernate {

using Worker = wire::WorkerToDen;

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

}  // namespace dormouse::hibernate
