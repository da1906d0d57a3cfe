#pragma once
// TrackerLink: auth's side of auth_tracker.proto. Grants go out and are waited for; the tracker's
// lookups are answered.

#include <cstdint>
#include <string>
#include <unordered_map>

#include "auth/verifier.h"
#include "io/channel.h"
#include "io/loop.h"
#include "wire/auth_tracker.pb.h"
#include "wire/outbox.h"

namespace dormouse::auth {

// The tracker stores a grant in microseconds; this is the time it may be away (restarted by the
// master) before a login is told to try later. Below a client's patience, some 30 s.
inline constexpr uint64_t kGrantTimeoutMs = 10'000;
// Messages to a tracker that does not read: all hash threads' work of some seconds.
inline constexpr size_t kTrackerMessagesMax = 8192;

class TrackerLink {
 public:
  TrackerLink(io::Loop& loop, const Verifier& verifier)
      : loop_(loop), verifier_(verifier), linked_(loop) {}

  // Serves this channel until it closes; a later one replaces it.
  io::Task<void> serve(io::Channel channel);
  // Answers the grant (16 random bytes) once the tracker holds it.
  io::Task<Result<std::string>> grant(wire::Identity identity, wire::Limits limits);
  bool linked() const { return link_ != nullptr; }

 private:
  struct Link;
  struct Pending {
    io::Event answered;
    bool stored = false;
  };
  io::Task<Result<std::string>> try_grant(wire::AuthToTracker message);
  bool handle(Link& link, const wire::TrackerToAuth& message);
  void answer_lookup(Link& link, const wire::TrackerToAuth::Lookup& lookup);
  void unlink(const Link& link);

  io::Loop& loop_;
  const Verifier& verifier_;
  io::Event linked_;
  Link* link_ = nullptr;  // in the frame of the serve() that is current
  uint64_t next_request_ = 1;
  std::unordered_map<uint64_t, Pending*> pending_;  // in the frames of try_grant()
};

}  // namespace dormouse::auth
