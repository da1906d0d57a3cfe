#include "wire/outbox.h"

#include <poll.h>

#include <cerrno>

#include "io/secret.h"

namespace dormouse::wire {
namespace {

// The kernel refuses to pass a descriptor while too many are under way (unix(7), ETOOMANYREFS);
// they arrive within a scheduling interval or two of the receivers.
constexpr uint64_t kDescriptorRetryMs = 5;

}  // namespace

Result<> Outbox::try_send(const Item& item) {
  if (!item.fd) return channel_.try_send(item.bytes);
  int fd = item.fd.get();
  return channel_.try_send(item.bytes, std::span(&fd, 1));
}

bool Outbox::push(const google::protobuf::MessageLite& message, io::Fd fd) {
  if (broken_ || waiting_.size() >= messages_max_) return false;
  Item item{serialize(message), std::move(fd)};
  if (waiting_.empty()) {
    Result<> sent = try_send(item);
    if (sent) {
      io::wipe(item.bytes);
      return true;
    }
    if (sent.error().kind != ErrorKind::kUnavailable && sent.error().errno_value != ETOOMANYREFS) {
      broken_ = true;
      return false;
    }
  }
  waiting_.push_back(std::move(item));
  work_.set();
  if (crowded()) room_.clear();
  return true;
}

io::Task<Result<void>> Outbox::wait_for_room() {
  Result<> waited = co_await room_.wait();
  co_return waited;
}

io::Task<void> Outbox::run() {
  while (!broken_) {
    if (waiting_.empty()) {
      work_.clear();
      if (!co_await work_.wait()) co_return;
      continue;
    }
    Result<> sent = try_send(waiting_.front());
    if (sent) {
      io::wipe(waiting_.front().bytes);
      waiting_.pop_front();
      if (!crowded()) room_.set();
    } else if (sent.error().kind == ErrorKind::kUnavailable) {
      if (!co_await loop_.poll(channel_.fd(), POLLOUT)) co_return;
    } else if (sent.error().errno_value == ETOOMANYREFS) {
      if (!co_await loop_.sleep(kDescriptorRetryMs)) co_return;
    } else {
      broken_ = true;  // the reader of the channel learns the same
      waiting_.clear();
      room_.set();
    }
  }
}

}  // namespace dormouse::wire
