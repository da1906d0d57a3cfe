#include "tracker/placement.h"

#include <algorithm>

namespace dormouse::tracker {
namespace {

struct PolicyName {
  const char* name;
  Policy policy;
};
constexpr PolicyName kPolicies[] = {{"shared", Policy::kShared},
                                    {"per-uid", Policy::kPerUid},
                                    {"per-user", Policy::kPerUser},
                                    {"prefer-user", Policy::kPreferUser}};

}  // namespace

std::optional<Policy> parse_policy(std::string_view name) {
  for (const auto& known : kPolicies) {
    if (name == known.name) return known.policy;
  }
  return std::nullopt;
}

const char* policy_name(Policy policy) {
  for (const auto& known : kPolicies) {
    if (policy == known.policy) return known.name;
  }
  return "";
}

Placement::Worker* Placement::find(WorkerId id) {
  auto found = std::ranges::find(workers_, id, &Worker::id);
  return found == workers_.end() ? nullptr : &*found;
}

Placement::Fit Placement::fit(const Worker& worker, const Wish& wish) const {
  switch (settings_.policy) {
    case Policy::kShared:
      return worker.any_uid || worker.uid == wish.uid ? Fit::kOwn : Fit::kNone;
    case Policy::kPerUid:
      return !worker.any_uid && worker.uid == wish.uid ? Fit::kOwn : Fit::kNone;
    case Policy::kPerUser:
      return !worker.any_uid && worker.uid == wish.uid && worker.user == wish.user ? Fit::kOwn
                                                                                   : Fit::kNone;
    case Policy::kPreferUser:
      if (worker.any_uid || worker.uid != wish.uid) return Fit::kNone;
      if (worker.user == wish.user || (wish.awake && worker.id == wish.affinity)) return Fit::kOwn;
      return worker.load() == 0 ? Fit::kEmpty : Fit::kOther;
  }
  return Fit::kNone;
}

uint32_t Placement::places(const Wish& wish) const {
  uint32_t all = settings_.sessions_per_worker;
  return wish.woken ? all : all - all / kWokenShare;
}

// Refreshes of a user who is here already share that user's sync with those under way, so they
// take a place of four times as many.
bool Placement::has_room(const Worker& worker, const Wish& wish) const {
  if (worker.retiring || worker.busy || worker.load() >= places(wish)) return false;
  if (!wish.refresh) return true;
  bool shares = wish.awake && worker.id == wish.affinity;
  return worker.refreshes < settings_.refreshes_per_worker * (shares ? 4 : 1);
}

// The best fitting worker with room, the emptiest among equals.
Placement::Worker* Placement::choose(const Wish& wish, bool avoided_too, Fit worst) {
  Worker* best = nullptr;
  Fit best_fit = Fit::kNone;
  for (Worker& worker : workers_) {
    if (!has_room(worker, wish)) continue;
    if (worker.id == wish.avoid && !avoided_too) continue;
    Fit fits = fit(worker, wish);
    if (fits == Fit::kNone || fits > worst) continue;
    bool has_user = worker.id == wish.affinity;
    if (best == nullptr || fits < best_fit ||
        (fits == best_fit && best->id != wish.affinity &&
         (has_user || worker.load() < best->load()))) {
      best = &worker;
      best_fit = fits;
    }
  }
  return best;
}

Placed Placement::take(Worker& worker, const Wish& wish) {
  ++worker.sessions;
  if (wish.refresh) ++worker.refreshes;
  if (settings_.policy == Policy::kPreferUser && worker.load() == 1) worker.user = wish.user;
  Placed placed;
  placed.kind = Placed::Kind::kPlaced;
  placed.worker = worker.id;
  return placed;
}

void Placement::begin_round() {
  for (Starting& starting : starting_) starting.promised = 0;
}

// Counts on room at a worker that is being started.
bool Placement::promise(const Wish& wish) {
  for (Starting& starting : starting_) {
    if (starting.promised >= places(wish)) continue;
    Worker future;
    future.uid = starting.what.uid;
    future.any_uid = starting.what.switch_identity;
    future.user = starting.what.user;
    Fit fits = fit(future, wish);
    // Another user's worker that is yet to start is no empty one: it is asked for by name.
    if (fits != Fit::kOwn) continue;
    ++starting.promised;
    return true;
  }
  return false;
}

bool Placement::may_start(const Wish& wish, uint64_t now_ms) const {
  size_t workers = workers_.size() + starting_.size();
  if (wish.refresh && workers >= std::max(settings_.refresh_workers_max, 1u) &&
      std::ranges::any_of(workers_, [&](const Worker& worker) {
        return !worker.retiring && worker.load() < places(wish) && fit(worker, wish) <= Fit::kEmpty;
      })) {
    return false;
  }
  return now_ms >= starts_from_ms_ && starting_.size() < kStartsInFlight &&
         workers < std::max(settings_.workers_max, 1u);
}

WorkerStart Placement::begin_start(const Wish& wish, uint64_t now_ms) {
  Starting starting;
  starting.what.request = next_request_++;
  starting.what.switch_identity = settings_.policy == Policy::kShared;
  if (!starting.what.switch_identity) {
    starting.what.uid = wish.uid;
    starting.what.gid = wish.gid;
  }
  if (settings_.policy == Policy::kPerUser || settings_.policy == Policy::kPreferUser) {
    starting.what.user = wish.user;
  }
  starting.since_ms = now_ms;
  starting_.push_back(starting);
  return starting.what;
}

Placed Placement::place(const Wish& wish, uint64_t now_ms) {
  // With prefer-user, sharing another's worker comes after starting one's own.
  if (Worker* worker = choose(wish, false, Fit::kEmpty)) return take(*worker, wish);
  Placed answer;
  if (promise(wish)) {
    answer.kind = Placed::Kind::kStarting;
    return answer;
  }
  if (may_start(wish, now_ms)) {
    answer.kind = Placed::Kind::kStarting;
    answer.start = begin_start(wish, now_ms);
    starting_.back().promised = 1;
    return answer;
  }
  if (Worker* worker = choose(wish, false, Fit::kOther)) return take(*worker, wish);
  if (Worker* worker = choose(wish, true, Fit::kOther)) return take(*worker, wish);
  if (workers_.size() + starting_.size() < settings_.workers_max) return answer;
  // Somebody else's idle worker makes room, the one longest idle; one at a time is on its way out.
  Worker* oldest = nullptr;
  for (Worker& worker : workers_) {
    if (worker.retiring) return answer;
    if (worker.load() != 0 || fit(worker, wish) != Fit::kNone) continue;
    if (oldest == nullptr || worker.idle_since_ms < oldest->idle_since_ms) oldest = &worker;
  }
  if (oldest != nullptr) {
    oldest->retiring = true;
    answer.retire = oldest->id;
  }
  return answer;
}

bool Placement::worker_up(WorkerId id, uint32_t uid, std::string user, uint64_t request,
                          uint64_t now_ms) {
  worker_down(id);
  Worker worker;
  worker.id = id;
  worker.uid = uid;
  worker.any_uid = uid == 0;
  worker.user = std::move(user);
  worker.idle_since_ms = now_ms;
  auto asked = std::ranges::find(starting_, request,
                                 [](const Starting& starting) { return starting.what.request; });
  bool ours = request != 0 && asked != starting_.end();
  if (ours) {
    // Without privileges no worker has another uid than the master's, whatever was asked for; what
    // it was asked for is what it may be used for.
    worker.any_uid = asked->what.switch_identity;
    worker.uid = asked->what.uid;
    worker.user = asked->what.user;
    starting_.erase(asked);
    backoff_ms_ = 0;
  }
  workers_.push_back(std::move(worker));
  return ours;
}

void Placement::worker_down(WorkerId id) {
  std::erase_if(workers_, [id](const Worker& worker) { return worker.id == id; });
}

void Placement::note_idle(Worker& worker, uint64_t now_ms) {
  if (worker.load() == 0) worker.idle_since_ms = now_ms;
}

void Placement::session_ended(WorkerId id, uint64_t now_ms, bool refresh) {
  Worker* worker = find(id);
  if (worker == nullptr || worker->sessions == 0) return;
  --worker->sessions;
  if (refresh && worker->refreshes > 0) --worker->refreshes;
  note_idle(*worker, now_ms);
}

uint32_t Placement::places_permille() const {
  uint64_t taken = 0;
  uint64_t places = std::max(settings_.workers_max, 1u);
  if (settings_.policy == Policy::kShared) {
    places *= std::max(this->places(Wish{}), 1u);
    for (const Worker& worker : workers_) taken += worker.load();
  } else {
    taken = uint64_t(std::ranges::count_if(workers_, [](auto& w) { return w.load() > 0; }));
  }
  return uint32_t(std::min<uint64_t>(taken * 1000 / places, 1000));
}

void Placement::set_foreign(WorkerId id, uint32_t sessions, uint64_t now_ms) {
  Worker* worker = find(id);
  if (worker == nullptr) return;
  worker->foreign = sessions;
  note_idle(*worker, now_ms);
}

void Placement::set_busy(WorkerId id, bool busy) {
  if (Worker* worker = find(id)) worker->busy = busy;
}

void Placement::start_failed(uint64_t request, uint64_t now_ms) {
  size_t forgotten = std::erase_if(
      starting_, [request](const Starting& starting) { return starting.what.request == request; });
  if (forgotten == 0) return;
  ++starts_failed_;
  backoff_ms_ = std::clamp(backoff_ms_ * 2, kBackoffFirstMs, kBackoffLastMs);
  starts_from_ms_ = std::max(starts_from_ms_, now_ms + backoff_ms_);
}

Placement::Due Placement::tick(uint64_t now_ms) {
  Due due;
  std::vector<uint64_t> late;
  for (const Starting& starting : starting_) {
    if (now_ms >= starting.since_ms + kStartTimeoutMs) late.push_back(starting.what.request);
  }
  for (uint64_t request : late) start_failed(request, now_ms);
  size_t staying = size_t(std::ranges::count(workers_, false, &Worker::retiring));
  for (Worker& worker : workers_) {
    if (staying <= settings_.workers_min) break;
    if (worker.retiring || worker.load() != 0) continue;
    if (now_ms < worker.idle_since_ms + settings_.worker_idle_ms) continue;
    worker.retiring = true;
    due.retire.push_back(worker.id);
    --staying;
  }
  if (settings_.policy != Policy::kShared) return due;
  while (staying + starting_.size() < settings_.workers_min && may_start(Wish{}, now_ms)) {
    due.start.push_back(begin_start(Wish{}, now_ms));
  }
  return due;
}

}  // namespace dormouse::tracker
