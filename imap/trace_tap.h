#pragma once
// TraceTap: tells an administrator's command when this worker's sessions are used
// (wire/admin.proto, docs/tuning.md), for as long as it listens. Holds up no session: what it does
// not take in time is lost, and counted.

#include <cstdint>

#include "io/channel.h"
#include "io/loop.h"
#include "tuning/trace.h"
#include "wire/admin.pb.h"

namespace dormouse::imap {

class TraceTap {
 public:
  TraceTap(io::Loop& loop, io::Channel channel) : loop_(loop), channel_(std::move(channel)) {}

  void note(uint64_t session, tuning::TraceEvent event, uint64_t client = 0);
  // Until nobody listens any more, or the scope is cancelled.
  io::Task<void> run();

 private:
  io::Loop& loop_;
  io::Channel channel_;
  wire::AdminReply waiting_;
};

}  // namespace dormouse::imap
