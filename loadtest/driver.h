#pragma once
// Driver: what a load test does with its fleet, one command after another, each answered by one
// JSON object. The command line and the control channel both speak these commands:
//
//   command = word *( SP number / SP key "=" number )
//
//   wait-connected [timeout=60]          until every session is asleep or has ended
//   wait-parked [quiet=3] [timeout=60]   until all are asleep and nothing was said for `quiet` s
//   deliver N [rate=20] [timeout=60]     N messages, to the watched users in turn
//   deliver-all [rate=200] [timeout=60]  one message to every watched user
//   done N / done-all [rate=..]          DONE -> OK -> IDLE on sessions in turn / on all
//   command N / command-all [rate=..]    DONE and a command in one write -> OK -> IDLE
//   hold SECONDS [deliver= done= command= leave=]   watches; ok when nothing was lost meanwhile;
//                                        so many of each a second happen in turn, leavers come back
//   storm [timeout=60]                   cuts all off and connects all again
//   logout [rate=0] [timeout=60]         DONE and LOGOUT on all
//   status                               counts
//   quit                                 ends: closes everything at once
//
// Every answer has "command", "ok" and, where it is not ok, "error"; rates are per second, 0 means
// all at once; timeout counts from the last act. Load is open-loop: act k is due at start + k/rate
// (in hold each kind has a fraction of its interval more) whatever the server does, and latencies
// count from when it was due.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "io/loop.h"
#include "loadtest/clock.h"
#include "loadtest/command.h"
#include "loadtest/fleet.h"
#include "loadtest/json.h"
#include "loadtest/postman.h"

namespace dormouse::loadtest {

struct DriverSettings {
  uint32_t ramp_per_second = 0;  // 0: as fast as `parallel` logins at a time go
  uint32_t parallel = 64;        // logins under way at most
  std::string maildir;           // a pattern; empty: this driver cannot deliver
  uint32_t message_bytes = 1000;
  uint64_t poll_every_ms = 0;  // 0: nobody polls
};

class Driver {
 public:
  static Result<std::unique_ptr<Driver>> create(io::Loop& loop, Fleet& fleet,
                                                DriverSettings settings);

  // Starts every session, in the background of the loop's root scope.
  void connect_all();
  // Runs one command and answers its JSON line.
  io::Task<std::string> run(Command command);

  // Nothing lost, failed, missing or wrong so far, and no command failed.
  bool clean() const;
  std::string status_json();

 private:
  Driver(io::Loop& loop, Fleet& fleet, DriverSettings settings)
      : loop_(loop), fleet_(fleet), settings_(std::move(settings)) {}
  io::Task<void> ramp();
  io::Task<void> watch_deadlines();
  io::Task<void> wait_connected(Command command, JsonObject* answer);
  io::Task<void> wait_parked(Command command, JsonObject* answer);
  io::Task<void> deliver(Command command, JsonObject* answer);
  Result<> write_letters();
  io::Task<Result<void>> deliver_one(uint64_t due_us, Histogram* lateness);
  // Of those sent meanwhile: their lateness, and what went wrong.
  Result<> note_sent(Histogram* lateness);
  io::Task<void> errands(Command command, JsonObject* answer);
  uint32_t next_in_turn();
  io::Task<std::optional<uint32_t>> find_sleeper(std::optional<uint32_t> wanted,
                                                 uint64_t give_up_us);
  io::Task<void> log_out(Command command, JsonObject* answer);
  io::Task<void> hold(Command command, JsonObject* answer);
  io::Task<void> finish_hold(Command command, JsonObject* answer, uint64_t missing_before,
                             uint64_t deliveries, uint64_t leaves);
  io::Task<void> storm(Command command, JsonObject* answer);
  io::Task<void> poll();
  io::Task<void> revive();
  void leave(uint32_t session, bool politely);
  io::Task<void> come_back(uint32_t session);
  bool settled() const;
  uint64_t wrongs() const;
  void refuse(JsonObject* answer, std::string_view why);

  io::Loop& loop_;
  Fleet& fleet_;
  DriverSettings settings_;
  PreciseTimer timer_;
  Postman postman_;
  std::deque<uint64_t> sent_due_us_;  // of the deliveries under way
  uint64_t ramp_begun_us_ = 0;
  uint64_t ramp_ended_us_ = 0;
  uint64_t deliveries_ = 0;
  uint32_t away_ = 0;  // sessions that left and are not connecting again yet
  uint32_t next_user_ = 0;
  uint32_t next_session_ = 0;
  uint32_t turn_offset_ = 0;  // where this turn began
  bool ok_ = true;            // of the command that runs
  bool all_ok_ = true;        // of all so far
};

}  // namespace dormouse::loadtest
