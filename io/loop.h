#pragma once
// Loop: one io_uring, one thread, the coroutines that run on it. Every await of an operation below
// answers a Result; a negative completion becomes an Error with the text given by `what`.
//
// Lifetimes: buffers and paths handed to an operation belong to the caller and must live until the
// await returns (they do, when they are locals of the awaiting coroutine). A Loop outlives its
// Scopes.

#include <liburing.h>
#include <sys/stat.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "io/ring_setup.h"
#include "io/scope.h"
#include "io/task.h"
#include "io/timer.h"

namespace dormouse::io {

// What a completion's user_data points at, unless its lowest bit is set: those belong to the
// SocketTable (socket_table.h).
class Completion {
 public:
  virtual void complete(int32_t result, uint32_t flags) = 0;

 protected:
  virtual ~Completion() = default;
};

class TaggedCompletions {
 public:
  virtual void complete_tagged(uint64_t user_data, int32_t result, uint32_t flags) = 0;

 protected:
  virtual ~TaggedCompletions() = default;
};

struct LoopOptions {
  // Submission slots. 256 is enough for one turn's batch; a full queue is submitted early.
  uint32_t entries = 256;
  RingUse use = RingUse::kAnything;
};

class RingOp;
class OpenOp;
class SleepOp;

class Loop {
 public:
  // A private ring. Fails with kUnsupported and the name of what is missing (see probe.h).
  static Result<std::unique_ptr<Loop>> create(const LoopOptions& options = {});
  // A ring that another process made and may outlive us (ring_setup.h). Entries that a former
  // owner left in the submission queue are discarded, its completions dropped, also those that the
  // kernel posts later, when it gets round to cancelling what the dead process waited for: they
  // bear another `incarnation` (different for every process that uses this ring; 16 bits count).
  // What had completed when the former owner died is kept for its SocketTable: take_former().
  static Result<std::unique_ptr<Loop>> adopt(Fd ring, const io_uring_params& params,
                                             uint32_t incarnation);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs `task` under the root scope, and whatever it spawns, until it returns; then cancels and
  // joins what is left in the root scope.
  int run(Task<int> task);
  Scope& root() { return *root_; }
  // For a loop that another loop drives, which polls this one's ring for POLLIN: submits what is
  // queued and handles what has completed, without waiting. Not from inside a completion.
  void turn();

  // What is ready runs in the order in which it became so, which makes a long turn where hundreds
  // of coroutines have each a millisecond of work. From now on a turn looks for new completions
  // each time that `ms` have gone by, and runs what is urgent (Scope::set_urgency) of them at once;
  // in between at least one other runs, so that nobody starves. 0 (at first): not before the turn
  // ends.
  void look_between(uint64_t ms) { look_ms_ = ms; }

  // From now on `told` hears how much of a CPU this thread took, in permille, of each 200 ms
  // or more: after the first turn that ends later, so a loop that sleeps is not woken for it.
  void tell_busy(std::function<void(unsigned permille)> told);

  uint64_t now_ms() const { return now_ms_; }  // CLOCK_MONOTONIC, taken once per turn

  RingOp poll(int fd, uint32_t events);                         // answers the events that are ready
  RingOp accept(int fd, sockaddr* address, socklen_t* length);  // answers a descriptor
  RingOp connect(int fd, const sockaddr* address, socklen_t length);
  RingOp recv(int fd, std::span<std::byte> buffer, int flags = 0);       // 0 bytes: end of file
  RingOp send(int fd, std::span<const std::byte> bytes, int flags = 0);  // may be short
  RingOp read(int fd, std::span<std::byte> buffer, uint64_t offset);
  RingOp write(int fd, std::span<const std::byte> bytes, uint64_t offset);
  OpenOp open(const char* path, int flags, mode_t mode = 0600);
  RingOp fsync(int fd, bool data_only = false);
  RingOp rename(const char* from, const char* to);
  RingOp unlink(const char* path);
  RingOp link(const char* from, const char* to);
  RingOp mkdir(const char* path, mode_t mode);
  RingOp statx(const char* path, uint32_t mask, struct statx* out);
  SleepOp sleep(uint64_t ms);
  SleepOp yield();  // lets everything else that is ready run first

  // Whether the kernel counts a loop that waits as waiting for a disk (before Linux 6.15).
  bool sleeps_as_iowait() const;

  // Registers the calling thread's present credentials; the id goes into ResumeHook::personality.
  Result<uint16_t> register_personality();
  void unregister_personality(uint16_t id);

  // Makes the coroutine run on the next turn, under the scope's hook.
  void ready(std::coroutine_handle<> handle, Scope* scope);

