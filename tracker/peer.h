#pragma once
// Peer: one link of the tracker to a den, a worker or auth. The tracker owns it from Link to the
// end of its channel; whoever wants it gone calls end(), and the coroutine that serves it then
// tells the tracker that it is lost. Nothing is sent to a peer that is ending.

#include <string>
#include <unordered_map>
#include <utility>

#include "io/channel.h"
#include "io/loop.h"
#include "role/process.h"
#include "tracker/den_counts.h"
#include "tracker/placement.h"
#include "wire/outbox.h"

namespace dormouse::tracker {

class Peer {
 public:
  // Answers and kicks that a peer has not read yet. At half of it the tracker reads no more
  // requests from this peer; the other half is for what nobody asked for.
  static constexpr size_t kOutboxMessages = 2048;

  Peer(io::Loop& loop, io::Scope* parent, role::Link from, uint64_t number)
      : serial(number),
        link(std::move(from)),
        scope(loop, parent),
        outbox(loop, link.channel, kOutboxMessages) {}
  virtual ~Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Idempotent; the first reason counts.
  void end(std::string reason) {
    if (ending_) return;
    ending_ = true;
    reason_ = std::move(reason);
    scope.cancel();
  }
  bool ending() const { return ending_; }
  const std::string& reason() const { return reason_; }
  // False: not sent, the peer is on its way out.
  bool send(const google::protobuf::MessageLite& message, io::Fd fd = {}) {
    if (ending_) return false;
    if (outbox.push(message, std::move(fd))) return true;
    end("does not read what it is sent");
    return false;
  }

  const uint64_t serial;  // of this link: a restarted process has another one
  role::Link link;
  io::Scope scope;
  wire::Outbox outbox;

 private:
  bool ending_ = false;
  std::string reason_;
};

class DenPeer final : public Peer {
 public:
  using Peer::Peer;
  DenCounts::Slot slot = 0;
  bool census_seen = false;      // one message of it at least
  bool census_complete = false;  // its last message
  uint64_t sessions = 0;         // that it has told us of
};

class AuthPeer final : public Peer {
 public:
  using Peer::Peer;
};

class WorkerPeer final : public Peer {
 public:
  using Peer::Peer;
  WorkerId id() const { return link.index; }
  struct Awake {
    UserId user = kNoUser;
    // A refresh that has just ended and the wake that follows it overlap for a moment.
    uint32_t times = 0;
    uint32_t refreshes = 0;  // of them
  };
  std::unordered_map<uint64_t, Awake> sessions;
  bool started_by_us = false;
  bool load_seen = false;
  uint32_t foreign = 0;  // sessions that a former tracker placed here
  uint64_t memory_bytes = 0;
  uint32_t late_ms = 0;
};

}  // namespace dormouse::tracker
