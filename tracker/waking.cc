// Sessions on their way to a worker: the queue, who they are, the workers that are started for
// them.

#include <poll.h>

#include <algorithm>
#include <utility>

#include "role/log.h"
#include "tracker/tracker.h"

namespace dormouse::tracker {
namespace {

// The den has given the session up (its client left): nobody needs to be woken for it.
bool hung_up(const io::Fd& relay) {
  pollfd state{.fd = relay.get(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

bool is_refresh(const Waiting& entry) { return entry.rank >= Rank::kRefresh; }

}  // namespace

WorkerPeer* Tracker::worker(WorkerId id) {
  for (auto& [serial, peer] : workers_) {
    if (peer->id() == id && !peer->ending()) return peer;
  }
  return nullptr;
}

// Those who wait already had no place when they were asked last. So a new one may have one at once,
// unless places have come free since (pump() then asks in order).
void Tracker::enqueue(Waiting entry) {
  note_arrival(entry.rank);
  entry.since_ms = loop_.now_ms();
  entry.deadline_ms = entry.since_ms + kWaitMs;
  ++users_.at(entry.user).waiting;
  if (!pump_wanted_ && offer(entry) == WakeQueue::Verdict::kTaken) return;
  auto gave_way = waiting_.push(std::move(entry));
  stir_.set();
  if (gave_way) refuse(std::move(*gave_way), Refusal::kQueueFull);
}

void Tracker::pump() {
  if (!pump_wanted_) return;
  pump_wanted_ = false;
  if (waiting_.size() == 0) return;
  placement_.begin_round();
  full_.clear();
  in_round_ = true;
  waiting_.offer([this](Waiting& entry) { return offer(entry); });
  in_round_ = false;
}

WakeQueue::Verdict Tracker::offer(Waiting& entry) {
  UserTable::User& user = users_.at(entry.user);
  if (!user.known()) {
    look_up(entry.user);
    return WakeQueue::Verdict::kLater;
  }
  uint64_t key = placement_.settings().policy == Policy::kPerUser ? entry.user : user.uid();
  if (in_round_ && full_.contains(key)) return WakeQueue::Verdict::kLater;
  Wish wish{.user = users_.name(entry.user),
            .uid = user.uid(),
            .gid = user.gid(),
            .affinity = user.worker,
            .awake = user.awake > 0,
            .avoid = entry.avoid,
            .refresh = is_refresh(entry),
            .woken = entry.rank == Rank::kInput};
  Placed placed = placement_.place(wish, loop_.now_ms());
  if (placed.start) ask_for_worker(*placed.start);
  if (placed.retire != kNoWorker) retire(placed.retire);
  if (placed.kind != Placed::Kind::kPlaced) {
    bool full = placed.kind == Placed::Kind::kFull && entry.avoid == kNoWorker;
    // Where any worker serves anybody, and none takes another refresh, none is left to be asked
    // for: with thousands that wait, going through them for each that ends would be all we do.
    if (full && wish.refresh && placement_.settings().policy == Policy::kShared) {
      return WakeQueue::Verdict::kStop;
    }
    if (full) full_.insert(key);
    return WakeQueue::Verdict::kLater;
  }
  WorkerPeer* where = worker(placed.worker);
  if (where == nullptr) {
    // It is ending; it stays out of the way until its link is noted as lost.
    placement_.set_busy(placed.worker, true);
    placement_.session_ended(placed.worker, loop_.now_ms(), wish.refresh);
    pump_wanted_ = true;
    return WakeQueue::Verdict::kLater;
  }
  if (hung_up(entry.relay)) {
    placement_.session_ended(placed.worker, loop_.now_ms(), wish.refresh);
    pump_wanted_ = true;
    drop(std::move(entry));
  } else {
    serve_session(entry, *where);
  }
  return WakeQueue::Verdict::kTaken;
}

void Tracker::serve_session(Waiting& entry, WorkerPeer& worker) {
  UserTable::User& user = users_.at(entry.user);
  wire::TrackerToWorker message;
  auto* serve = message.mutable_serve();
  serve->set_session(entry.session);
  *serve->mutable_identity() = users_.identity(entry.user);
  serve->set_remote_address(entry.remote_address);
  if (!worker.send(message, std::move(entry.relay))) {
    // The relay channel is closed with the message: the den tries again, with attempt + 1.
    placement_.set_busy(worker.id(), true);
    drop(std::move(entry));
    return;
  }
  if (worker.outbox.crowded()) placement_.set_busy(worker.id(), true);
  WorkerPeer::Awake& awake = worker.sessions[entry.session];
  if (awake.times == 0) awake.user = entry.user;
  if (awake.user == entry.user) {
    ++awake.times;
    if (is_refresh(entry)) ++awake.refreshes;
    if (++user.awake == 1) ++users_awake_;
  } else {
    // Two users with one session number: a den's mistake, which must not confuse the counts.
    placement_.session_ended(worker.id(), loop_.now_ms(), is_refresh(entry));
  }
  note_wait(entry);
  user.worker = worker.id();
  recent(entry.session) = Recent{entry.session, worker.id()};
  auto den = dens_.find(entry.den);
  if (!entry.answered && den != dens_.end()) {
    opened(*den->second, entry.request, entry.user, entry.session);
  }
  --user.waiting;
}

void Tracker::note_wait(const Waiting& entry) {
  if (is_refresh(entry)) {
    ++counters_.refreshes_placed;
    return;
  }
  uint64_t waited_ms = loop_.now_ms() - entry.since_ms;
  waited_ms_ = std::max(waited_ms_, waited_ms);
}

// How those fare who wait for a worker: for the server's level of pressure.
void Tracker::tell_strain() {
  uint64_t now_ms = loop_.now_ms();
  uint64_t wait_ms = std::exchange(waited_ms_, 0);
  for (Rank rank : {Rank::kInput, Rank::kOpen}) {
    wait_ms = std::max(wait_ms, now_ms - waiting_.oldest_ms(rank).value_or(now_ms));
  }
  // A session that a worker has waits on there while its loop is behind.
  for (const auto& [serial, worker] : workers_) {
    wait_ms = std::max<uint64_t>(wait_ms, worker->late_ms);
  }
  wire::RoleToMaster::Strain strain;
  strain.set_queue_ms(uint32_t(std::min<uint64_t>(wait_ms, UINT32_MAX)));
  strain.set_places_permille(placement_.places_permille());
  WakeProbe::Report probed = probe_.take(now_ms);
  strain.set_probed(probed.late_ms.has_value());
  strain.set_late_ms(probed.late_ms.value_or(0));
  strain.set_opened(probed.opened);
  bool quiet = strain.queue_ms() == 0 && strain.places_permille() == 0 && !strain.probed();
  if (quiet && std::exchange(told_quiet_, true)) return;
  told_quiet_ = quiet;
  longest_wait_ms_ = std::max(longest_wait_ms_, wait_ms);
  if (tell_strain_) tell_strain_(strain);
}

void Tracker::note_arrival(Rank rank) {
  uint64_t now_ms = loop_.now_ms();
  if (rank == Rank::kOpen) {
    probe_.opened(now_ms);
  } else {
    probe_.woke(now_ms);
  }
  if (probing_ || !probe_.wanted(now_ms)) return;
  probing_ = true;
  scope_.spawn(probe_workers());
}

io::Task<void> Tracker::probe_workers() {
  uint64_t told_ms = loop_.now_ms();
  while (probe_.wanted(loop_.now_ms())) {
    for (auto& [serial, worker] : workers_) {
      wire::TrackerToWorker message;
      uint64_t number = 0;
      if (worker->ending() || !probe_.ask(worker->id(), loop_.now_ms(), &number)) continue;
      message.mutable_probe()->set_number(number);
      worker->send(message);
    }
    if (!co_await loop_.sleep(WakeProbe::kProbeMs)) co_return;
    if (loop_.now_ms() - told_ms < kProbedStrainMs) continue;
    told_ms = loop_.now_ms();
    tell_strain();
  }
  probing_ = false;
}

void Tracker::drop(Waiting entry) {
  --users_.at(entry.user).waiting;
  users_.remove_if_unused(entry.user);
}

// One that was answered already (a new session) is not refused but let go: the den sees its relay
// channel end and attaches.
void Tracker::refuse(Waiting entry, Refusal why) {
  if (!entry.answered) {
    auto den = dens_.find(entry.den);
    refuse(den == dens_.end() ? nullptr : den->second, entry.request, entry.session, why);
  }
  drop(std::move(entry));
}

void Tracker::look_up(UserId id) {
  UserTable::User& user = users_.at(id);
  if (user.lookup_pending) return;
  user.lookup_pending = true;
  ++counters_.lookups;
  uint64_t request = next_lookup_++;
  Lookup& lookup = lookups_[request];
  lookup.user = std::string(users_.name(id));
  ask(request, lookup);
}

// auth processes take turns. Without one the question waits for the next that comes.
void Tracker::ask(uint64_t request, Lookup& lookup) {
  std::vector<AuthPeer*> present;
  for (auto& [serial, auth] : auths_) {
    if (!auth->ending()) present.push_back(auth);
  }
  lookup.deadline_ms = loop_.now_ms() + kLookupMs;
  lookup.auth = 0;
  if (present.empty()) return;
  AuthPeer* auth = present[request % present.size()];
  lookup.auth = auth->serial;
  wire::TrackerToAuth message;
  message.mutable_lookup()->set_request(request);
  message.mutable_lookup()->set_user(lookup.user);
  auth->send(message);
}

void Tracker::looked_up(const wire::AuthToTracker::LookedUp& answer) {
  auto found = lookups_.find(answer.request());
  if (found == lookups_.end()) return;
  UserId id = users_.find(found->second.user);
  std::string name = std::move(found->second.user);
  lookups_.erase(found);
  if (id == kNoUser) return;
  UserTable::User& user = users_.at(id);
  user.lookup_pending = false;
  if (answer.found() && answer.identity().user() == name) {
    users_.set_identity(id, answer.identity());
    pump_wanted_ = true;
    return;
  }
  bool gone = !answer.found() && !answer.temporary_failure();
  role::log_warning("lookup_failed", {{"user", name}, {"gone", gone}});
  for (auto& entry : waiting_.take_if([id](const Waiting& w) { return w.user == id; })) {
    refuse(std::move(entry), gone ? Refusal::kNoSuchUser : Refusal::kLookupFailed);
  }
}

void Tracker::ask_for_worker(const WorkerStart& start) {
  wire::RoleToMaster::StartWorker message;
  message.set_request(start.request);
  message.set_uid(start.uid);
  message.set_gid(start.gid);
  message.set_switch_identity(start.switch_identity);
  message.set_user(start.user);
  start_worker_(message);
}

void Tracker::retire(WorkerId id) {
  role::log_info("worker_retires", {{"worker", id}});
  wire::TrackerToWorker message;
  message.mutable_retire();
  if (WorkerPeer* peer = worker(id)) peer->send(message);
}

void Tracker::worker_failed(uint64_t request, const std::string& reason) {
  role::log_error("worker_start_failed", {{"request", request}, {"reason", reason}});
  placement_.start_failed(request, loop_.now_ms());
  pump_wanted_ = true;
  pump();
}

}  // namespace dormouse::tracker
