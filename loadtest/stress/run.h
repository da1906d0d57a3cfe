#pragma once
// StressRun: the clients of a stress test, each a coroutine with a connection of its own, and the
// truth of each user's mailbox, which its clients share. It counts, reports what is wrong, and says
// each second what went on.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/loop.h"
#include "loadtest/histogram.h"
#include "loadtest/stress/client.h"
#include "loadtest/target.h"
#include "loadtest/user_pattern.h"
#include "loadtest/wire_stream.h"

namespace dormouse::loadtest::stress {

struct RunSettings {
  Target target;
  std::optional<tls::ClientSettings> tls;  // nothing: in clear
  std::string server_name;
  UserPattern user;
  UserPattern password;
  uint32_t first_user = 1;
  uint32_t users = 1;
  uint32_t sources = 1;
  uint32_t clients = 10;
  ClientSettings client;         // of all, names and numbers apart
  double seconds = 60;           // 0: until stopped
  uint32_t stall_seconds = 60;   // no answer for so long is a violation
  uint32_t violations_max = 20;  // then the run ends
  // A server whose processes are being killed may drop an awake session; it may still not lie.
  bool may_disconnect = false;
  bool quiet = false;  // no lines each second
};

struct RunTotals {
  std::array<uint64_t, kStates> commands{};
  std::array<Histogram, kStates> latency;
  uint64_t connections = 0;
  uint64_t disconnects = 0;  // not asked for, where they are allowed
  uint64_t violations = 0;
  bool clean() const;  // no violation, and something was done
};

class StressRun {
 public:
  static Result<std::unique_ptr<StressRun>> create(io::Loop& loop, RunSettings settings);

  // Runs until the time is up or too much is wrong, and every client has logged out.
  io::Task<void> run();
  // Ends it early, in order.
  void stop();

  const RunTotals& totals() const { return totals_; }
  std::string json() const;
  // The table at the end.
  std::string report() const;

 private:
  struct Member {
    std::unique_ptr<Client> client;
    bool connected = false;
    bool gone = false;
  };

  StressRun(io::Loop& loop, RunSettings settings) : loop_(loop), settings_(std::move(settings)) {}
  io::Task<void> life(uint32_t index);
  io::Task<Result<void>> session(uint32_t index);
  io::Task<Result<WireStream>> open(uint32_t index, const io::Fd* socket);
  io::Task<Result<void>> turn(uint32_t index, int socket, WireStream* stream,
                              std::vector<std::byte>* buffer);
  io::Task<void> show();
  void show_line(const std::array<uint64_t, kStates>& before);
  void count(Client& client);
  void report_violation(uint32_t index, std::string_view what);
  bool all_gone() const;

  io::Loop& loop_;
  RunSettings settings_;
  std::optional<tls::ClientContext> tls_context_;
  std::optional<tls::RecordCrypto> crypto_;
  std::vector<std::unique_ptr<MailboxTruth>> truths_;  // by user
  std::vector<Member> members_;
  RunTotals totals_;
  uint64_t begun_us_ = 0;
  uint64_t ended_us_ = 0;
  bool stopping_ = false;
};

}  // namespace dormouse::loadtest::stress
