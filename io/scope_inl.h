#pragma once
// with_timeout() and shielded(); included by scope.h only.

#include "io/scope.h"
#include "io/timer.h"

namespace dormouse::io {
namespace detail {

// Cancels `scope` at a point in time unless destroyed before. Defined in operations.cc.
class Deadline final : public Timer {
 public:
  Deadline(Loop& loop, Scope& scope, uint64_t timeout_ms);
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline();
  bool fired() const { return fired_; }
  void expire() override;

 private:
  Loop& loop_;
  Scope& scope_;
  uint64_t due_ms_;
  bool fired_ = false;
};

template <class T>
Task<Result<T>> bounded(Scope* parent, Scope* where, uint64_t timeout_ms, Task<Result<T>> task) {
  Scope scope(where->loop(), parent);
  scope.set_hook(where->hook());
  Deadline deadline(where->loop(), scope, timeout_ms);
  Result<T> result = co_await scope.run(std::move(task));
  if (!result && result.error().kind == ErrorKind::kCancelled && deadline.fired()) {
    co_return fail(ErrorKind::kTimeout, "timed out");
  }
  co_return result;
}

}  // namespace detail

template <class T>
Task<Result<T>> with_timeout(uint64_t timeout_ms, Task<Result<T>> task) {
  Scope* here = co_await current_scope();
  co_return co_await detail::bounded<T>(here, here, timeout_ms, std::move(task));
}

template <class T>
Task<Result<T>> shielded(uint64_t timeout_ms, Task<Result<T>> task) {
  Scope* here = co_await current_scope();
  co_return co_await detail::bounded<T>(nullptr, here, timeout_ms, std::move(task));
}

}  // namespace dormouse::io
