// Workers: started when the tracker asks, never started again on their own.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "master/supervisor.h"
#include "role/log.h"

namespace dormouse::master {

Result<> Supervisor::may_start_worker(const wire::RoleToMaster::StartWorker& request) {
  if (stopping_) return fail(ErrorKind::kUnavailable, "the server is stopping");
  if (request.user().size() > 1024) return fail(ErrorKind::kInvalid, "user name too long");
  if (resources_.privileged) {
    if (!request.switch_identity() && (request.uid() == 0 || request.gid() == 0)) {
      return fail(ErrorKind::kDenied, "mail of uid or gid 0 is not served");
    }
    for (const Account& own : {settings_.login_user, settings_.auth_user, settings_.den_user,
                               settings_.tracker_user, settings_.watch_user}) {
      if (!request.switch_identity() && own.uid == request.uid()) {
        return fail(ErrorKind::kDenied, fmt::format("uid {} is a role's own", own.uid));
      }
    }
  }
  auto workers = std::ranges::count_if(
      seats_, [](const auto& seat) { return seat->role == wire::WORKER && !seat->ended; });
  // Twice the tracker's own bound: the retiring ones finish beside their successors.
  if (uint64_t(workers) >= 2 * uint64_t(settings_.wire.tracker().max_workers())) {
    return fail(ErrorKind::kLimit, fmt::format("{} workers run already", workers));
  }
  double earned = double(loop_.now_ms() - worker_tokens_ms_) / 1000 * kWorkerStartsPerSecond;
  worker_tokens_ = std::min(worker_tokens_ + earned, double(kWorkerStartsBurst));
  worker_tokens_ms_ = loop_.now_ms();
  if (worker_tokens_ < 1) return fail(ErrorKind::kLimit, "workers are started too often");
  worker_tokens_ -= 1;
  return {};
}

void Supervisor::start_worker(Seat& tracker, const wire::RoleToMaster::StartWorker& request) {
  forget_ended_workers();
  if (auto allowed = may_start_worker(request); !allowed) {
    role::log_warning(
        "worker-refused",
        {{"uid", request.uid()}, {"user", request.user()}, {"reason", allowed.error().message}});
    worker_failed(tracker.life, request.request(), allowed.error().message);
    return;
  }
  Account account{.uid = request.uid(), .gid = request.gid()};
  // Without privileges every worker is what we are, whatever was asked for.
  if (!resources_.privileged) account = {.uid = geteuid(), .gid = getegid()};
  // One that switches starts from root's uid without root's capabilities (role/sandbox.h).
  if (request.switch_identity()) account.uid = 0;
  Seat& seat = add_seat(wire::WORKER, next_worker_++, account);
  seat.switch_identity = request.switch_identity();
  seat.user = request.user();
  seat.request = request.request();
  seat.tracker_life = tracker.life;
  loop_.root().spawn(tend(&seat));
}

void Supervisor::worker_failed(uint64_t tracker_life, uint64_t request, const std::string& reason) {
  for (auto& seat : seats_) {
    if (seat->role != wire::TRACKER || !seat->ready || seat->life != tracker_life) continue;
    wire::MasterToRole message;
    message.mutable_start_worker_failed()->set_request(request);
    message.mutable_start_worker_failed()->set_reason(reason);
    push(*seat, message);
  }
}

void Supervisor::forget_ended_workers() {
  std::erase_if(seats_, [](const auto& seat) { return seat->role == wire::WORKER && seat->ended; });
}

}  // namespace dormouse::master
