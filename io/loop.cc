#include "io/loop.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "io/ring_setup.h"

namespace dormouse::io {
namespace {

// The longest sleep of a turn with nothing due: only bounds how late a clock jump is noticed.
constexpr uint64_t kIdleWaitMs = 60'000;

constexpr uint64_t kBusyWindowMs = 200;

uint64_t clock_us(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return uint64_t(now.tv_sec) * 1'000'000 + uint64_t(now.tv_nsec) / 1'000;
}

uint64_t monotonic_ms() { return clock_us(CLOCK_MONOTONIC) / 1'000; }

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options) {
  auto loop = std::unique_ptr<Loop>(new Loop());
  auto params = private_ring_params(options.use);
  int error = set_up_ring(
      [&] { return io_uring_queue_init_params(options.entries, &loop->ring_, &params); });
  if (error < 0) return fail_errno(-error, "io_uring_setup (is kernel.io_uring_disabled set?)");
  if (auto done = restrict_private_ring(loop->ring_.ring_fd, options.use); !done) {
    return std::unexpected(done.error());
  }
  io_uring_ring_dontfork(&loop->ring_);
  loop->now_ms_ = monotonic_ms();
  loop->root_ = std::make_unique<Scope>(*loop, nullptr);
  return loop;
}

Result<std::unique_ptr<Loop>> Loop::adopt(Fd ring, const io_uring_params& params,
                                          uint32_t incarnation) {
  auto loop = std::unique_ptr<Loop>(new Loop());
  io_uring_params copy = params;
  int error = io_uring_queue_mmap(ring.get(), &copy, &loop->ring_);
  if (error < 0) return fail_errno(-error, "mapping an existing io_uring");
  loop->adopted_ = std::move(ring);
  loop->stamp_ = uint64_t(incarnation & 0xffff) << 48;
  // liburing 2.3 fills these only when it makes the ring itself; without them every entry would be
  // the first one, and timeouts would be built out of IORING_OP_TIMEOUT.
  loop->ring_.flags = params.flags;
  loop->ring_.features = params.features;
  loop->ring_.enter_ring_fd = loop->ring_.ring_fd;
  loop->ring_.sq.ring_mask = *loop->ring_.sq.kring_mask;
  loop->ring_.sq.ring_entries = *loop->ring_.sq.kring_entries;
  loop->ring_.cq.ring_mask = *loop->ring_.cq.kring_mask;
  loop->ring_.cq.ring_entries = *loop->ring_.cq.kring_entries;
  for (unsigned i = 0; i < params.sq_entries; ++i) loop->ring_.sq.array[i] = i;
  // A former owner may have died between writing entries and submitting them: their buffers are
  // gone, so the entries must never be seen. Nobody else submits now, so the tail is ours to move.
  io_uring_sq& sq = loop->ring_.sq;
  unsigned head = __atomic_load_n(sq.khead, __ATOMIC_ACQUIRE);
  __atomic_store_n(sq.ktail, head, __ATOMIC_RELEASE);
  sq.sqe_head = sq.sqe_tail = head;
  // The kernel leaves a dead process's requests armed as long as the ring lives: their polls would
  // hold channels open whose other ends wait for an end of file, and 256 bytes each.
  io_uring_sqe* sqe = loop->next_sqe();
  io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_data64(sqe, 0);
  io_uring_submit(&loop->ring_);
  loop->keep_former();
  loop->now_ms_ = monotonic_ms();
  loop->root_ = std::make_unique<Scope>(*loop, nullptr);
  return loop;
}

// Completions of requests that died with their process, or that it had no time to handle.
void Loop::keep_former() {
  // More than the ring holds overflow into the kernel's list, which fills it again: twice is enough
  // for a den's whole turn, and what comes later is dropped by its incarnation.
  for (int round = 0; round < 2; ++round) {
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++seen;
      if ((cqe->user_data & 1) != 0) former_.push_back(Former{cqe->user_data, cqe->res});
    }
    io_uring_cq_advance(&ring_, seen);
    io_uring_get_events(&ring_);
  }
}

Loop::~Loop() {
  root_.reset();
  if (ring_.ring_fd >= 0 && ring_.sq.sqes != nullptr) {
    io_uring_queue_exit(&ring_);  // closes the descriptor too
    adopted_.release();
  }
}

void Loop::ready(std::coroutine_handle<> handle, Scope* scope) {
  switch (scope == nullptr ? Urgency::kNone : scope->urgency()) {
    case Urgency::kNow:
      urgent_.emplace_back(handle, scope);
      break;
    case Urgency::kSoon:
      soon_.emplace_back(handle, scope);
      break;
    case Urgency::kNone:
      ready_.emplace_back(handle, scope);
      break;
  }
}

void Loop::switch_hook(ResumeHook* hook) {
  if (hook == hook_) return;
  if (hook_ != nullptr) hook_->leave();
  hook_ = hook;
  if (hook_ != nullptr) hook_->enter();
}

void Loop::resume(const Runnable& runnable) {
  switch_hook(runnable.second != nullptr ? runnable.second->hook() : nullptr);
  runnable.first.resume();
}

void Loop::run_ready() {
  run_urgent();
  // Only what was ready at the start of the turn: what these resume runs after the next wait, so
  // no coroutine can starve the ring.
  running_.swap(ready_);
  uint64_t looked_ms = look_ms_ == 0 ? 0 : monotonic_ms();
  for (const Runnable& runnable : running_) {
    resume(runnable);
    if (look_ms_ == 0 || monotonic_ms() < looked_ms + look_ms_) continue;
    look();
    run_urgent();
    looked_ms = monotonic_ms();
  }
  switch_hook(nullptr);
  running_.clear();
}

// What they wait for next is often there at once (a yield, a file's first page): with one step for
// each look, ten steps would take ten other coroutines' time. Of what is to run soon one goes at a
// time, since something more urgent may be there by then.
void Loop::run_urgent() {
  if (look_ms_ == 0) {
    run_all_now();
    for (size_t left = soon_.size(); left > 0; --left) run_one_soon();
    return;
  }
  for (unsigned round = 0; round < kUrgentRoundsMax && urgent_ready(); ++round) {
    if (urgent_.empty()) {
      run_one_soon();
    } else {
      run_all_now();
    }
    look();
  }
}

void Loop::run_all_now() {
  running_urgent_.swap(urgent_);
  for (const Runnable& runnable : running_urgent_) resume(runnable);
  switch_hook(nullptr);
  running_urgent_.clear();
}

void Loop::run_one_soon() {
  Runnable runnable = soon_.front();
  soon_.pop_front();
  resume(runnable);
  switch_hook(nullptr);
}

// Makes ready what has completed or come due meanwhile.
void Loop::look() {
  io_uring_submit_and_get_events(&ring_);
  reap();
  run_timers();
}

void Loop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= now_ms_) {
    Timer* timer = timers_.begin()->second;
    timers_.erase(timers_.begin());
    timer->expire();
  }
}

