#pragma once
// Fleet: all sessions of a load test. It owns the sockets (in its shards), the compact sleepers and
// the few that are awake; it keeps the counts. What to do when is decided by the Driver (driver.h).
// One thread; nothing of it may be called from inside another call of it.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/loop.h"
#include "loadtest/delivery_ledger.h"
#include "loadtest/dialog.h"
#include "loadtest/histogram.h"
#include "loadtest/session.h"
#include "loadtest/shard.h"
#include "loadtest/target.h"
#include "loadtest/wire_stream.h"

namespace dormouse::loadtest {

struct FleetSettings {
  Target target;
  std::optional<tls::ClientSettings> tls;  // nothing: in clear
  // All connections but the first resume a TLS 1.3 session: the load's way to many sleepers sooner.
  bool tls_resume = false;
  std::string server_name;  // SNI; empty: none
  DialogSettings dialog;
  uint32_t sessions = 1;
  uint32_t sources = 1;                // different source addresses
  uint32_t sockets_per_shard = 0;      // 0: as many as RLIMIT_NOFILE allows
  uint64_t login_timeout_ms = 60'000;  // from connect() to IDLE's continuation
  // Where processes of the server are being killed, it may drop a session that is awake. It is
  // awake for sure until it has slept for `settle_ms`: longer than the server's own delay.
  bool may_drop_awake = false;
  uint64_t settle_ms = 3000;
};

// What a session was woken for.
enum class Errand : uint8_t { kNone, kLogin, kDone, kCommand, kPoll };

// The sessions that are on one errand: how many began, are answered and are back in IDLE.
struct Round {
  Histogram latency;   // from the intended time to the answer
  Histogram lateness;  // from the intended time to the tester's own act: its own share
  uint64_t begun = 0;
  uint64_t answered = 0;
  uint64_t back = 0;  // asleep again
  uint64_t lost = 0;
  bool all_back() const { return back + lost == begun; }
};

struct Counters {
  uint64_t started = 0;
  uint64_t logins = 0;            // that ended asleep
  uint64_t connected = 0;         // TCP connections now
  uint64_t idle = 0;              // of these, asleep in IDLE
  uint64_t failed = 0;            // ended before they were idle for the first time
  uint64_t lost = 0;              // ended later, not by us
  uint64_t left = 0;              // logged out or closed by us
  uint64_t dropped = 0;           // awake, where that is allowed
  uint64_t connect_timeouts = 0;  // TCP gave up connecting, and was told to try again
  uint64_t repeated_exists = 0;
  uint64_t unexpected_exists = 0;
  uint64_t expunges = 0;  // nobody expunges here
  uint64_t keepalives = 0;
  uint64_t compressed = 0;  // began COMPRESS, since the start
  uint64_t errors() const { return repeated_exists + unexpected_exists + expunges; }
};

class Fleet final : public FleetEvents {
 public:
  static Result<std::unique_ptr<Fleet>> create(io::Loop& loop, FleetSettings settings);
  ~Fleet() = default;

  // Connects session `session`, which must be kEmpty or kGone; the rest of its login goes by
  // itself. For Round `login_round`.
  io::Task<void> start(uint32_t session, uint64_t intended_us);
  // Sends `session`, which must be asleep, on an errand: kDone and kCommand for round().
  void send_on(uint32_t session, Errand errand, uint64_t intended_us);
  // Logs the session out, where it sleeps, or closes it.
  void log_out(uint32_t session);
  // Closes its connection without a word.
  void cut(uint32_t session);
  // Ends sessions whose login takes too long.
  void end_late_logins();

