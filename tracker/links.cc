// The life of a link: made by the master, read until its channel or its manners end.

#include <fmt/format.h>

#include "role/log.h"
#include "tracker/tracker.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::tracker {
namespace {

template <class T>
Result<T> checked(const io::Message& raw) {
  T message;
  if (auto parsed = wire::parse(raw.bytes, message); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (auto valid = wire::validate(message, raw.fd_count); !valid) {
    return std::unexpected(valid.error());
  }
  return message;
}

}  // namespace

template <class P>
P* Tracker::add(std::unordered_map<uint64_t, P*>& peers, role::Link link) {
  for (auto& [serial, peer] : peers) {
    if (peer->link.index == link.index) peer->end("replaced by a new link");
  }
  auto peer = std::make_unique<P>(loop_, &scope_, std::move(link), next_serial_++);
  P* added = peer.get();
  peers[added->serial] = added;
  scope_.spawn(serve(std::move(peer)));
  return added;
}

void Tracker::link(role::Link link) {
  switch (link.peer) {
    case wire::DEN: {
      auto slot = slots_.take();
      if (!slot) {
        role::log_error("den_refused", {{"den", link.index}, {"reason", "no census slot is free"}});
        return;
      }
      add(dens_, std::move(link))->slot = *slot;
      return;
    }
    case wire::AUTH: {
      AuthPeer* auth = add(auths_, std::move(link));
      for (auto& [request, lookup] : lookups_) {
        if (lookup.auth == 0 && !auth->ending()) ask(request, lookup);
      }
      return;
    }
    case wire::WORKER: {
      uint64_t request = link.request;
      WorkerId id = link.index;
      uint32_t uid = link.uid;
      std::string user = link.user;
      role::log_info("worker_up", {{"worker", id}, {"pid", link.pid}, {"uid", uid}});
      WorkerPeer* worker = add(workers_, std::move(link));
      worker->started_by_us =
          placement_.worker_up(id, uid, std::move(user), request, loop_.now_ms());
      pump_wanted_ = true;
      pump();
      return;
    }
    default:
      role::log_warning("link_ignored", {{"peer", role::role_name(link.peer)}});
  }
}

io::Task<void> Tracker::serve(std::unique_ptr<Peer> peer) {
  peer->scope.spawn(peer->outbox.run());
  std::string reason = co_await peer->scope.run(read_all(peer.get()));
  peer->end(std::move(reason));
  co_await peer->scope.join();
  lost(*peer);
}

io::Task<std::string> Tracker::read_all(Peer* peer) {
  for (uint32_t messages = 1;; ++messages) {
    if (peer->outbox.crowded()) {
      auto room = co_await peer->outbox.wait_for_room();
      if (!room) co_return room.error().message;
    }
    auto raw = co_await peer->link.channel.receive(loop_);
    if (!raw) co_return raw.error().message;
    if (auto taken = take(*peer, std::move(*raw)); !taken) co_return taken.error().message;
    if (messages % kTurnMessages == 0) {
      if (auto next = co_await loop_.yield(); !next) co_return next.error().message;
    }
  }
}

Result<> Tracker::take(Peer& peer, io::Message raw) {
  if (auto* den = dynamic_cast<DenPeer*>(&peer)) {
    auto message = checked<wire::DenToTracker>(raw);
    if (!message) return std::unexpected(message.error());
    den_message(*den, *message, std::move(raw.fds[0]));
  } else if (auto* worker = dynamic_cast<WorkerPeer*>(&peer)) {
    auto message = checked<wire::WorkerToTracker>(raw);
    if (!message) return std::unexpected(message.error());
    worker_message(*worker, *message);
  } else if (auto* auth = dynamic_cast<AuthPeer*>(&peer)) {
    auto message = checked<wire::AuthToTracker>(raw);
    if (!message) return std::unexpected(message.error());
    auth_message(*auth, *message);
  }
  pump();
  return {};
}

void Tracker::lost(Peer& peer) {
  if (scope_.cancelled()) return;
  ++counters_.links_ended;
  role::log_info("link_ended", {{"peer", role::role_name(peer.link.peer)},
                                {"index", peer.link.index},
                                {"reason", peer.reason()}});
  if (auto* den = dynamic_cast<DenPeer*>(&peer)) {
    dens_.erase(peer.serial);
    den_lost(*den);
  } else if (auto* worker = dynamic_cast<WorkerPeer*>(&peer)) {
    workers_.erase(peer.serial);
    worker_lost(*worker);
  } else {
    auths_.erase(peer.serial);
    for (auto& [request, lookup] : lookups_) {
      if (lookup.auth == peer.serial) ask(request, lookup);
    }
  }
  pump();
}

// The sessions stay counted until a new census says what became of them, or the grace is over.
void Tracker::den_lost(DenPeer& den) {
  stale_.push_back({den.link.index, den.slot, loop_.now_ms() + kDenGraceMs});
  for (auto& entry : waiting_.take_if([&](const Waiting& w) { return w.den == den.serial; })) {
    drop(std::move(entry));
  }
  // The successor's census may have come before the end of this link was noticed.
  for (auto& [serial, other] : dens_) {
    if (other->link.index == den.link.index && other->census_seen) slots_.kill(den.slot);
  }
}

void Tracker::worker_lost(WorkerPeer& worker) {
  bool replaced = false;
  for (auto& [serial, other] : workers_) replaced |= other->id() == worker.id();
  if (!replaced) placement_.worker_down(worker.id());
  probe_.forget(worker.id());
  for (auto& [session, awake] : worker.sessions) {
    UserTable::User& user = users_.at(awake.user);
    user.awake -= awake.times;
    if (user.awake == 0) --users_awake_;
    users_.remove_if_unused(awake.user);
  }
  pump_wanted_ = true;
}

void Tracker::auth_message(AuthPeer& auth, const wire::AuthToTracker& message) {
  if (message.has_grant()) {
    const auto& grant = message.grant();
    grants_.put(grant.grant(), Grant{grant.identity(), grant.limits()}, loop_.now_ms());
    ++counters_.grants;
    wire::TrackerToAuth answer;
    answer.mutable_grant_stored()->set_request(grant.request());
    auth.send(answer);
  } else if (message.has_looked_up()) {
    looked_up(message.looked_up());
  } else if (message.has_revoke()) {
    kick(message.revoke().user(), message.revoke().text());
  }
}

void Tracker::worker_message(WorkerPeer& worker, const wire::WorkerToTracker& message) {
  if (message.has_ended()) {
    worker_ended(worker, message.ended().session());
    return;
  }
  if (message.has_probed()) {
    probe_.answered(worker.id(), message.probed().number(), loop_.now_ms());
    return;
  }
  const auto& load = message.load();
  worker.memory_bytes = load.memory_bytes();
  worker.late_ms = load.late_ms();
  // The first load of a worker that served before our time tells how many sessions we do not know.
  uint32_t known = uint32_t(worker.sessions.size());
  uint32_t unknown = load.sessions() > known ? load.sessions() - known : 0;
  uint32_t foreign = worker.load_seen ? std::min(worker.foreign, load.sessions()) : unknown;
  if (worker.started_by_us) foreign = 0;
  worker.load_seen = true;
  if (foreign == worker.foreign) return;
  worker.foreign = foreign;
  placement_.set_foreign(worker.id(), foreign, loop_.now_ms());
  pump_wanted_ = true;
}

void Tracker::worker_ended(WorkerPeer& worker, uint64_t session) {
  pump_wanted_ = true;
  auto found = worker.sessions.find(session);
  if (found == worker.sessions.end()) {
    ++counters_.ended_unknown;
    if (worker.foreign == 0) return;
    placement_.set_foreign(worker.id(), --worker.foreign, loop_.now_ms());
    return;
  }
  UserId id = found->second.user;
  // Where a refresh and the wake that followed it overlap, the refresh came first.
  bool refresh = found->second.refreshes > 0;
  if (refresh) --found->second.refreshes;
  if (--found->second.times == 0) worker.sessions.erase(found);
  placement_.session_ended(worker.id(), loop_.now_ms(), refresh);
  UserTable::User& user = users_.at(id);
  if (--user.awake == 0) --users_awake_;
  users_.remove_if_unused(id);
}

}  // namespace dormouse::tracker
