#pragma once
// Task<T>: a lazy coroutine. It starts when awaited (or spawned into a Scope) and runs on the one
// thread of its Loop. Every coroutine knows the Scope it runs under; a Scope is the only way to
// cancel and, through with_timeout() in scope.h, the only way to bound time.
//
// Rules: arguments by value (or named before the co_await); nothing captured by reference across a
// suspension; no capturing lambda coroutines; a frame is never destroyed while an operation is
// under way (cancel its Scope and join it).

#include <coroutine>
#include <optional>
#include <utility>

#include "io/result.h"

namespace dormouse::io {

class Scope;

namespace detail {

// A spawned coroutine has ended: tells its scope. Defined in scope.cc.
void child_done(Scope* scope);

struct PromiseBase {
  Scope* scope = nullptr;                // set by whoever starts the coroutine
  std::coroutine_handle<> continuation;  // the awaiting coroutine; null when spawned
  bool spawned = false;

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      PromiseBase& promise = self.promise();
      if (promise.continuation) return promise.continuation;
      if (promise.spawned) {
        Scope* owner = promise.scope;
        self.destroy();
        child_done(owner);
      }
      return std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() {
    bug(__FILE__, __LINE__, "no exception", "an exception left a coroutine");
  }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  struct promise_type : detail::Promise<T> {
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
  };
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Runs the task under the awaiting coroutine's scope, or under `scope` where one is given
  // (Scope::run does that).
  struct Awaiter {
    Handle handle;
    Scope* scope;
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      handle.promise().scope = scope != nullptr ? scope : parent.promise().scope;
      handle.promise().continuation = parent;
      return handle;
    }
    T await_resume() { return handle.promise().take(); }
  };
  Awaiter operator co_await() && { return Awaiter{handle_, nullptr}; }
  Awaiter under(Scope* scope) && { return Awaiter{handle_, scope}; }

  // Gives the frame up to the scope that will run it.
  Handle release() { return std::exchange(handle_, {}); }

 private:
  Handle handle_;
};

// `Scope* scope = co_await current_scope();`
struct current_scope {
  Scope* scope = nullptr;
  bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
    scope = self.promise().scope;
    return false;
  }
  Scope* await_resume() noexcept { return scope; }
};

}  // namespace dormouse::io
