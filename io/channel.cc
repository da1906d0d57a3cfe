#include "io/channel.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace dormouse::io {
namespace {

// One byte more than allowed, so that a longer datagram shows itself by truncation.
thread_local std::array<char, kMaxMessageBytes> receive_buffer;

union ControlBuffer {
  char bytes[CMSG_SPACE(sizeof(int) * kMaxMessageFds)];
  cmsghdr align;
};

void take_fds(const msghdr& header, Message& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&header), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      Fd owned(fd);
      if (message.fd_count < kMaxMessageFds) message.fds[message.fd_count++] = std::move(owned);
    }
  }
}

}  // namespace

Result<std::pair<Channel, Channel>> Channel::pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return fail_errno(errno, "socketpair");
  }
  return std::pair(Channel(Fd(ends[0])), Channel(Fd(ends[1])));
}

Result<Message> Channel::try_receive() {
  iovec part{.iov_base = receive_buffer.data(), .iov_len = receive_buffer.size()};
  ControlBuffer control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof control.bytes;
  ssize_t length = 0;
  do {
    length = recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return fail_errno(errno, "receiving from a channel");
  Message message;
  take_fds(header, message);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return fail(ErrorKind::kInvalid,
                fmt::format("a message of more than {} bytes or {} descriptors", kMaxMessageBytes,
                            kMaxMessageFds));
  }
  // Our messages are never empty: an empty one is the end of file of a SEQPACKET socket.
  if (length == 0) return fail(ErrorKind::kClosed, "channel closed by the peer");
  message.bytes.assign(receive_buffer.data(), size_t(length));
  return message;
}

Result<> Channel::try_send(std::string_view bytes, std::span<const int> fds) {
  DORMOUSE_CHECK(!bytes.empty() && bytes.size() <= kMaxMessageBytes, "a message fits a datagram");
  DORMOUSE_CHECK(fds.size() <= kMaxMessageFds, "a message carries few descriptors");
  iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  ControlBuffer control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail_errno(errno, "sending to a channel");
  return {};
}

Task<Result<Message>> Channel::receive(Loop& loop) {
  while (true) {
    Result<Message> message = try_receive();
    if (message || message.error().kind != ErrorKind::kUnavailable) co_return message;
    Result<uint32_t> ready = co_await loop.poll(fd_.get(), POLLIN);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

Task<Result<void>> Channel::send(Loop& loop, std::string bytes, std::span<const int> fds) {
  while (true) {
    Result<> sent = try_send(bytes, fds);
    if (sent || sent.error().kind != ErrorKind::kUnavailable) co_return sent;
    Result<uint32_t> ready = co_await loop.poll(fd_.get(), POLLOUT);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

}  // namespace dormouse::io
