#pragma once
// Scope: structured concurrency. Tasks spawned into a scope end before it does; cancel() reaches
// every operation awaited under it and under its child scopes, each of which then answers
// ErrorKind::kCancelled. with_timeout() is a scope with a clock.

#include <cstdint>

#include "io/task.h"

namespace dormouse::io {

class Event;
class Loop;

// Called around every resumption of a coroutine that runs under a scope with this hook: a worker
// switches identity, log tag and settings here, not inside the loop. Inherited by child scopes.
class ResumeHook {
 public:
  virtual ~ResumeHook() = default;
  virtual void enter() = 0;
  virtual void leave() = 0;
  // The credentials (IORING_REGISTER_PERSONALITY) for ring operations; 0: those of the process.
  uint16_t personality = 0;
};

namespace detail {

// One thing a coroutine waits for. It stands in its scope's list until it completes.
class Pending {
 public:
  virtual void cancel() = 0;  // asks for an early end; the completion still comes

 protected:
  virtual ~Pending() = default;

 private:
  friend class ::dormouse::io::Scope;
  Pending* next_ = nullptr;
  Pending** prev_next_ = nullptr;
};

}  // namespace detail

// What runs first of all that is ready, and is looked for while others run: see
// Loop::look_between().
enum class Urgency : uint8_t {
  kNone,
  kSoon,  // somebody waits, but nobody asked
  kNow,
};

class Scope {
 public:
  // A child of `parent` (nullptr: a root). Outlived by its loop.
  Scope(Loop& loop, Scope* parent);
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  // All spawned tasks must have ended (join() first): anything else is our bug.
  ~Scope();

  // Starts the task on the next turn of the loop. Its failure is its own business: it returns
  // nothing.
  void spawn(Task<void> task);
  // Ends when all spawned tasks have ended. One caller at a time.
  Task<void> join();
  // Awaits a task under this scope: `co_await scope.run(work())`.
  template <class T>
  typename Task<T>::Awaiter run(Task<T>&& task) {
    return std::move(task).under(this);
  }
  // All pending operations end with kCancelled, all later ones at once. Idempotent.
  void cancel();
  bool cancelled() const { return cancelled_; }
  uint32_t running() const { return running_; }

  // Child scopes made later inherit it.
  void set_urgency(Urgency urgency) { urgency_ = urgency; }
  Urgency urgency() const { return urgency_; }

  void set_hook(ResumeHook* hook) { hook_ = hook; }
  ResumeHook* hook() const { return hook_; }
  Loop& loop() { return loop_; }

  // For operations only.
  void add(detail::Pending* pending);
  static void remove(detail::Pending* pending);

 private:
  friend void detail::child_done(Scope* scope);

  Loop& loop_;
  Scope* parent_;
  ResumeHook* hook_ = nullptr;
  Scope* first_child_ = nullptr;
  Scope* next_sibling_ = nullptr;
  Scope** prev_sibling_next_ = nullptr;
  detail::Pending* first_pending_ = nullptr;
  std::coroutine_handle<> joiner_;
  Scope* joiner_scope_ = nullptr;
  uint32_t running_ = 0;
  bool cancelled_ = false;
  Urgency urgency_ = Urgency::kNone;
};

// Runs `task` for at most `timeout_ms`; then it is cancelled and, if that made it fail, the answer
// is kTimeout. The task itself always runs to its end.
template <class T>
Task<Result<T>> with_timeout(uint64_t timeout_ms, Task<Result<T>> task);

// Runs a task that a cancelled scope must not reach (a last BYE, a clean-up), bounded in time.
template <class T>
Task<Result<T>> shielded(uint64_t timeout_ms, Task<Result<T>> task);

// Answers when `event` is set, with kTimeout where that takes longer, or with kCancelled.
Task<Result<void>> wait(Event* event, uint64_t timeout_ms);

}  // namespace dormouse::io

#include "io/scope_inl.h"
