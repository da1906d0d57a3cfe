#pragma once
// Relay: the worker's end of a session's channel to its den (wire/relay.proto). Client bytes come
// in, plain IMAP goes out; beside them the messages by which a session parks.
//
// The owner reads when it has nothing left to consume, so back-pressure reaches the client; it
// never has more than one datagram of input in memory. A protocol error of the den's is kInvalid
// and ends the session.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/channel.h"
#include "io/loop.h"
#include "wire/link.h"
#include "wire/relay.pb.h"

namespace dormouse::imap {

enum class RelayEvent : uint8_t {
  kData,      // input() has bytes
  kReady,     // the den watches what the present offer named
  kRefused,   // the present offer, or the Park that followed, cannot be had now: refusal()
  kShutdown,  // shutdown_text() says why
};

class Relay {
 public:
  Relay(io::Loop& loop, io::Channel channel) : loop_(loop), channel_(std::move(channel)) {}

  // The first message. kInvalid when it is another one.
  io::Task<Result<wire::DenToWorker::Begin>> begin();
  // The next message that means something now: a Ready for an offer taken back is passed over.
  // Only with input() empty. kClosed: the den has ended the session (or has it parked, after
  // park()). Cancelling loses nothing.
  io::Task<Result<RelayEvent>> next();
  // What is there already, without waiting: kUnavailable when nothing is.
  Result<RelayEvent> try_next();

  std::string_view input() const { return std::string_view(data_).substr(data_at_); }
  void consume(size_t bytes);
  uint64_t consumed_bytes() const { return consumed_bytes_; }  // since Begin
  bool shutdown_asked() const { return shutdown_asked_; }
  const std::string& shutdown_text() const { return shutdown_text_; }

  // At most wire::kMaxRelayDataBytes. kTimeout: the client takes nothing for send_timeout_ms.
  io::Task<Result<void>> send_data(std::string bytes);
  void set_send_timeout_ms(uint64_t ms) { send_timeout_ms_ = ms; }

  // The handshake of relay.proto. offered() is true from offer() until withdraw(), park() or
  // kRefused.
  io::Task<Result<void>> offer(std::vector<wire::Directory> directories);
  // Also says what hinders, for the den's view; then without an offer too.
  io::Task<Result<void>> withdraw(wire::Hindrance::Kind hindrance = wire::Hindrance::NONE);
  io::Task<Result<void>> park(wire::WorkerToDen::Parked parked);
  bool offered() const { return offered_; }
  const std::string& refusal() const { return refusal_; }

  // `answer` goes out in clear, everything after it deflated. Only with input() empty.
  io::Task<Result<void>> start_compress(std::string answer);
  io::Task<Result<void>> refreshed(wire::WorkerToDen::Refreshed refreshed);
  io::Task<Result<void>> bye();
  // After the last word: reads on until the den closes. A channel closed with something unread
  // would tell the den of an error before it has read what we said (unix(7), ECONNRESET).
  io::Task<Result<void>> linger();
  void close() { channel_.close(); }

 private:
  io::Task<Result<void>> send(wire::WorkerToDen message);
  // nullopt-like: kUnavailable when the message means nothing now.
  Result<RelayEvent> take(wire::DenToWorker message);

  io::Loop& loop_;
  io::Channel channel_;
  std::string data_;
  size_t data_at_ = 0;
  uint64_t consumed_bytes_ = 0;
  uint64_t send_timeout_ms_ = 0;  // 0: none
  uint32_t offer_number_ = 0;
  bool offered_ = false;
  bool parking_ = false;  // Park is said, the den's decision not heard
  std::string refusal_;
  bool shutdown_asked_ = false;
  std::string shutdown_text_;
};

}  // namespace dormouse::imap
