#pragma once
// Channel: one end of a SOCK_SEQPACKET pair between two of our processes. A message is one
// datagram of at most kMaxMessageBytes and at most kMaxMessageFds descriptors.
//
// A channel that nobody waits on costs its descriptor only: messages are received into one buffer
// of the thread and copied out at their size.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "io/fd.h"
#include "io/loop.h"
#include "io/result.h"
#include "io/task.h"

namespace dormouse::io {

// Twice a TLS record of 16 KiB and their envelope fit; a quarter of the default socket buffer.
inline constexpr size_t kMaxMessageBytes = 48 * 1024;
// A listener per address family and port, or a ring and its slab: never more than a handful.
inline constexpr size_t kMaxMessageFds = 4;

struct Message {
  std::string bytes;
  std::array<Fd, kMaxMessageFds> fds;
  size_t fd_count = 0;
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(Fd fd) : fd_(std::move(fd)) {}

  // Two connected ends, close-on-exec, non-blocking.
  static Result<std::pair<Channel, Channel>> pair();

  explicit operator bool() const { return bool(fd_); }
  int fd() const { return fd_.get(); }
  Fd release() { return std::move(fd_); }
  void close() { fd_.reset(); }

  // The next message. kClosed: the peer's end is gone and everything it sent was received.
  // kInvalid: longer than the bound (the message is lost; end the peer).
  Task<Result<Message>> receive(Loop& loop);
  // Sends, waiting for room: back-pressure reaches the sender. Descriptors are duplicated into the
  // message; the caller keeps its own. kClosed: the peer is gone.
  Task<Result<void>> send(Loop& loop, std::string bytes, std::span<const int> fds = {});
  // Without waiting: kUnavailable when there is no room now.
  Result<Message> try_receive();
  Result<> try_send(std::string_view bytes, std::span<const int> fds = {});

 private:
  Fd fd_;
};

}  // namespace dormouse::io
