#pragma once
// Supervisor: starts every role, introduces the roles to one another, starts again what dies, and
// ends them all. One seat per process that should run; a coroutine per seat lives its processes'
// lives. Serves no client and waits for no role: what a role does not read waits in its outbox.
//
//   seat:  start -> Start, Resources, Go -> Ready -> links with every ready peer -> ... -> end
//            ^------------------------- back-off, unless stopping or a worker -------------+
//
// What comes from a role is a hostile peer's at worst: what does not parse or is out of turn ends
// that role, and the next one is started.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/loop.h"
#include "master/child.h"
#include "master/resources.h"
#include "master/settings.h"
#include "tuning/pressure_level.h"
#include "wire/control.pb.h"
#include "wire/outbox.h"

namespace dormouse::master {

// Messages that may wait for a role that does not read: all certificates of a reload and a link
// with every den and login, several times over.
inline constexpr size_t kOutboxMessagesMax = 2048;
// A role that is not ready by then never will be.
inline constexpr uint64_t kReadyMsMax = 30'000;
// The first restart comes at once: sleepers wait for it. Then the wait doubles up to the last.
inline constexpr uint64_t kBackOffFirstMs = 100;
inline constexpr uint64_t kBackOffLastMs = 10'000;
// A process that lived this long did not die of its start.
inline constexpr uint64_t kLongLifeMs = 60'000;
// A worker costs a fork, an exec and some megabytes: a burst of this many, then this many a second.
inline constexpr uint32_t kWorkerStartsBurst = 32;
inline constexpr uint32_t kWorkerStartsPerSecond = 10;
// A view of a den with 20,000 sessions at 200 bytes a line, twice over. The rest is cut.
inline constexpr size_t kViewBytesMax = 8 << 20;
inline constexpr uint64_t kViewMsMax = 5'000;

struct Seat {
  wire::Role role = wire::ROLE_UNKNOWN;
  uint32_t index = 0;
  Account account;
  // Workers only:
  bool switch_identity = false;
  std::string user;
  uint64_t request = 0;       // to be answered when it is ready
  uint64_t tracker_life = 0;  // whose request that is

  Child child;
  io::Channel control;
  std::unique_ptr<wire::Outbox> outbox;  // present while a process lives
  bool ready = false;
  bool drained = false;
  bool ended = false;  // the coroutine has ended: nothing runs here any more
  uint64_t started_ms = 0;
  uint64_t life = 0;  // counts processes of this seat
  uint32_t quick_deaths = 0;
  std::string last_end;
  uint64_t view_request = 0;  // waited for; 0: none
  std::string view;
};

class SupervisorEvents {
 public:
  // Every role is ready for the first time.
  virtual void all_ready() = 0;
  // A role cannot even start: nothing was ever ready.
  virtual void cannot_start(const std::string& reason) = 0;
  // What the tracker says of those who need a worker.
  virtual void strain(const wire::RoleToMaster::Strain& /*strain*/) {}

 protected:
  virtual ~SupervisorEvents() = default;
};

class Supervisor {
 public:
  struct Options {
    std::string executable = "/proc/self/exe";
  };
  // All outlive the supervisor, and the loop's run joins its coroutines.
  Supervisor(io::Loop& loop, Settings& settings, Resources& resources, SupervisorEvents& events,
             Options options);
  ~Supervisor();

  // Spawns the permanent roles into the loop's root scope.
  void start();
  // New settings and certificates stand in what the constructor was given: tells the roles.
  Result<> reload();
  // How hard the server is pressed: tells every role, and those that are ready later.
  void tell_pressure(tuning::Pressure level, const std::string& text);
  // The views of all roles, one after the other.
  io::Task<std::string> view();
  // Hands `listener`'s end of a channel to every worker, and to those that are started later, until
  // it is given another or none (an empty one). docs/tuning.md, "Traces".
  void record(io::Fd listener);
  // Ends every role: goodbye to clients first (logins and dens, whose clients are the ones to be
  // told), then the rest; what is not gone by then is killed.
  io::Task<void> drain(uint64_t grace_ms, std::string text);
  // No process of any role is left.
  bool all_ended() const { return !running(false); }
  // Kills at once what is left: drain() then answers soon.
  void kill_all();

  const std::vector<std::unique_ptr<Seat>>& seats() const { return seats_; }

 private:
  Seat& add_seat(wire::Role role, uint32_t index, Account account);
  io::Task<void> tend(Seat* seat);
  io::Task<void> live(Seat* seat);
  io::Task<void> expect_ready(Seat* seat, uint64_t life);
  io::Task<void> receive_all(Seat* seat);
  io::Task<void> notice_end(Seat* seat, io::Scope* life);
  void take_last_words(Seat& seat);
  Result<> begin(Seat& seat);
  int inherited_by(const Seat& seat) const;
  Result<> introduce(Seat& seat);
  Result<> handle(Seat& seat, const wire::RoleToMaster& message, size_t fd_count);
  void became_ready(Seat& seat);
  void after_end(Seat& seat, const std::string& how);
  void push(Seat& seat, const wire::MasterToRole& message, io::Fd fd = {});

  // supervisor_links.cc
  void record_in(Seat& seat);
  void link_all(Seat& seat);
  void connect(Seat& a, Seat& b);
  // supervisor_workers.cc
  void start_worker(Seat& tracker, const wire::RoleToMaster::StartWorker& request);
  Result<> may_start_worker(const wire::RoleToMaster::StartWorker& request);
  void worker_failed(uint64_t tracker_life, uint64_t request, const std::string& reason);
  void forget_ended_workers();
  // supervisor_end.cc
  void take_view(Seat& seat, const wire::RoleToMaster::ViewText& piece);
  bool running(bool front_only) const;
  void kill(bool front_only);
  void tell_drain(bool front_only, uint64_t grace_ms, const std::string& text);
  io::Task<void> wait_for_ends(bool front_only, uint64_t until_ms);

  io::Loop& loop_;
  Settings& settings_;
  Resources& resources_;
  SupervisorEvents& events_;
  Options options_;
  std::vector<std::unique_ptr<Seat>> seats_;
  wire::MasterToRole pressure_;  // as it was told last
  bool was_ready_ = false;
  bool stopping_ = false;
  uint64_t lives_ = 0;
  uint64_t views_ = 0;
  io::Fd trace_listener_;
  uint32_t next_worker_ = 0;
  double worker_tokens_ = kWorkerStartsBurst;
  uint64_t worker_tokens_ms_ = 0;
};

// "den[3]"
std::string seat_name(const Seat& seat);

}  // namespace dormouse::master
