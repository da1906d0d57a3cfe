#pragma once
// Placement: which worker a session goes to, when a worker is started and when one retires. An
// engine without I/O: the tracker tells it what happens and does what it answers.
//
// A user's sessions go to the worker that has the user already, as long as it has room: no identity
// switch is needed there and the user's mail index is open. Policies:
//   shared       any worker serves anybody; it changes identity as it goes
//   per-uid      a worker serves one UNIX uid
//   per-user     a worker serves one user
//   prefer-user  a worker for each user while there may be more workers, else one of the same uid

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::tracker {

using UserId = uint32_t;
inline constexpr UserId kNoUser = 0xffffffff;
using WorkerId = uint32_t;  // the worker's index, unique for the server's life
inline constexpr WorkerId kNoWorker = 0xffffffff;

enum class Policy { kShared, kPerUid, kPerUser, kPreferUser };
std::optional<Policy> parse_policy(std::string_view name);
const char* policy_name(Policy policy);

struct PlacementSettings {
  Policy policy = Policy::kShared;
  uint32_t workers_max = 1;
  uint32_t workers_min = 0;
  uint32_t sessions_per_worker = 1;
  uint64_t worker_idle_ms = 60'000;
  // Refreshes under way at one worker; the others wait, so that a client's input finds no more than
  // these before it: 0.5 ms each where the store is open, 2 ms where it is not
  // (docs/store-format.md), so 4 to 16 ms. Chosen, not measured: enough to keep a worker busy while
  // the next one is on its way.
  uint32_t refreshes_per_worker = 8;
  // Workers that are started because refreshes wait: more than there are CPUs refresh no faster.
  uint32_t refresh_workers_max = 1;
};

// Who needs a worker.
struct Wish {
  std::string_view user;
  uint32_t uid = 0;
  uint32_t gid = 0;
  WorkerId affinity = kNoWorker;  // had the user last
  bool awake = false;             // and most likely has it now
  WorkerId avoid = kNoWorker;     // lost this session once already
  bool refresh = false;           // nobody waits for the answer
  bool woken = false;             // a sleeper has spoken
};

struct WorkerStart {
  uint64_t request = 0;
  uint32_t uid = 0;  // 0 with switch_identity
  uint32_t gid = 0;
  bool switch_identity = false;
  std::string user;  // of whom the worker will be; empty: of nobody
};

struct Placed {
  enum class Kind {
    kPlaced,    // at `worker`, whose count includes it from now on
    kStarting,  // a worker that will have room is starting (`start`: ask for it now)
    kFull,      // nothing has room and nothing more may be started now
  };
  Kind kind = Kind::kFull;
  WorkerId worker = kNoWorker;
  std::optional<WorkerStart> start;
  // An idle worker that serves others and stands in the way of a new one: tell it to retire.
  WorkerId retire = kNoWorker;
};

class Placement {
 public:
  // A start is a fork, an exec and a sandbox: more at once than this only compete for the CPUs that
  // the sessions need.
  static constexpr size_t kStartsInFlight = 4;
  // The master answers in milliseconds; a start without answer is forgotten so that it cannot hold
  // a place for ever. A worker that comes later is welcome.
  static constexpr uint64_t kStartTimeoutMs = 30'000;
  // Of a worker's places, one in so many is left to sleepers that have spoken: those who come in
  // can wait for a worker that is starting, those who are there should not.
  static constexpr uint32_t kWokenShare = 8;
  // After a failed start: doubled each time, so that a broken installation is not forked to death.
  static constexpr uint64_t kBackoffFirstMs = 500;
  static constexpr uint64_t kBackoffLastMs = 30'000;

  // `first_request`: requests count up from here. A tracker that was restarted may be told of
  // workers that answered its predecessor; its own requests must look different.
  explicit Placement(const PlacementSettings& settings, uint64_t first_request = 1)
      : settings_(settings), next_request_(first_request) {}
  void configure(const PlacementSettings& settings) { settings_ = settings; }
  const PlacementSettings& settings() const { return settings_; }

  // Those who wait are asked about again, all of them, in order: forgets what starting workers were
  // promised to.
  void begin_round();
  Placed place(const Wish& wish, uint64_t now_ms);

  // True: it answers a start of ours. False: a worker of before the tracker's start.
  bool worker_up(WorkerId id, uint32_t uid, std::string user, uint64_t request, uint64_t now_ms);
  void worker_down(WorkerId id);
  void session_ended(WorkerId id, uint64_t now_ms, bool refresh = false);
  // Sessions that a former tracker placed there.
  void set_foreign(WorkerId id, uint32_t sessions, uint64_t now_ms);
  // A worker that does not take what it is sent is left alone for a while.
  void set_busy(WorkerId id, bool busy);
  void start_failed(uint64_t request, uint64_t now_ms);
  // No start before this time (existing workers may still announce themselves).
  void hold_starts(uint64_t until_ms) { starts_from_ms_ = until_ms; }

  struct Due {
    std::vector<WorkerId> retire;
    std::vector<WorkerStart> start;
  };
  // Idle workers retire, workers_min are started (policy shared: of nobody else is it known for
  // whom), unanswered starts are forgotten.
  Due tick(uint64_t now_ms);

  struct Worker {
    WorkerId id = kNoWorker;
    uint32_t uid = 0;
    bool any_uid = false;
    bool retiring = false;
    bool busy = false;
    std::string user;
    uint32_t sessions = 0;  // that we placed
    uint32_t foreign = 0;
    uint32_t refreshes = 0;  // of `sessions`
    uint64_t idle_since_ms = 0;
    uint32_t load() const { return sessions + foreign; }
  };
  const std::vector<Worker>& workers() const { return workers_; }
  // Of all places at workers that anybody may have, in permille: those that are taken; where a
  // worker serves one user or uid only, the workers that are in use.
  uint32_t places_permille() const;
  size_t starting() const { return starting_.size(); }
  uint64_t starts_failed() const { return starts_failed_; }

 private:
  struct Starting {
    WorkerStart what;
    uint64_t since_ms = 0;
    uint32_t promised = 0;
  };
  // How well a worker suits, best first.
  enum class Fit { kOwn, kEmpty, kOther, kNone };

  Worker* find(WorkerId id);
  Fit fit(const Worker& worker, const Wish& wish) const;
  Worker* choose(const Wish& wish, bool avoided_too, Fit worst);
  bool promise(const Wish& wish);
  uint32_t places(const Wish& wish) const;
  bool has_room(const Worker& worker, const Wish& wish) const;
  bool may_start(const Wish& wish, uint64_t now_ms) const;
  WorkerStart begin_start(const Wish& wish, uint64_t now_ms);
  Placed take(Worker& worker, const Wish& wish);
  void note_idle(Worker& worker, uint64_t now_ms);

  PlacementSettings settings_;
  std::vector<Worker> workers_;
  std::vector<Starting> starting_;
  uint64_t next_request_;
  uint64_t starts_from_ms_ = 0;
  uint64_t backoff_ms_ = 0;
  uint64_t starts_failed_ = 0;
};

}  // namespace dormouse::tracker
