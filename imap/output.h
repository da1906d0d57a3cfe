#pragma once
// Output: what a session says, gathered over all commands of a batch and sent in pieces. A response
// of any length passes through one buffer of about a piece: whoever appends much calls drain()
// between.

#include <string>

#include "imap/relay.h"

namespace dormouse::imap {

class Output {
 public:
  explicit Output(Relay& relay) : relay_(relay) {}

  // Append here. Check full() now and then, and co_await drain() when it is.
  std::string& text() { return text_; }
  bool full() const { return text_.size() >= wire::kMaxRelayDataBytes; }
  bool empty() const { return text_.empty(); }
  // Sends whole pieces; keeps the rest for the batch.
  io::Task<Result<void>> drain();
  // Sends everything.
  io::Task<Result<void>> flush();
  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  io::Task<Result<void>> send_down_to(size_t keep_below);

  Relay& relay_;
  std::string text_;
  uint64_t sent_bytes_ = 0;
};

}  // namespace dormouse::imap
