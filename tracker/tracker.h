#pragma once
// Tracker: places sessions on workers, and is the one who knows who a user is. It keeps a count for
// the sleepers and nothing else (docs/tracker.md). One loop; nothing in it waits for a peer but the
// coroutine that reads from that peer.

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/loop.h"
#include "role/process.h"
#include "tracker/address_table.h"
#include "tracker/cookie.h"
#include "tracker/den_slots.h"
#include "tracker/epoch_log.h"
#include "tracker/grant_table.h"
#include "tracker/peer.h"
#include "tracker/placement.h"
#include "tracker/refusals.h"
#include "tracker/user_table.h"
#include "tracker/wake_probe.h"
#include "tracker/wake_queue.h"
#include "wire/settings.pb.h"

namespace dormouse::tracker {

struct TrackerOptions {
  wire::Settings::Tracker settings;
  std::string secret;  // CookieKey::kKeyBytes
  io::Fd epochs;       // EpochLog's memfd
  bool restarted = false;
  // Asks the master; it answers with link() or worker_failed().
  std::function<void(const wire::RoleToMaster::StartWorker&)> start_worker;
  // Tells the master how those fare who need a worker.
  std::function<void(const wire::RoleToMaster::Strain&)> tell_strain = nullptr;
  // Sessions that may wait for a worker, each holding a descriptor; 0: chosen by the process's
  // limit.
  size_t waiting_max = 0;
};

class Tracker {
 public:
  // A sleeper's session is tried on so many workers (wire/den_tracker.proto).
  static constexpr uint32_t kAttemptsMax = 3;
  // 4,096 sessions are some seconds of work for the largest machine; and a fifth of the smallest
  // descriptor limit that is reckoned with (20,000).
  static constexpr size_t kWaitingMax = 4096;
  // How long a session waits in the queue before the den is told to come again. Half of the minute
  // that common clients wait for an answer.
  static constexpr uint64_t kWaitMs = 30'000;
  // Shortest pause before a refused wake is tried again; up to as much again is added by session,
  // so that those refused together do not come back together.
  static constexpr uint32_t kRetryMs = 500;
  // auth answers a lookup in milliseconds; after this another one is asked, or the same again.
  static constexpr uint64_t kLookupMs = 5'000;
  // The counts of a den that is gone are believed for so long; its successor's census comes within
  // a second or two.
  static constexpr uint64_t kDenGraceMs = 60'000;
  // After its own restart the tracker waits for the workers that exist before it starts others.
  static constexpr uint64_t kAdoptMs = 1'000;
  static constexpr uint64_t kTickMs = 250;
  // While nobody waits: what is due then (grants, dens that are gone, workers to retire) is counted
  // in seconds.
  static constexpr uint64_t kQuietTickMs = 2'000;
  // Table places visited in one turn of the loop: below a millisecond.
  static constexpr uint32_t kSweepStep = 8192;
  // Log lines about bad cookies per tick; the view has their whole number.
  static constexpr uint32_t kCookieLogs = 8;
  // While workers are probed, the master hears of it so often.
  static constexpr uint64_t kProbedStrainMs = 100;
  // Messages from one peer before the others' turn.
  static constexpr uint32_t kTurnMessages = 32;

  static Result<std::unique_ptr<Tracker>> create(io::Loop& loop, io::Scope& scope,
                                                 TrackerOptions options);
  void start();
  void link(role::Link link);
  void worker_failed(uint64_t request, const std::string& reason);
  void reload(const wire::Settings::Tracker& settings);
  // Ends all sessions of the user: raises the epoch, tells the dens.
  void kick(const std::string& user, const std::string& text);
  std::string view() const;

  const UserTable& users() const { return users_; }
  const Placement& placement() const { return placement_; }

 private:
  using Open = wire::DenToTracker::Open;
  using Attach = wire::DenToTracker::Attach;
  struct Lookup {
    std::string user;
    uint64_t auth = 0;  // serial of the link it was asked on; 0: none was there
    uint64_t deadline_ms = 0;
  };
  // Which worker had a session last, for the wakes that name another attempt: a direct-mapped
  // cache, in which a collision costs a worse choice and nothing else.
  struct Recent {
    uint64_t session = 0;
    WorkerId worker = kNoWorker;
  };
  struct Stale {
    uint32_t den = 0;
    DenCounts::Slot slot = 0;
    uint64_t deadline_ms = 0;
  };

  Tracker(io::Loop& loop, io::Scope& scope, TrackerOptions options, CookieKey key, EpochLog epochs,
          size_t waiting_max);

