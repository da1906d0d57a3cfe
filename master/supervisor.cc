#include "master/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "role/log.h"
#include "role/process.h"
#include "wire/link.h"

namespace dormouse::master {

std::string seat_name(const Seat& seat) {
  return fmt::format("{}[{}]", role::role_name(seat.role), seat.index);
}

Supervisor::Supervisor(io::Loop& loop, Settings& settings, Resources& resources,
                       SupervisorEvents& events, Options options)
    : loop_(loop),
      settings_(settings),
      resources_(resources),
      events_(events),
      options_(std::move(options)) {}

Supervisor::~Supervisor() = default;

Seat& Supervisor::add_seat(wire::Role role, uint32_t index, Account account) {
  auto seat = std::make_unique<Seat>();
  seat->role = role;
  seat->index = index;
  seat->account = account;
  seats_.push_back(std::move(seat));
  return *seats_.back();
}

void Supervisor::start() {
  add_seat(wire::WATCH, 0, settings_.watch_user);
  add_seat(wire::TRACKER, 0, settings_.tracker_user);
  add_seat(wire::AUTH, 0, settings_.auth_user);
  for (uint32_t i = 0; i < settings_.wire.den().shards(); ++i) {
    add_seat(wire::DEN, i, settings_.den_user);
  }
  for (uint32_t i = 0; i < settings_.wire.login().processes(); ++i) {
    add_seat(wire::LOGIN, i, settings_.login_user);
  }
  for (auto& seat : seats_) loop_.root().spawn(tend(seat.get()));
}

// The lives of one seat's processes, one after the other.
io::Task<void> Supervisor::tend(Seat* seat) {
  while (true) {
    if (auto begun = begin(*seat); !begun) {
      after_end(*seat, "not started: " + begun.error().message);
    } else {
      co_await live(seat);
    }
    if (stopping_ || seat->role == wire::WORKER) break;
    if (loop_.root().cancelled()) break;
    if (seat->quick_deaths > 1) {
      uint64_t wait_ms = kBackOffFirstMs << std::min(seat->quick_deaths - 2, 20U);
      auto slept = co_await loop_.sleep(std::min(wait_ms, kBackOffLastMs));
      if (!slept || stopping_) break;
    }
  }
  seat->ended = true;  // last: from here on the seat may be forgotten
}

// A ring cannot be sent (control.proto): it is there from the start.
int Supervisor::inherited_by(const Seat& seat) const {
  return seat.role == wire::DEN ? resources_.shards.at(seat.index).ring.get() : -1;
}

Result<> Supervisor::begin(Seat& seat) {
  seat.ready = false;
  seat.drained = false;
  seat.started_ms = loop_.now_ms();
  auto ends = io::Channel::pair();
  if (!ends) return std::unexpected(ends.error());
  auto child = start_child(options_.executable, std::string(role::role_name(seat.role)), seat.index,
                           ends->second, inherited_by(seat));
  if (!child) return std::unexpected(child.error());
  seat.child = std::move(*child);
  seat.control = std::move(ends->first);
  ++seat.life;
  return {};
}

// From the introduction to the end of one process.
io::Task<void> Supervisor::live(Seat* seat) {
  {
    io::Scope* here = co_await io::current_scope();
    io::Scope scope(loop_, here);
    seat->outbox = std::make_unique<wire::Outbox>(loop_, seat->control, kOutboxMessagesMax);
    scope.spawn(seat->outbox->run());
    scope.spawn(expect_ready(seat, seat->life));
    if (auto introduced = introduce(*seat); !introduced) {
      role::log_error("role-not-introduced",
                      {{"role", seat_name(*seat)}, {"reason", introduced.error().message}});
      seat->last_end = introduced.error().message;
      send_signal(seat->child, SIGKILL);
    }
    scope.spawn(notice_end(seat, &scope));
    co_await scope.run(receive_all(seat));
    scope.cancel();
    co_await scope.join();
    take_last_words(*seat);
    seat->outbox.reset();
  }
  // It is dead, or must be since it closed its channel. One that is drained ends by itself.
  if (!seat->drained) send_signal(seat->child, SIGKILL);
  seat->control.close();
  auto how = co_await io::shielded(kBackOffLastMs, wait_for_end(loop_, seat->child));
  if (!how) {
    send_signal(seat->child, SIGKILL);
    how = co_await io::shielded(kBackOffLastMs, wait_for_end(loop_, seat->child));
  }
  after_end(*seat, how ? *how : how.error().message);
}

// The channel alone does not tell: the requests that a den left in its shard's ring outlive it, and
// those that poll its channels keep them open.
io::Task<void> Supervisor::notice_end(Seat* seat, io::Scope* life) {
  auto ended = co_await loop_.poll(seat->child.pidfd.get(), POLLIN);
  if (ended) life->cancel();
}

// What a process said before it ended, and we had not read yet.
void Supervisor::take_last_words(Seat& seat) {
  while (true) {
    auto received = wire::try_receive<wire::RoleToMaster>(seat.control);
    if (!received || !handle(seat, received->message, received->fd_count)) return;
  }
}

Result<> Supervisor::introduce(Seat& seat) {
  wire::MasterToRole message;
  auto* start = message.mutable_start();
  start->set_role(seat.role);
  start->set_index(seat.index);
  *start->mutable_settings() = settings_.wire;
  start->set_privileged(resources_.privileged);
  start->set_server_name(settings_.server_name);
  start->set_uid(seat.account.uid);
  start->set_gid(seat.account.gid);
  start->set_switch_identity(seat.switch_identity && resources_.privileged);
  if (seat.role == wire::LOGIN) start->set_secret(resources_.ticket_key.text());
  if (seat.role == wire::WATCH) start->set_secret(resources_.notice_key.text());
  if (seat.role == wire::TRACKER) start->set_secret(resources_.cookie_key.text());
  if (seat.role == wire::WORKER) start->set_clean_boots(resources_.clean_boots);
  start->set_restarted(seat.life > 1);
  if (resources_.privileged) start->set_root_directory(resources_.empty_directory);
  push(seat, message);
  auto all = resources_for(resources_, settings_, seat.role, seat.index);
  if (!all) return std::unexpected(all.error());
  for (Introduction& one : *all) push(seat, one.message, std::move(one.fd));
  message.mutable_go();
  push(seat, message);
  return {};
}

void Supervisor::push(Seat& seat, const wire::MasterToRole& message, io::Fd fd) {
  if (!seat.outbox || seat.outbox->push(message, std::move(fd))) return;
  role::log_error(
      "role-not-told",
      {{"role", seat_name(seat)}, {"pid", seat.child.pid}, {"waiting", seat.outbox->size()}});
  send_signal(seat.child, SIGKILL);
}

io::Task<void> Supervisor::expect_ready(Seat* seat, uint64_t life) {
  auto slept = co_await loop_.sleep(kReadyMsMax);
  if (!slept || seat->ready || seat->life != life) co_return;
  role::log_error("role-not-ready-in-time", {{"role", seat_name(*seat)}, {"ms", kReadyMsMax}});
  send_signal(seat->child, SIGKILL);
}

io::Task<void> Supervisor::receive_all(Seat* seat) {
  while (true) {
    auto received = co_await wire::receive<wire::RoleToMaster>(loop_, seat->control);
    if (!received) {
      if (received.error().kind == ErrorKind::kInvalid) {
        role::log_error("role-talks-nonsense",
                        {{"role", seat_name(*seat)}, {"reason", received.error().message}});
      }
      co_return;
    }
    auto handled = handle(*seat, received->message, received->fd_count);
    if (!handled) {
      role::log_error("role-out-of-turn",
                      {{"role", seat_name(*seat)}, {"reason", handled.error().message}});
      co_return;
    }
    if (seat->drained) co_return;
  }
}

Result<> Supervisor::handle(Seat& seat, const wire::RoleToMaster& message, size_t fd_count) {
  if (fd_count != 0) return fail(ErrorKind::kInvalid, "a role sends no descriptors");
  switch (message.kind_case()) {
    case wire::RoleToMaster::kReady:
      if (seat.ready) return fail(ErrorKind::kInvalid, "ready twice");
      became_ready(seat);
      return {};
    case wire::RoleToMaster::kViewText:
      take_view(seat, message.view_text());
      return {};
    case wire::RoleToMaster::kStartWorker:
      if (seat.role != wire::TRACKER || !seat.ready) {
        return fail(ErrorKind::kDenied, "only a ready tracker starts workers");
      }
      start_worker(seat, message.start_worker());
      return {};
    case wire::RoleToMaster::kStrain:
      if (seat.role != wire::TRACKER) {
        return fail(ErrorKind::kDenied, "only the tracker knows the queue");
      }
      events_.strain(message.strain());
      return {};
    case wire::RoleToMaster::kDrained:
      seat.drained = true;
      return {};
    default:
      // A later release's role may say more than we know.
      return {};
  }
}

void Supervisor::became_ready(Seat& seat) {
  seat.ready = true;
  if (seat.role == wire::LOGIN) resources_.steering.set_ready(seat.index, true);
  role::log_info("role-ready", {{"role", seat_name(seat)},
                                {"pid", seat.child.pid},
                                {"ms", loop_.now_ms() - seat.started_ms}});
  if (pressure_.pressure().level() != 0) push(seat, pressure_);
  link_all(seat);
  record_in(seat);
  if (was_ready_) return;
  was_ready_ = std::ranges::all_of(
      seats_, [](const auto& s) { return s->ready || s->role == wire::WORKER; });
  if (was_ready_) events_.all_ready();
}

void Supervisor::after_end(Seat& seat, const std::string& how) {
  bool was_ready = seat.ready;
  uint64_t lived_ms = loop_.now_ms() - seat.started_ms;
  seat.ready = false;
  if (seat.role == wire::LOGIN) resources_.steering.set_ready(seat.index, false);
  seat.child = {};
  seat.last_end = how;
  seat.quick_deaths = lived_ms >= kLongLifeMs ? 1 : seat.quick_deaths + 1;
  bool wanted = stopping_ || seat.drained;
  role::log(wanted ? role::LogLevel::kInfo : role::LogLevel::kError, "role-ended",
            {{"role", seat_name(seat)}, {"how", how}, {"lived_ms", lived_ms}});
  if (seat.role == wire::WORKER) {
    if (!was_ready) worker_failed(seat.tracker_life, seat.request, how);
  } else if (!was_ready && !was_ready_ && !stopping_) {
    stopping_ = true;  // trying again would only say the same again
    events_.cannot_start(fmt::format("{}: {}", seat_name(seat), how));
  }
}

void Supervisor::tell_pressure(tuning::Pressure level, const std::string& text) {
  pressure_.mutable_pressure()->set_level(uint32_t(level));
  pressure_.mutable_pressure()->set_text(text);
  for (auto& seat : seats_) {
    if (seat->ready) push(*seat, pressure_);
  }
}

Result<> Supervisor::reload() {
  // Everything is in hand before the first role hears of it.
  std::vector<std::pair<Seat*, std::vector<Introduction>>> changes;
  for (auto& seat : seats_) {
    if (!seat->outbox) continue;
    auto changed = reloaded_resources_for(resources_, settings_, seat->role);
    if (!changed) return std::unexpected(changed.error());
    changes.emplace_back(seat.get(), std::move(*changed));
  }
  for (auto& [seat, changed] : changes) {
    for (Introduction& one : changed) push(*seat, one.message, std::move(one.fd));
    wire::MasterToRole message;
    *message.mutable_reload()->mutable_settings() = settings_.wire;
    push(*seat, message);
  }
  return {};
}

}  // namespace dormouse::master
