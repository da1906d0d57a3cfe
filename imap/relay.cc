#include "imap/relay.h"

#include "imap/try.h"

namespace dormouse::imap {

io::Task<Result<wire::DenToWorker::Begin>> Relay::begin() {
  auto received = co_await wire::receive<wire::DenToWorker>(loop_, channel_);
  if (!received) co_return std::unexpected(received.error());
  if (!received->message.has_begin()) {
    co_return fail(ErrorKind::kInvalid, "the first message of a relay channel is Begin");
  }
  co_return std::move(*received->message.mutable_begin());
}

io::Task<Result<RelayEvent>> Relay::next() {
  DORMOUSE_CHECK(input().empty(), "input is consumed before more is read");
  while (true) {
    auto received = co_await wire::receive<wire::DenToWorker>(loop_, channel_);
    if (!received) co_return std::unexpected(received.error());
    auto event = take(std::move(received->message));
    if (event || event.error().kind != ErrorKind::kUnavailable) co_return event;
  }
}

Result<RelayEvent> Relay::try_next() {
  DORMOUSE_CHECK(input().empty(), "input is consumed before more is read");
  while (true) {
    auto received = wire::try_receive<wire::DenToWorker>(channel_);
    if (!received) return std::unexpected(received.error());
    auto event = take(std::move(received->message));
    if (event || event.error().kind != ErrorKind::kUnavailable) return event;
  }
}

Result<RelayEvent> Relay::take(wire::DenToWorker message) {
  switch (message.kind_case()) {
    case wire::DenToWorker::kData:
      if (message.data().empty()) return fail(ErrorKind::kUnavailable, "no data");
      if (message.data().size() > wire::kMaxRelayDataBytes) {
        return fail(ErrorKind::kInvalid, "relay data beyond its bound");
      }
      data_ = std::move(*message.mutable_data());
      data_at_ = 0;
      parking_ = false;
      return RelayEvent::kData;
    case wire::DenToWorker::kReady:
      // The answer to an offer that was taken back says nothing about the present one.
      if (!offered_ || message.ready().number() != offer_number_) {
        return fail(ErrorKind::kUnavailable, "a late Ready");
      }
      return RelayEvent::kReady;
    case wire::DenToWorker::kParkRefused:
      if ((!offered_ && !parking_) || message.park_refused().number() != offer_number_) {
        return fail(ErrorKind::kUnavailable, "a late ParkRefused");
      }
      offered_ = false;
      parking_ = false;
      refusal_ = message.park_refused().reason();
      return RelayEvent::kRefused;
    case wire::DenToWorker::kShutdown:
      shutdown_asked_ = true;
      shutdown_text_ = message.shutdown().text();
      return RelayEvent::kShutdown;
    default:
      return fail(ErrorKind::kInvalid, "an unexpected message from the den");
  }
}

void Relay::consume(size_t bytes) {
  DORMOUSE_CHECK(bytes <= data_.size() - data_at_, "no more is consumed than came");
  data_at_ += bytes;
  consumed_bytes_ += bytes;
  if (data_at_ == data_.size()) {
    data_ = std::string();  // a waiting session holds no buffer
    data_at_ = 0;
  }
}

io::Task<Result<void>> Relay::send(wire::WorkerToDen message) {
  std::string bytes = wire::serialize(message);
  // Nearly always there is room: no coroutine, no timer.
  auto sent = channel_.try_send(bytes);
  if (sent || sent.error().kind != ErrorKind::kUnavailable) co_return sent;
  if (send_timeout_ms_ == 0) co_return co_await channel_.send(loop_, std::move(bytes));
  co_return co_await io::with_timeout(send_timeout_ms_, channel_.send(loop_, std::move(bytes)));
}

io::Task<Result<void>> Relay::send_data(std::string bytes) {
  DORMOUSE_CHECK(bytes.size() <= wire::kMaxRelayDataBytes, "data goes in pieces");
  wire::WorkerToDen message;
  message.set_data(std::move(bytes));
  co_return co_await send(std::move(message));
}

io::Task<Result<void>> Relay::offer(std::vector<wire::Directory> directories) {
  DORMOUSE_CHECK(!offered_, "one offer at a time");
  wire::WorkerToDen message;
  auto* offer = message.mutable_offer();
  for (wire::Directory& directory : directories) *offer->add_directories() = std::move(directory);
  offer->set_number(++offer_number_);
  offered_ = true;
  co_return co_await send(std::move(message));
}

io::Task<Result<void>> Relay::withdraw(wire::Hindrance::Kind hindrance) {
  DORMOUSE_CHECK(offered_ || hindrance != wire::Hindrance::NONE, "only an offer is withdrawn");
  offered_ = false;
  wire::WorkerToDen message;
  message.mutable_withdraw()->set_hindrance(hindrance);
  co_return co_await send(std::move(message));
}

io::Task<Result<void>> Relay::park(wire::WorkerToDen::Parked parked) {
  DORMOUSE_CHECK(offered_ && input().empty(), "only what was offered parks, with nothing unread");
  // From here on the den decides: end of file, or data that drops the offer at both ends.
  offered_ = false;
  parking_ = true;
  wire::WorkerToDen message;
  *message.mutable_park()->mutable_parked() = std::move(parked);
  message.mutable_park()->set_consumed_bytes(consumed_bytes_);
  co_return co_await send(std::move(message));
}

io::Task<Result<void>> Relay::start_compress(std::string answer) {
  DORMOUSE_CHECK(input().empty(), "what was read already came before COMPRESS");
  wire::WorkerToDen message;
  message.mutable_start_compress()->set_last_plain(std::move(answer));
  message.mutable_start_compress()->set_consumed_bytes(consumed_bytes_);
  co_return co_await send(std::move(message));
}

io::Task<Result<void>> Relay::refreshed(wire::WorkerToDen::Refreshed refreshed) {
  wire::WorkerToDen message;
  *message.mutable_refreshed() = std::move(refreshed);
  co_return co_await send(std::move(message));
}

io::Task<Result<void>> Relay::linger() {
  while (true) {
    auto received = co_await channel_.receive(loop_);
    if (!received) co_return std::unexpected(received.error());
  }
}

io::Task<Result<void>> Relay::bye() {
  wire::WorkerToDen message;
  message.mutable_bye();
  co_return co_await send(std::move(message));
}

}  // namespace dormouse::imap