  // links.cc: the life of a peer.
  template <class P>
  P* add(std::unordered_map<uint64_t, P*>& peers, role::Link link);
  io::Task<void> serve(std::unique_ptr<Peer> peer);
  io::Task<std::string> read_all(Peer* peer);
  Result<> take(Peer& peer, io::Message message);
  void lost(Peer& peer);
  void auth_message(AuthPeer& auth, const wire::AuthToTracker& message);
  void worker_message(WorkerPeer& worker, const wire::WorkerToTracker& message);
  void worker_ended(WorkerPeer& worker, uint64_t session);
  void den_lost(DenPeer& den);
  void worker_lost(WorkerPeer& worker);

  // dens.cc: what dens ask.
  void den_message(DenPeer& den, const wire::DenToTracker& message, io::Fd relay);
  void open(DenPeer& den, const Open& open, io::Fd relay);
  void attach(DenPeer& den, const Attach& attach, io::Fd relay);
  void closed(DenPeer& den, const wire::DenToTracker::Closed& closed);
  void census(DenPeer& den, const wire::DenToTracker::Census& census);
  bool begin_census(DenPeer& den);
  void count(DenPeer& den, UserId user, const std::string& address, uint32_t sessions);
  bool over_limit(UserId user, const wire::Limits& limits, uint64_t address, Refusal* why) const;
  void refuse(DenPeer* den, uint64_t request, uint64_t session, Refusal why);
  void opened(DenPeer& den, uint64_t request, UserId user, uint64_t session);

  // waking.cc: queue, lookups, workers.
  void enqueue(Waiting entry);
  void pump();
  WakeQueue::Verdict offer(Waiting& entry);
  void serve_session(Waiting& entry, WorkerPeer& worker);
  void refuse(Waiting entry, Refusal why);
  void note_wait(const Waiting& entry);
  void tell_strain();
  io::Task<void> probe_workers();
  void note_arrival(Rank rank);
  void drop(Waiting entry);
  void look_up(UserId user);
  void ask(uint64_t request, Lookup& lookup);
  void looked_up(const wire::AuthToTracker::LookedUp& answer);
  void ask_for_worker(const WorkerStart& start);
  void retire(WorkerId id);
  static constexpr size_t kRecent = 4096;  // sessions; 64 KiB
  Recent& recent(uint64_t session) { return recent_[(session ^ session >> 40) % kRecent]; }
  WorkerPeer* worker(WorkerId id);

  // tracker.cc: time.
  io::Task<void> tick();
  void tick_once();
  io::Task<void> sweep();

  io::Loop& loop_;
  io::Scope& scope_;
  wire::Settings::Tracker settings_;
  // Asked before the sandbox, which does not allow it.
  uint32_t cpus_ = std::max(std::thread::hardware_concurrency(), 1u);
  std::function<void(const wire::RoleToMaster::StartWorker&)> start_worker_;
  std::function<void(const wire::RoleToMaster::Strain&)> tell_strain_;
  CookieKey key_;
  EpochLog epochs_;
  GrantTable grants_;
  UserTable users_;
  AddressTable addresses_;
  DenSlots slots_;
  Placement placement_;
  WakeQueue waiting_;

  // By serial. The peers belong to the coroutines that serve them.
  std::unordered_map<uint64_t, DenPeer*> dens_;
  std::unordered_map<uint64_t, AuthPeer*> auths_;
  std::unordered_map<uint64_t, WorkerPeer*> workers_;
  std::vector<Stale> stale_;
  std::unordered_map<uint64_t, Lookup> lookups_;
  std::vector<Recent> recent_ = std::vector<Recent>(kRecent);

  WakeProbe probe_;
  bool probing_ = false;  // probe_workers() runs

  uint64_t started_ms_ = 0;
  uint64_t next_serial_ = 1;
  uint64_t next_lookup_ = 1;
  bool pump_wanted_ = false;  // somebody who waits may have a place now
  bool in_round_ = false;
  bool sweeping_ = false;
  io::Event stir_;                     // somebody waits
  bool told_quiet_ = true;             // the master knows that nobody waits
  uint64_t waited_ms_ = 0;             // the longest, of those placed since the last tick
  uint64_t longest_wait_ms_ = 0;       // of all
  uint32_t cookie_logs_ = 0;           // lines about bad cookies since the last tick
  std::unordered_set<uint64_t> full_;  // in this round: no room for this uid (or user)
  size_t users_awake_ = 0;
  Refusals refusals_;
  struct Counters {
    uint64_t opened = 0, attached = 0, kicks = 0, grants = 0, lookups = 0, links_ended = 0;
    uint64_t closed_unknown = 0, ended_unknown = 0, refreshes_placed = 0;
  } counters_;
};

}  // namespace dormouse::tracker