  // --- for io/ itself ---
  io_uring_sqe* next_sqe();  // never null: submits when the queue is full
  void cancel(uint64_t user_data);
  uint64_t user_data_of(Completion* completion) const {
    return reinterpret_cast<uint64_t>(completion) | stamp_;
  }
  void set_tagged(TaggedCompletions* tagged) { tagged_ = tagged; }
  // Completions of a SocketTable that a former owner of the ring has not handled, oldest first.
  struct Former {
    uint64_t user_data = 0;
    int32_t result = 0;
  };
  std::vector<Former> take_former() { return std::exchange(former_, {}); }
  void submit() { io_uring_submit(&ring_); }  // what is queued, now instead of with the next turn
  int ring_fd() const { return ring_.ring_fd; }
  io_uring* ring() { return &ring_; }
  void add_timer(uint64_t due_ms, Timer* timer) { timers_.emplace(due_ms, timer); }
  void remove_timer(uint64_t due_ms, Timer* timer) { timers_.erase({due_ms, timer}); }

 private:
  Loop() = default;
  using Runnable = std::pair<std::coroutine_handle<>, Scope*>;
  void run_ready();
  void run_urgent();
  void run_all_now();
  void run_one_soon();
  bool urgent_ready() const { return !urgent_.empty() || !soon_.empty(); }
  void look();
  void resume(const Runnable& runnable);
  void run_timers();
  void wait();
  void note_busy();
  int submit_and_sleep(uint64_t wait_ms);
  uint32_t reap();
  void keep_former();
  void switch_hook(ResumeHook* hook);

  io_uring ring_{};
  Fd adopted_;
  std::unique_ptr<Scope> root_;
  std::vector<Runnable> ready_;
  std::vector<Runnable> running_;
  std::vector<Runnable> urgent_;  // ready, Urgency::kNow
  std::vector<Runnable> running_urgent_;
  std::deque<Runnable> soon_;  // ready, Urgency::kSoon
  // Of urgent coroutines' steps in a row; then another runs, so that they cannot starve the others.
  static constexpr unsigned kUrgentRoundsMax = 16;
  uint64_t look_ms_ = 0;
  std::function<void(unsigned)> told_busy_;
  uint64_t busy_since_ms_ = 0;
  uint64_t cpu_us_ = 0;  // that the thread had taken then
  std::set<std::pair<uint64_t, Timer*>> timers_;
  TaggedCompletions* tagged_ = nullptr;
  std::vector<Former> former_;
  ResumeHook* hook_ = nullptr;
  uint64_t now_ms_ = 0;
  uint64_t stamp_ = 0;  // of the incarnation, in the 16 bits that no user-space address has
};

// One submission. Await it once.
class RingOp : public Completion, public detail::Pending {
 public:
  RingOp(Loop& loop, const io_uring_sqe& sqe, const char* what)
      : loop_(loop), sqe_(sqe), what_(what) {}

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) {
    return start(handle, handle.promise().scope);
  }
  Result<uint32_t> await_resume();

  void complete(int32_t result, uint32_t flags) override;
  void cancel() override;

 protected:
  bool start(std::coroutine_handle<> handle, Scope* scope);

  Loop& loop_;
  io_uring_sqe sqe_;
  const char* what_;
  std::coroutine_handle<> handle_;
  Scope* scope_ = nullptr;
  int32_t result_ = 0;
};

// Like RingOp, answering an owned descriptor.
class OpenOp : public RingOp {
 public:
  OpenOp(Loop& loop, const io_uring_sqe& sqe, const char* path)
      : RingOp(loop, sqe, "open"), path_(path) {}
  Result<Fd> await_resume();

 private:
  const char* path_;
};

// Waits for a time, or (0 ms) for the next turn. Answers kCancelled when its scope is cancelled.
class SleepOp : public Timer, public detail::Pending {
 public:
  SleepOp(Loop& loop, uint64_t ms) : loop_(loop), ms_(ms) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) {
    return start(handle, handle.promise().scope);
  }
  Result<> await_resume();
  void expire() override;
  void cancel() override;

 private:
  bool start(std::coroutine_handle<> handle, Scope* scope);
  void finish();

  Loop& loop_;
  uint64_t ms_;
  uint64_t due_ms_ = 0;
  std::coroutine_handle<> handle_;
  Scope* scope_ = nullptr;
  bool armed_ = false;
  bool cancelled_ = false;
};

// A flag that coroutines wait for. set() wakes all present waiters and stays set until cleared.
class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set();
  void clear() { set_ = false; }
  bool is_set() const { return set_; }

  class WaitOp : public detail::Pending {
   public:
    explicit WaitOp(Event& event) : event_(event) {}
    bool await_ready() const noexcept { return event_.set_; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) {
      return start(handle, handle.promise().scope);
    }
    Result<> await_resume();
    void cancel() override;

   private:
    friend class Event;
    bool start(std::coroutine_handle<> handle, Scope* scope);
    Event& event_;
    std::coroutine_handle<> handle_;
    Scope* scope_ = nullptr;
    WaitOp* next_ = nullptr;
    bool cancelled_ = false;
  };
  // Answers when set (at once if it is), or kCancelled.
  WaitOp wait() { return WaitOp(*this); }

 private:
  Loop& loop_;
  WaitOp* waiters_ = nullptr;
  bool set_ = false;
};

}  // namespace dormouse::io