  const FleetSettings& settings() const { return settings_; }
  const Dialog& dialog() const { return dialog_; }
  const Session& session(uint32_t session) const { return sessions_[session]; }
  uint32_t users_watched() const;
  const Counters& counters() const { return counters_; }
  DeliveryLedger& ledger() { return ledger_; }
  const DeliveryLedger& ledger() const { return ledger_; }
  // Of kDone and kCommand, since the last begin_round(). What a session that was sent before it
  // answers afterwards counts nowhere.
  Round& round() { return round_; }
  void begin_round();
  Round& login_round() { return login_round_; }
  // Only while no login is under way.
  void begin_login_round() { login_round_ = Round{}; }
  const Histogram& poll_latency() const { return poll_latency_; }
  // The sessions that were dropped awake since the last call.
  std::vector<uint32_t> take_dropped() { return std::exchange(dropped_, {}); }
  uint64_t asleep_bytes_per_session() const;
  size_t awake() const { return awake_.size(); }
  uint64_t last_activity_us() const { return last_activity_us_; }
  // Why sessions ended that should not have, and where they were: "reason (greeting)" and count,
  // the first kReasonsMax kinds.
  const std::map<std::string, uint64_t>& reasons() const { return reasons_; }

  void session_received(uint32_t session, int32_t result, std::span<std::byte> bytes) override;
  void session_sent(uint32_t session, int32_t result) override;

 private:
  static constexpr size_t kReasonsMax = 32;

  // What a session has only while it is awake.
  struct Awake {
    WireStream stream;
    ResponseScanner scanner;
    tls::Bytes sending;  // lent to the kernel
    size_t sent_bytes = 0;
    tls::Bytes next;  // behind it
    uint64_t intended_us = 0;
    uint64_t deadline_us = 0;
    uint32_t round = 0;  // of its errand
    Errand errand = Errand::kNone;
  };

  Fleet(io::Loop& loop, FleetSettings settings);
  // Within `give_up_us`. ETIMEDOUT: TCP gave up before.
  io::Task<Result<void>> try_to_open(uint32_t session, uint64_t intended_us, uint64_t give_up_us);
  Result<> open(uint32_t session, io::Fd socket, uint64_t intended_us);
  Shard& shard_of(uint32_t session) { return *shards_[session / sockets_per_shard_]; }
  Awake* wake(uint32_t session);
  void sleep_if_done(uint32_t session, Awake& awake);
  bool listen(uint32_t session, Awake& awake, std::string_view plain);
  void act(uint32_t session, Awake& awake, const Heard& heard);
  void heard_exists(uint32_t session, const Heard& heard);
  void fell_asleep(uint32_t session, Awake& awake);
  void answered(Awake& awake);
  bool may_be_awake(uint32_t session, Phase phase) const;
  bool say(uint32_t session, Awake& awake, std::string_view text);
  void flush(uint32_t session, Awake& awake);
  void end(uint32_t session, const std::string& reason);
  tls::ByteSpan frozen(uint32_t session);

  io::Loop& loop_;
  FleetSettings settings_;
  Dialog dialog_;
  DeliveryLedger ledger_;
  std::optional<tls::ClientContext> tls_context_;
  std::optional<tls::ClientContext> ticket_context_;  // awaits a ticket: for the first connections
  std::optional<tls::ClientSession> tls_session_;     // to resume, where wanted
  std::optional<tls::RecordCrypto> crypto_;
  uint32_t sockets_per_shard_ = 0;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<Session> sessions_;
  // Pages of it that no session has used yet cost nothing.
  std::unique_ptr<std::byte[]> frozen_;
  // What sleepers with COMPRESS have heard, packed; empty vectors for all others.
  std::vector<tls::Bytes> histories_;
  uint64_t history_bytes_ = 0;
  std::unordered_map<uint32_t, std::unique_ptr<Awake>> awake_;
  Counters counters_;
  Round round_;
  uint32_t round_number_ = 1;  // 0: of none
  Round login_round_;
  std::map<std::string, uint64_t> reasons_;
  Histogram poll_latency_;
  std::vector<uint32_t> dropped_;
  // Where may_drop_awake: when sessions fell asleep that may not be asleep for the server yet.
  std::unordered_map<uint32_t, uint64_t> settling_;
  uint64_t received_us_ = 0;  // when the bytes being handled came
  uint64_t last_activity_us_ = 0;
};

}  // namespace dormouse::loadtest
