#pragma once
// Session: a connection while a worker has it, or is asked about it. It relays: socket <-> TLS <->
// deflate <-> the worker's channel, and knows the handshakes of relay.proto. It parses no IMAP.
//
// Three ways to live, one object each time:
//   NEW      a connection that login handed over
//   INPUT    a parked one whose client said something that only a worker can answer
//   REFRESH  a parked one whose mailbox changed; the record stays where it is until the answer
//
// Until a worker's first output nothing is lost with the worker: what the client said is kept and
// given to another one (kReplayBytesMax), and a woken session's record stays in the slab.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "hibernate/client_stream.h"
#include "hibernate/record.h"
#include "io/channel.h"
#include "io/loop.h"
#include "wire/den_tracker.pb.h"
#include "wire/relay.pb.h"

namespace dormouse::hibernate {

class Den;

// Beyond this a command cannot be given to a second worker: it is an APPEND on its way.
inline constexpr size_t kReplayBytesMax = 64 * 1024;
// Wire bytes that wait for a slow client before the worker is made to wait: two messages.
inline constexpr size_t kOutputBytesMax = 2 * 32 * 1024;
// A refresh's answer up to here is sent and recorded in one step; a longer one is streamed.
inline constexpr size_t kRefreshBytesMax = 32 * 1024;
// A client that takes no byte for so long is gone (TCP would take 15 minutes).
inline constexpr uint64_t kStallMs = 5 * 60 * 1000;
// The last words of a connection are given so long to leave.
inline constexpr uint64_t kFarewellMs = 5'000;
inline constexpr uint32_t kAttemptsMax = 3;
// Between two tries to reach a tracker that does not take messages: its link ends within a turn.
inline constexpr uint64_t kTrackerRetryMs = 10;

// How long a refresh is put off that no worker could answer (its mail store is not to be opened),
// or for which there is no tracker. A worker that was just restarted is tried before, kAttemptsMax.
inline constexpr uint64_t kNoWorkerPutOffMs = 10'000;
inline constexpr uint64_t kNoTrackerPutOffMs = 1'000;

enum class SessionEnd {
  kParked,  // the record is published (or, after a refresh, still there)
  kClosed,  // the connection is over
  kPutOff,  // a refresh that could not be had now: ask again later
};

class Session {
 public:
  using Purpose = wire::DenToWorker::Purpose;

  Session(Den& den, uint32_t slot, Purpose purpose, RecordParts parts, ClientStream stream);
  ~Session();

  // For NEW, before live().
  void set_grant(std::string grant, std::string tag);
  // Client bytes that nobody has seen yet, wire bytes that go out first.
  void set_pending(std::string input, tls::Bytes output);
  void set_sweep() { sweep_ = true; }

  // The whole life; ends with Den::finish(), which destroys the object.
  io::Task<void> live();

  // From the socket.
  void readable();
  void received(int32_t result, std::span<std::byte> bytes);
  void sent(int32_t result);
  // From the tracker.
  void opened(const wire::TrackerToDen::Opened& opened);
  void refused(const wire::TrackerToDen::Refused& refused);
  void tracker_lost();
  // From the watch.
  void watch_answer(bool watched, const std::string& reason);
  void mailbox_changed() { changed_ = true; }
  // From the master or an administrator: through the worker where there is one, else at once.
  void shut_down(const std::string& text);

  // With kPutOff: for how long.
  uint64_t put_off_ms() const { return put_off_ms_; }
  bool queue_full() const { return queue_full_; }  // that is why
  bool sweep() const { return sweep_; }
  uint64_t number() const { return parts_.session; }
  uint64_t request() const { return request_; }
  Purpose purpose() const { return purpose_; }
  const RecordParts& parts() const { return parts_; }
  bool parked() const { return published_; }
  // Why it is awake, and what kept it from parking when it last could have: for the view.
  const std::string& reason() const { return reason_; }
  wire::Hindrance::Kind hindrance() const { return hindrance_; }
  size_t held_bytes() const;
  std::shared_ptr<void> bytes_in_flight() { return flying_; }

 private:
  enum class RelayEnd {
    kParked,
    kRefreshed,
    kBye,
    kWorkerGone,
    kClientGone,
    kRefused,
    kTrackerLost
  };

  io::Task<SessionEnd> serve();
  bool attach(uint32_t attempt);
  io::Task<RelayEnd> relay();
  io::Task<void> uplink();
  io::Task<RelayEnd> downlink();
  io::Task<bool> downlink_data(const std::string& data);
  bool start_compress(const wire::WorkerToDen::StartCompress& start);
  io::Task<bool> park(const wire::WorkerToDen::Park& park);
  wire::Hindrance::Kind park_hindrance() const;
  void hindered(wire::Hindrance::Kind kind, std::string_view detail);
  void take(std::span<std::byte> bytes);
  void keep_input();
  io::Task<SessionEnd> refreshed(const wire::WorkerToDen::Refreshed& refreshed);
  io::Task<SessionEnd> farewell(std::string text);
  SessionEnd put_off(uint64_t ms);
  io::Task<Result<void>> drained(size_t below);
  io::Task<Result<void>> output_below(size_t below);
  void offer(const wire::WorkerToDen::Offer& offer);
  void drop_offer();
  void answer_worker(const wire::DenToWorker& message);
  void refuse_park(wire::Hindrance::Kind kind, std::string_view detail = {});
  void commit();
  void looked(const wire::WorkerToDen::Parked& parked);
  void pump();
  void break_relay();
  bool relay_readable() const;
  bool open_relay(io::Channel& worker_end);

  Den& den_;
  uint32_t slot_;
  Purpose purpose_;
  RecordParts parts_;
  ClientStream stream_;
  std::string grant_;
  std::string tag_;
  io::Channel relay_;
  uint64_t request_ = 0;
  std::optional<wire::TrackerToDen::Refused> refusal_;
  std::optional<wire::WorkerToDen::Refreshed> refreshed_;
  std::string reason_ = "starting";
  wire::Hindrance::Kind hindrance_ = wire::Hindrance::NONE;

  // client -> worker
  std::string input_;         // in clear, not yet given to the worker; one receive at the most
  std::string replay_;        // given to a worker that has not answered yet
  uint64_t given_bytes_ = 0;  // to this worker, since its Begin
  bool receiving_ = false;
  bool client_gone_ = false;
  io::Event readable_;
  io::Event received_;

  // worker -> client
  tls::Bytes queued_;
  std::shared_ptr<tls::Bytes> flying_;
  size_t flown_bytes_ = 0;
  io::Event progress_;
  std::string collected_;  // a refresh's answer so far, in clear
  bool streaming_ = false;

  uint64_t put_off_ms_ = 0;
  bool queue_full_ = false;
  bool sweep_ = false;
  bool heard_ = false;     // the worker has spoken, or the replay bound was passed
  bool stopping_ = false;  // the relay is ending: the uplink takes nothing more
  bool offered_ = false;
  uint32_t offer_number_ = 0;
  bool changed_ = false;  // since the offer
  bool published_ = false;
  bool tracker_lost_ = false;
};

}  // namespace dormouse::hibernate
