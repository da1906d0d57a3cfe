#include "wire/link.h"

#include <fmt/format.h>

namespace dormouse::wire {

Result<> parse(std::string_view bytes, google::protobuf::MessageLite& message) {
  if (bytes.empty() || bytes.size() > io::kMaxMessageBytes ||
      !message.ParseFromArray(bytes.data(), int(bytes.size()))) {
    return fail(ErrorKind::kInvalid, fmt::format("a datagram of {} bytes is no {}", bytes.size(),
                                                 message.GetTypeName()));
  }
  return {};
}

std::string serialize(const google::protobuf::MessageLite& message) {
  std::string bytes;
  bool done = message.SerializeToString(&bytes);
  DORMOUSE_CHECK(done && bytes.size() <= io::kMaxMessageBytes, "a message fits a datagram");
  return bytes;
}

Result<> try_send(io::Channel& channel, const google::protobuf::MessageLite& message,
                  std::span<const int> fds) {
  return channel.try_send(serialize(message), fds);
}

}  // namespace dormouse::wire
