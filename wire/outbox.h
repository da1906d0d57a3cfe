#pragma once
// Outbox: what one peer has yet to be sent, so that a peer that does not read holds up nobody else.
// push() sends at once while the channel has room and keeps the rest, in order, for run(). What was
// sent is wiped, since it may be a password or a cookie. The
// owner stops taking requests from a peer whose outbox is crowded, which bounds the answers it
// holds.

#include <cstddef>
#include <deque>
#include <string>

#include "io/fd.h"
#include "io/loop.h"
#include "wire/link.h"

namespace dormouse::wire {

class Outbox {
 public:
  // `channel` outlives the outbox. `messages_max` is the bound of push().
  Outbox(io::Loop& loop, io::Channel& channel, size_t messages_max)
      : loop_(loop), channel_(channel), messages_max_(messages_max), work_(loop), room_(loop) {
    room_.set();
  }

  // Takes the message (and the descriptor, which is closed once sent). False: the bound is reached
  // or the peer is gone, and the caller ends the peer.
  bool push(const google::protobuf::MessageLite& message, io::Fd fd = {});
  // Half the bound is held: take no more requests from this peer until wait_for_room() answers.
  bool crowded() const { return waiting_.size() >= messages_max_ / 2; }
  size_t size() const { return waiting_.size(); }
  // Answers when the outbox is not crowded, or kCancelled.
  io::Task<Result<void>> wait_for_room();
  // Sends what push() could not, until its scope is cancelled or the peer is gone.
  io::Task<void> run();

 private:
  struct Item {
    std::string bytes;
    io::Fd fd;
  };
  Result<> try_send(const Item& item);

  io::Loop& loop_;
  io::Channel& channel_;
  size_t messages_max_;
  io::Event work_;
  io::Event room_;
  std::deque<Item> waiting_;
  bool broken_ = false;
};

}  // namespace dormouse::wire
