// Who talks to whom.

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "master/supervisor.h"
#include "role/log.h"

namespace dormouse::master {
namespace {

struct Acquaintance {
  wire::Role a;
  wire::Role b;
};

// Every process of the one role knows every process of the other. docs/processes.md has the
// picture.
constexpr std::array kAcquaintances = {
    Acquaintance{wire::LOGIN, wire::AUTH},   Acquaintance{wire::LOGIN, wire::DEN},
    Acquaintance{wire::AUTH, wire::TRACKER}, Acquaintance{wire::DEN, wire::TRACKER},
    Acquaintance{wire::DEN, wire::WATCH},    Acquaintance{wire::TRACKER, wire::WORKER},
    Acquaintance{wire::WATCH, wire::WORKER}};

bool acquainted(wire::Role a, wire::Role b) {
  return std::ranges::any_of(kAcquaintances, [&](const Acquaintance& pair) {
    return (pair.a == a && pair.b == b) || (pair.a == b && pair.b == a);
  });
}

wire::MasterToRole link_to(const Seat& peer, bool answers_request) {
  wire::MasterToRole message;
  auto* link = message.mutable_link();
  link->set_peer(peer.role);
  link->set_index(peer.index);
  link->set_pid(uint32_t(peer.child.pid));
  if (peer.role == wire::WORKER) {
    link->set_uid(peer.account.uid);
    link->set_user(peer.user);
    if (answers_request) link->set_request(peer.request);
  }
  return message;
}

}  // namespace

// Both ends are new whenever either process is.
void Supervisor::link_all(Seat& seat) {
  for (auto& other : seats_) {
    if (other.get() != &seat && other->ready && acquainted(seat.role, other->role)) {
      connect(seat, *other);
    }
  }
}

void Supervisor::connect(Seat& a, Seat& b) {
  auto ends = io::Channel::pair();
  if (!ends) {
    role::log_error("link-not-made",
                    {{"a", seat_name(a)}, {"b", seat_name(b)}, {"reason", ends.error().message}});
    return;
  }
  // A worker answers its request once, to the tracker that made it.
  auto answers = [](const Seat& peer, const Seat& to) {
    return peer.role == wire::WORKER && to.role == wire::TRACKER && peer.request != 0 &&
           peer.tracker_life == to.life;
  };
  push(a, link_to(b, answers(b, a)), ends->second.release());
  push(b, link_to(a, answers(a, b)), ends->first.release());
  if (a.role == wire::WORKER && b.role == wire::TRACKER) a.request = 0;
  if (b.role == wire::WORKER && a.role == wire::TRACKER) b.request = 0;
}

void Supervisor::record(io::Fd listener) {
  trace_listener_ = std::move(listener);
  for (auto& seat : seats_) record_in(*seat);
}

void Supervisor::record_in(Seat& seat) {
  if (seat.role != wire::WORKER || !seat.ready || !trace_listener_) return;
  wire::MasterToRole message;
  message.mutable_link()->set_peer(wire::MASTER);
  push(seat, message, io::Fd(fcntl(trace_listener_.get(), F_DUPFD_CLOEXEC, 0)));
}

}  // namespace dormouse::master
