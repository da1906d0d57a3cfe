// The awaitable operations: RingOp, OpenOp, SleepOp, Event, Deadline.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "io/loop.h"

namespace dormouse::io {
namespace {

io_uring_sqe blank() {
  io_uring_sqe sqe;
  std::memset(&sqe, 0, sizeof sqe);
  return sqe;
}

}  // namespace

RingOp Loop::poll(int fd, uint32_t events) {
  io_uring_sqe sqe = blank();
  io_uring_prep_poll_add(&sqe, fd, events);
  return RingOp(*this, sqe, "poll");
}

RingOp Loop::accept(int fd, sockaddr* address, socklen_t* length) {
  io_uring_sqe sqe = blank();
  io_uring_prep_accept(&sqe, fd, address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return RingOp(*this, sqe, "accept");
}

RingOp Loop::connect(int fd, const sockaddr* address, socklen_t length) {
  io_uring_sqe sqe = blank();
  io_uring_prep_connect(&sqe, fd, address, length);
  return RingOp(*this, sqe, "connect");
}

RingOp Loop::recv(int fd, std::span<std::byte> buffer, int flags) {
  io_uring_sqe sqe = blank();
  io_uring_prep_recv(&sqe, fd, buffer.data(), buffer.size(), flags);
  return RingOp(*this, sqe, "recv");
}

RingOp Loop::send(int fd, std::span<const std::byte> bytes, int flags) {
  io_uring_sqe sqe = blank();
  io_uring_prep_send(&sqe, fd, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
  return RingOp(*this, sqe, "send");
}

RingOp Loop::read(int fd, std::span<std::byte> buffer, uint64_t offset) {
  io_uring_sqe sqe = blank();
  io_uring_prep_read(&sqe, fd, buffer.data(), unsigned(buffer.size()), offset);
  return RingOp(*this, sqe, "read");
}

RingOp Loop::write(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  io_uring_sqe sqe = blank();
  io_uring_prep_write(&sqe, fd, bytes.data(), unsigned(bytes.size()), offset);
  return RingOp(*this, sqe, "write");
}

OpenOp Loop::open(const char* path, int flags, mode_t mode) {
  io_uring_sqe sqe = blank();
  io_uring_prep_openat(&sqe, AT_FDCWD, path, flags | O_CLOEXEC, mode);
  return OpenOp(*this, sqe, path);
}

RingOp Loop::fsync(int fd, bool data_only) {
  io_uring_sqe sqe = blank();
  io_uring_prep_fsync(&sqe, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
  return RingOp(*this, sqe, "fsync");
}

RingOp Loop::rename(const char* from, const char* to) {
  io_uring_sqe sqe = blank();
  io_uring_prep_renameat(&sqe, AT_FDCWD, from, AT_FDCWD, to, 0);
  return RingOp(*this, sqe, "rename");
}

RingOp Loop::unlink(const char* path) {
  io_uring_sqe sqe = blank();
  io_uring_prep_unlinkat(&sqe, AT_FDCWD, path, 0);
  return RingOp(*this, sqe, "unlink");
}

RingOp Loop::link(const char* from, const char* to) {
  io_uring_sqe sqe = blank();
  io_uring_prep_linkat(&sqe, AT_FDCWD, from, AT_FDCWD, to, 0);
  return RingOp(*this, sqe, "link");
}

RingOp Loop::mkdir(const char* path, mode_t mode) {
  io_uring_sqe sqe = blank();
  io_uring_prep_mkdirat(&sqe, AT_FDCWD, path, mode);
  return RingOp(*this, sqe, "mkdir");
}

RingOp Loop::statx(const char* path, uint32_t mask, struct statx* out) {
  io_uring_sqe sqe = blank();
  // As the server of a network file system has it, not as it was some seconds ago; elsewhere the
  // flag means nothing.
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC;
  io_uring_prep_statx(&sqe, AT_FDCWD, path, kFlags, mask, out);
  return RingOp(*this, sqe, "statx");
}

bool RingOp::start(std::coroutine_handle<> handle, Scope* scope) {
  if (scope->cancelled()) {
    result_ = -ECANCELED;
    return false;
  }
  handle_ = handle;
  scope_ = scope;
  io_uring_sqe* sqe = loop_.next_sqe();
  *sqe = sqe_;
  io_uring_sqe_set_data64(sqe, loop_.user_data_of(this));
  if (scope->hook() != nullptr) sqe->personality = scope->hook()->personality;
  scope->add(this);
  return true;
}

void RingOp::complete(int32_t result, uint32_t) {
  result_ = result;
  Scope::remove(this);
  loop_.ready(handle_, scope_);
}

void RingOp::cancel() { loop_.cancel(loop_.user_data_of(this)); }

Result<uint32_t> RingOp::await_resume() {
  if (result_ < 0) return fail_errno(-result_, what_);
  return uint32_t(result_);
}

Result<Fd> OpenOp::await_resume() {
  if (result_ < 0) return fail_errno(-result_, fmt::format("open {}", path_));
  return Fd(result_);
}

bool SleepOp::start(std::coroutine_handle<> handle, Scope* scope) {
  if (scope->cancelled()) {
    cancelled_ = true;
    return false;
  }
  handle_ = handle;
  scope_ = scope;
  due_ms_ = loop_.now_ms() + ms_;
  armed_ = true;
  scope_->add(this);
  loop_.add_timer(due_ms_, this);
  return true;
}

void SleepOp::finish() {
  if (!armed_) return;
  armed_ = false;
  // A scope that cancels walks its list, so this one leaves it on resumption (await_resume).
  loop_.ready(handle_, scope_);
}

void SleepOp::expire() { finish(); }

void SleepOp::cancel() {
  if (!armed_) return;
  cancelled_ = true;
  loop_.remove_timer(due_ms_, this);
  finish();
}

Result<> SleepOp::await_resume() {
  Scope::remove(this);
  if (cancelled_) return fail(ErrorKind::kCancelled, "sleep");
  return {};
}

void Event::set() {
  set_ = true;
  for (WaitOp* waiter = std::exchange(waiters_, nullptr); waiter != nullptr;) {
    WaitOp* next = waiter->next_;
    loop_.ready(waiter->handle_, waiter->scope_);
    waiter = next;
  }
}

bool Event::WaitOp::start(std::coroutine_handle<> handle, Scope* scope) {
  if (scope->cancelled()) {
    cancelled_ = true;
    return false;
  }
  handle_ = handle;
  scope_ = scope;
  next_ = event_.waiters_;
  event_.waiters_ = this;
  scope->add(this);
  return true;
}

void Event::WaitOp::cancel() {
  for (WaitOp** place = &event_.waiters_; *place != nullptr; place = &(*place)->next_) {
    if (*place != this) continue;
    *place = next_;
    cancelled_ = true;
    event_.loop_.ready(handle_, scope_);
    return;
  }
}

Result<> Event::WaitOp::await_resume() {
  Scope::remove(this);
  if (cancelled_) return fail(ErrorKind::kCancelled, "wait");
  return {};
}

namespace detail {

Deadline::Deadline(Loop& loop, Scope& scope, uint64_t timeout_ms)
    : loop_(loop), scope_(scope), due_ms_(loop.now_ms() + timeout_ms) {
  loop_.add_timer(due_ms_, this);
}

Deadline::~Deadline() {
  if (!fired_) loop_.remove_timer(due_ms_, this);
}

void Deadline::expire() {
  fired_ = true;
  scope_.cancel();
}

}  // namespace detail
}  // namespace dormouse::io
