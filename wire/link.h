#pragma once
// Messages on a Channel. A datagram holds exactly one message of the link's type; what does not
// parse is kInvalid, and the receiver ends that peer, never itself.

#include <google/protobuf/message_lite.h>

#include <array>
#include <span>
#include <string>

#include "io/channel.h"

namespace dormouse::wire {

// Bytes of a relay's `data`: with its envelope well below io::kMaxMessageBytes.
inline constexpr size_t kMaxRelayDataBytes = 32 * 1024;

// Parses, with the checks protobuf leaves out: nothing is accepted from an empty datagram.
Result<> parse(std::string_view bytes, google::protobuf::MessageLite& message);
// Serializes; the message must fit io::kMaxMessageBytes (a bound of its sender: else a bug).
std::string serialize(const google::protobuf::MessageLite& message);

template <class T>
struct Received {
  T message;
  std::array<io::Fd, io::kMaxMessageFds> fds;
  size_t fd_count = 0;
};

template <class T>
Result<Received<T>> decode(Result<io::Message> raw) {
  if (!raw) return std::unexpected(raw.error());
  Received<T> received;
  if (auto parsed = parse(raw->bytes, received.message); !parsed) {
    return std::unexpected(parsed.error());
  }
  received.fds = std::move(raw->fds);
  received.fd_count = raw->fd_count;
  return received;
}

// The next message; errors as Channel::receive, and kInvalid for what does not parse.
template <class T>
io::Task<Result<Received<T>>> receive(io::Loop& loop, io::Channel& channel) {
  auto raw = co_await channel.receive(loop);
  co_return decode<T>(std::move(raw));
}

template <class T>
Result<Received<T>> try_receive(io::Channel& channel) {
  return decode<T>(channel.try_receive());
}

// Sends, waiting for room. `fds` are duplicated into the message; the caller keeps its own and must
// keep them open until this returns.
inline io::Task<Result<void>> send(io::Loop& loop, io::Channel& channel,
                                   const google::protobuf::MessageLite& message,
                                   std::span<const int> fds = {}) {
  return channel.send(loop, serialize(message), fds);
}

// Without waiting: kUnavailable when there is no room now.
Result<> try_send(io::Channel& channel, const google::protobuf::MessageLite& message,
                  std::span<const int> fds = {});

}  // namespace dormouse::wire
