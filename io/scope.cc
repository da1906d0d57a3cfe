#include "io/scope.h"

#include "io/loop.h"

namespace dormouse::io {

Scope::Scope(Loop& loop, Scope* parent) : loop_(loop), parent_(parent) {
  if (parent_ == nullptr) return;
  hook_ = parent_->hook_;
  urgency_ = parent_->urgency_;
  cancelled_ = parent_->cancelled_;
  next_sibling_ = parent_->first_child_;
  if (next_sibling_ != nullptr) next_sibling_->prev_sibling_next_ = &next_sibling_;
  prev_sibling_next_ = &parent_->first_child_;
  parent_->first_child_ = this;
}

Scope::~Scope() {
  DORMOUSE_CHECK(running_ == 0, "a scope is joined before it ends");
  DORMOUSE_CHECK(first_pending_ == nullptr, "no operation outlives its scope");
  DORMOUSE_CHECK(first_child_ == nullptr, "no child scope outlives its parent");
  if (prev_sibling_next_ != nullptr) {
    *prev_sibling_next_ = next_sibling_;
    if (next_sibling_ != nullptr) next_sibling_->prev_sibling_next_ = prev_sibling_next_;
  }
}

void Scope::spawn(Task<void> task) {
  auto handle = task.release();
  handle.promise().scope = this;
  handle.promise().spawned = true;
  ++running_;
  loop_.ready(handle, this);
}

Task<void> Scope::join() {
  struct Awaiter {
    Scope* self;
    bool await_ready() const { return self->running_ == 0; }
    void await_suspend(std::coroutine_handle<Task<void>::promise_type> handle) {
      DORMOUSE_CHECK(!self->joiner_, "one joiner at a time");
      self->joiner_ = handle;
      self->joiner_scope_ = handle.promise().scope;
    }
    void await_resume() const {}
  };
  co_await Awaiter{this};
}

void Scope::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  for (Scope* child = first_child_; child != nullptr; child = child->next_sibling_) child->cancel();
  // cancel() only asks: completions arrive through the loop, so the list does not change here.
  for (detail::Pending* pending = first_pending_; pending != nullptr; pending = pending->next_) {
    pending->cancel();
  }
}

void Scope::add(detail::Pending* pending) {
  pending->next_ = first_pending_;
  if (first_pending_ != nullptr) first_pending_->prev_next_ = &pending->next_;
  pending->prev_next_ = &first_pending_;
  first_pending_ = pending;
}

void Scope::remove(detail::Pending* pending) {
  if (pending->prev_next_ == nullptr) return;
  *pending->prev_next_ = pending->next_;
  if (pending->next_ != nullptr) pending->next_->prev_next_ = pending->prev_next_;
  pending->prev_next_ = nullptr;
  pending->next_ = nullptr;
}

namespace detail {

void child_done(Scope* scope) {
  DORMOUSE_CHECK(scope->running_ > 0, "a child ends once");
  if (--scope->running_ == 0 && scope->joiner_) {
    scope->loop_.ready(std::exchange(scope->joiner_, {}), scope->joiner_scope_);
  }
}

}  // namespace detail
namespace {

// with_timeout() bounds tasks.
Task<Result<void>> until_set(Event* event) { co_return co_await event->wait(); }

}  // namespace

Task<Result<void>> wait(Event* event, uint64_t timeout_ms) {
  return with_timeout(timeout_ms, until_set(event));
}

}  // namespace dormouse::io