void Loop::wait() {
  uint64_t wait_ms = kIdleWaitMs;
  if (!timers_.empty()) {
    uint64_t due = timers_.begin()->first;
    wait_ms = due > now_ms_ ? std::min(due - now_ms_, kIdleWaitMs) : 0;
  }
  if (!ready_.empty() || urgent_ready() || wait_ms == 0) {
    io_uring_submit_and_get_events(&ring_);
  } else {
    int error = submit_and_sleep(wait_ms);
    DORMOUSE_CHECK(
        error >= 0 || error == -ETIME || error == -EINTR || error == -EBUSY || error == -EAGAIN,
        "io_uring_enter fails only when busy or interrupted");
  }
  reap();
  if (told_busy_ && now_ms_ >= busy_since_ms_ + kBusyWindowMs) note_busy();
}

void Loop::tell_busy(std::function<void(unsigned permille)> told) {
  told_busy_ = std::move(told);
  busy_since_ms_ = monotonic_ms();
  cpu_us_ = clock_us(CLOCK_THREAD_CPUTIME_ID);
}

// Permille are microseconds of each millisecond.
void Loop::note_busy() {
  uint64_t cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
  auto permille = unsigned((cpu_us - cpu_us_) / (now_ms_ - busy_since_ms_));
  busy_since_ms_ = now_ms_;
  cpu_us_ = cpu_us;
  told_busy_(permille);
}

bool Loop::sleeps_as_iowait() const {
  constexpr unsigned kFeatureNoIowait = 1U << 17;  // IORING_FEAT_NO_IOWAIT
  return (ring_.features & kFeatureNoIowait) == 0;
}

