#pragma once
// Process: the life every role shares. Started by the master with its control channel on
// descriptor 3, it takes Start and the Resources, enters its sandbox at Go (purge descriptors,
// chroot, become uid/gid, no_new_privs, drop capabilities, seccomp), answers Ready, and from then
// on turns control messages into the calls of a Role. A role's main is: make its Role object, run.
//
//   int tracker_main() {
//     Process process;                                   // reads Start, Resources, Go
//     Tracker tracker(process);
//     return process.run(tracker);                       // sandbox, Ready, loop
//   }
//
// Libraries that want files at their first use (OpenSSL's configuration, ICU's data) are used once
// before run(): the sandbox has none.
//
// When the control channel closes, the master is gone: roles that hold no sleeper exit; a den keeps
// its sockets only as long as somebody could adopt them, which is nobody: it exits too.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/channel.h"
#include "io/loop.h"
#include "io/result.h"
#include "role/sandbox.h"
#include "tuning/pressure_level.h"
#include "wire/control.pb.h"
#include "wire/settings.pb.h"

namespace dormouse::role {

// "login", "den" ...: in log lines, in `dormouse role NAME`, in the view.
std::string_view role_name(wire::Role role);

// A channel to another process, just made. The receiver owns the channel and reads it until
// kClosed; when the peer is restarted a new Link comes.
struct Link {
  wire::Role peer = wire::ROLE_UNKNOWN;
  uint32_t index = 0;
  uint32_t uid = 0;
  uint32_t pid = 0;
  std::string user;
  uint64_t request = 0;
  io::Channel channel;
};

struct Resource {
  wire::MasterToRole::Resource message;
  std::vector<io::Fd> fds;  // that of a SHARD_RING too, which comes by inheritance
};

// What a role is started with, beside standard error.
inline constexpr int kControlFd = 3;
inline constexpr int kInheritedRingFd = 4;  // a den's ring; else closed

// What a role does on each occasion. Called on the loop's thread, never nested; long work is
// spawned into process.scope().
class Role {
 public:
  virtual ~Role() = default;
  // The sandbox is entered and the loop runs; links follow.
  virtual Result<> start() = 0;
  virtual void link(Link link) = 0;
  virtual void worker_failed(uint64_t /*request*/, const std::string& /*reason*/) {}
  // Settings (process.settings()) and certificates are new. Touches no connection.
  virtual void reload() {}
  // How hard the server is pressed has changed (docs/pressure.md). `text`: for a client that is
  // refused because of it.
  virtual void pressure(tuning::Pressure /*level*/, const std::string& /*text*/) {}
  // Finish with a BYE of this text; answer process.drained() when done, at the latest after
  // grace_ms.
  virtual void drain(uint32_t grace_ms, const std::string& text) = 0;
  // The role's own view (SIGUSR2): lines of text, each ending with a newline. May be long.
  virtual std::string view() = 0;
};

class Process {
 public:
  // Reads the control channel (descriptor 3) up to Go. Exits the process with a message on standard
  // error when the master's side is malformed: there is no one to report to.
  // `loop`: made here; a den replaces it by the shard's ring (adopt_loop).
  Process();
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  wire::Role role() const;
  uint32_t index() const;
  const wire::Settings& settings() const;
  const wire::MasterToRole::Start& start_message() const;  // secret, uid, restarted, server_name
  // Gives up ownership of the resources of one kind, in the order they came. At a reload() these
  // are the new ones, where the master sent any of that kind.
  std::vector<Resource> take_resources(wire::MasterToRole::Resource::Kind kind);

  // The ring of a shard instead of a private one: before the first loop() or scope().
  void use_loop(std::unique_ptr<io::Loop> loop);
  io::Loop& loop();
  io::Scope& scope();  // for what the role spawns; cancelled and joined at the end
  void set_sandbox(const Sandbox& sandbox);

  // The role's whole life: sandbox, role.start(), Ready, control messages until the master says
  // Drain and the role answered drained(), or the master is gone. Returns the exit status.
  int run(Role& role);

  // Asks the master; the answer is a Link with this request, or Role::worker_failed.
  void start_worker(const wire::RoleToMaster::StartWorker& request);
  // Tells the master how those fare who need a worker (the tracker).
  void tell_strain(const wire::RoleToMaster::Strain& strain);
  // The role has nothing left to do (after a drain, or a worker that retires): run() returns. What
  // still runs in scope() is cancelled and joined.
  void drained();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::role
