#include "tracker/tracker.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "role/log.h"

namespace dormouse::tracker {
namespace {

PlacementSettings placement_settings(const wire::Settings::Tracker& settings, uint32_t cpus) {
  PlacementSettings placement;
  placement.policy = parse_policy(settings.policy()).value_or(Policy::kShared);
  placement.workers_max = std::max(settings.max_workers(), 1u);
  placement.workers_min = std::min(settings.min_workers(), placement.workers_max);
  placement.sessions_per_worker = std::max(settings.sessions_per_worker(), 1u);
  placement.worker_idle_ms = settings.worker_idle_ms();
  placement.refresh_workers_max = cpus;
  return placement;
}

// A waiting session holds a descriptor; half of the process's are left for links, and for relay
// channels on their way to workers that have not read them yet.
size_t waiting_bound() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Tracker::kWaitingMax;
  return std::clamp<size_t>(limit.rlim_cur / 2, 1, Tracker::kWaitingMax);
}

}  // namespace

Result<std::unique_ptr<Tracker>> Tracker::create(io::Loop& loop, io::Scope& scope,
                                                 TrackerOptions options) {
  if (!parse_policy(options.settings.policy())) {
    return fail(ErrorKind::kInvalid,
                fmt::format("tracker.policy \"{}\" is unknown", options.settings.policy()));
  }
  auto key = CookieKey::create(options.secret);
  if (!key) return std::unexpected(key.error());
  if (!options.epochs)
    return fail(ErrorKind::kInvalid, "no memory for the users' epochs was given");
  auto epochs = EpochLog::open(std::move(options.epochs));
  if (!epochs) return std::unexpected(epochs.error());
  if (epochs->was_damaged()) {
    role::log_error("epochs_damaged", {{"meaning", "kicks of before are forgotten"}});
  }
  size_t waiting_max = options.waiting_max != 0 ? options.waiting_max : waiting_bound();
  return std::unique_ptr<Tracker>(new Tracker(loop, scope, std::move(options), std::move(*key),
                                              std::move(*epochs), waiting_max));
}

Tracker::Tracker(io::Loop& loop, io::Scope& scope, TrackerOptions options, CookieKey key,
                 EpochLog epochs, size_t waiting_max)
    : loop_(loop),
      scope_(scope),
      settings_(std::move(options.settings)),
      start_worker_(std::move(options.start_worker)),
      tell_strain_(std::move(options.tell_strain)),
      key_(std::move(key)),
      epochs_(std::move(epochs)),
      // Requests of one life of the tracker are above those of all former ones.
      placement_(placement_settings(settings_, cpus_), (loop.now_ms() + 1) << 20),
      waiting_(waiting_max),
      started_ms_(loop.now_ms()),
      stir_(loop) {
  if (options.restarted) placement_.hold_starts(started_ms_ + kAdoptMs);
}

void Tracker::start() { scope_.spawn(tick()); }

void Tracker::reload(const wire::Settings::Tracker& settings) {
  if (!parse_policy(settings.policy())) {
    role::log_error("reload_refused", {{"policy", settings.policy()}});
    return;
  }
  settings_ = settings;
  placement_.configure(placement_settings(settings_, cpus_));
  pump_wanted_ = true;
  pump();
}

void Tracker::kick(const std::string& user, const std::string& text) {
  ++counters_.kicks;
  auto epoch = epochs_.raise(user);
  if (epoch) {
    role::log_info("kick", {{"user", user}, {"epoch", *epoch}});
  } else {
    role::log_error("kick_not_kept", {{"user", user}, {"error", epoch.error().message}});
  }
  wire::TrackerToDen message;
  message.mutable_kick()->set_user(user);
  message.mutable_kick()->set_text(text);
  for (auto& [serial, den] : dens_) den->send(message);
}

io::Task<void> Tracker::tick() {
  while (true) {
    stir_.clear();
    if (waiting_.size() == 0 && lookups_.empty() && told_quiet_) {
      auto stirred = co_await io::wait(&stir_, kQuietTickMs);
      if (!stirred && stirred.error().kind != ErrorKind::kTimeout) co_return;
      if (!stirred) {
        tick_once();
        continue;
      }
    }
    if (!co_await loop_.sleep(kTickMs)) co_return;
    tick_once();
  }
}

void Tracker::tick_once() {
  uint64_t now_ms = loop_.now_ms();
  cookie_logs_ = 0;
  grants_.expire(now_ms);
  for (auto& entry : waiting_.take_if([&](const Waiting& w) { return w.deadline_ms <= now_ms; })) {
    refuse(std::move(entry), Refusal::kWaitedTooLong);
  }
  for (auto lookup = lookups_.begin(); lookup != lookups_.end();) {
    UserId id = users_.find(lookup->second.user);
    bool wanted = id != kNoUser && users_.at(id).waiting > 0;
    if (lookup->second.deadline_ms > now_ms) {
      ++lookup;
    } else if (wanted) {
      ask(lookup->first, lookup->second);
      ++lookup;
    } else {
      if (id != kNoUser) users_.at(id).lookup_pending = false;
      lookup = lookups_.erase(lookup);
    }
  }
  std::erase_if(stale_, [&](const Stale& stale) {
    if (stale.deadline_ms > now_ms) return false;
    slots_.kill(stale.slot);
    return true;
  });
  for (auto& [serial, worker] : workers_) {
    if (!worker->ending() && !worker->outbox.crowded()) placement_.set_busy(worker->id(), false);
  }
  Placement::Due due = placement_.tick(now_ms);
  for (WorkerId id : due.retire) retire(id);
  for (const WorkerStart& start : due.start) ask_for_worker(start);
  if (!sweeping_ && slots_.begin_sweep()) {
    sweeping_ = true;
    scope_.spawn(sweep());
  }
  pump_wanted_ = true;
  pump();
  if (!probing_) tell_strain();
}

// Takes the counts of dead slots out of both tables, a step at a time.
io::Task<void> Tracker::sweep() {
  auto dead = [this](DenCounts::Slot slot) { return slots_.sweeping(slot); };
  for (UserId id = 0; id < users_.id_end(); ++id) {
    if (users_.in_use(id)) {
      users_.at(id).sessions.drop(dead);
      users_.remove_if_unused(id);
    }
    if (id % kSweepStep == kSweepStep - 1 && !co_await loop_.yield()) co_return;
  }
  uint64_t generation = addresses_.generation();
  size_t place = addresses_.sweep(0, kSweepStep, dead);
  while (place != 0) {
    if (!co_await loop_.yield()) co_return;
    // A table that was rebuilt has its places elsewhere: from the beginning.
    if (generation != addresses_.generation()) place = 0;
    generation = addresses_.generation();
    place = addresses_.sweep(place, kSweepStep, dead);
  }
  slots_.end_sweep();
  sweeping_ = false;
}

}  // namespace dormouse::tracker