// What io_uring_submit_and_wait_timeout() does, but not as a wait for a disk: the kernel counts one
// with requests under way (a poll is one) as such, so that a server whose sessions all sleep would
// look like one with a dead disk (iowait, PSI io). liburing 2.3 cannot pass the flag.
int Loop::submit_and_sleep(uint64_t wait_ms) {
  constexpr unsigned kEnterNoIowait = 1U << 7;  // IORING_ENTER_NO_IOWAIT
  __kernel_timespec timeout{.tv_sec = int64_t(wait_ms / 1000),
                            .tv_nsec = int64_t(wait_ms % 1000) * 1'000'000};
  if (sleeps_as_iowait()) {
    io_uring_cqe* cqe = nullptr;
    return io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
  }
  if (io_uring_cq_ready(&ring_) != 0) return io_uring_submit(&ring_);
  io_uring_sq& sq = ring_.sq;
  sq.sqe_head = sq.sqe_tail;
  __atomic_store_n(sq.ktail, sq.sqe_tail, __ATOMIC_RELEASE);
  unsigned queued = sq.sqe_tail - __atomic_load_n(sq.khead, __ATOMIC_ACQUIRE);
  io_uring_getevents_arg bounds{};
  bounds.sigmask_sz = _NSIG / 8;
  bounds.ts = reinterpret_cast<uint64_t>(&timeout);
  return io_uring_enter2(unsigned(ring_.ring_fd), queued, 1,
                         IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | kEnterNoIowait,
                         reinterpret_cast<sigset_t*>(&bounds), sizeof bounds);
}

// Handles the completions that are there and answers how many.
uint32_t Loop::reap() {
  now_ms_ = monotonic_ms();
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++seen;
    uint64_t user_data = cqe->user_data;
    int32_t result = cqe->res;
    uint32_t flags = cqe->flags;
    // One by one: what a process leaves in the ring when it dies is what it has not begun to
    // handle. A SocketTable takes its own off the ring, once its owner has noted them
    // (former_send()).
    bool tagged = (user_data & 1) != 0;
    if (tagged && tagged_ != nullptr) {
      tagged_->complete_tagged(user_data, result, flags);
      continue;
    }
    io_uring_cq_advance(&ring_, 1);
    if (user_data == 0 || tagged) continue;
    if (user_data >> 48 == stamp_ >> 48) {
      reinterpret_cast<Completion*>(user_data ^ stamp_)->complete(result, flags);
    }
  }
  return seen;
}

void Loop::turn() {
  // A completion queues what comes next (a receive, then a poll), which may complete at once: a few
  // rounds save the driving loop as many wakes; what is left makes the ring readable again.
  constexpr int kRounds = 4;
  for (int round = 0; round < kRounds; ++round) {
    run_timers();
    run_ready();
    io_uring_submit_and_get_events(&ring_);
    if (reap() == 0 && ready_.empty() && !urgent_ready()) return;
  }
  io_uring_submit(&ring_);
}

namespace {

Task<void> keep_result(Task<int> task, int* result, bool* done) {
  *result = co_await std::move(task);
  *done = true;
}

Task<void> join_root(Scope* root, bool* done) {
  co_await root->join();
  *done = true;
}

}  // namespace

int Loop::run(Task<int> task) {
  int result = 0;
  bool done = false;
  {
    Scope main(*this, root_.get());
    main.spawn(keep_result(std::move(task), &result, &done));
    while (!done || main.running() > 0) {
      run_timers();
      run_ready();
      if (!done || main.running() > 0) wait();
    }
  }
  root_->cancel();
  bool joined = false;
  Scope last(*this, nullptr);
  last.spawn(join_root(root_.get(), &joined));
  while (!joined || last.running() > 0) {
    run_timers();
    run_ready();
    if (!joined || last.running() > 0) wait();
  }
  return result;
}

io_uring_sqe* Loop::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    int submitted = io_uring_submit(&ring_);
    DORMOUSE_CHECK(
        submitted >= 0 || submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR,
        "a full submission queue can be submitted");
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void Loop::cancel(uint64_t user_data) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_cancel64(sqe, user_data, 0);
  io_uring_sqe_set_data64(sqe, 0);
}

Result<uint16_t> Loop::register_personality() {
  int id = io_uring_register_personality(&ring_);
  if (id < 0) return fail_errno(-id, "io_uring_register_personality");
  return uint16_t(id);
}

void Loop::unregister_personality(uint16_t id) { io_uring_unregister_personality(&ring_, id); }

SleepOp Loop::sleep(uint64_t ms) { return SleepOp(*this, ms); }
SleepOp Loop::yield() { return SleepOp(*this, 0); }

}  // namespace dormouse::io
