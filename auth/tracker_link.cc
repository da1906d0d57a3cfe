#include "auth/tracker_link.h"

#include <openssl/rand.h>

#include <array>

#include "role/log.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::auth {

struct TrackerLink::Link {
  io::Channel channel;
  wire::Outbox outbox;
};

void TrackerLink::unlink(const Link& link) {
  if (link_ != &link) return;
  link_ = nullptr;
  linked_.clear();
  // They are sent again to the next tracker, if one comes in time.
  for (auto& [request, pending] : pending_) pending->answered.set();
}

io::Task<void> TrackerLink::serve(io::Channel channel) {
  Link link{.channel = std::move(channel),
            .outbox = wire::Outbox(loop_, link.channel, kTrackerMessagesMax)};
  io::Scope scope(loop_, co_await io::current_scope());
  scope.spawn(link.outbox.run());
  if (link_ != nullptr) unlink(*link_);
  link_ = &link;
  linked_.set();
  while (true) {
    auto received = co_await wire::receive<wire::TrackerToAuth>(loop_, link.channel);
    Result<> valid;
    if (!received) {
      valid = std::unexpected(received.error());
    } else {
      valid = wire::validate(received->message, received->fd_count);
    }
    if (valid && handle(link, received->message)) continue;
    if (!valid && valid.error().kind != ErrorKind::kCancelled) {
      role::log_warning("tracker-link-ended", {{"reason", valid.error().message}});
    }
    break;
  }
  unlink(link);
  scope.cancel();
  co_await scope.join();
}

bool TrackerLink::handle(Link& link, const wire::TrackerToAuth& message) {
  if (message.has_grant_stored()) {
    auto found = pending_.find(message.grant_stored().request());
    if (found != pending_.end()) {
      found->second->stored = true;
      found->second->answered.set();
    }
  } else if (message.has_lookup()) {
    answer_lookup(link, message.lookup());
  }
  return link_ == &link;
}

void TrackerLink::answer_lookup(Link& link, const wire::TrackerToAuth::Lookup& lookup) {
  wire::AuthToTracker answer;
  auto* looked_up = answer.mutable_looked_up();
  looked_up->set_request(lookup.request());
  auto user = verifier_.directory().find(lookup.user());
  looked_up->set_found(user.has_value());
  if (user) {
    *looked_up->mutable_identity() = std::move(user->identity);
    *looked_up->mutable_limits() = std::move(user->limits);
  } else if (user.error().kind != ErrorKind::kNotFound) {
    looked_up->set_temporary_failure(true);
    role::log_warning("lookup-failed", {{"user", lookup.user()}, {"reason", user.error().message}});
  }
  if (!link.outbox.push(answer)) {
    role::log_error("tracker-link-full", {{"messages", link.outbox.size()}});
    unlink(link);
  }
}

io::Task<Result<std::string>> TrackerLink::grant(wire::Identity identity, wire::Limits limits) {
  std::array<char, wire::kGrantBytes> bytes;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), int(bytes.size())) != 1) {
    co_return fail(ErrorKind::kSystem, "no random bytes for a grant");
  }
  wire::AuthToTracker message;
  auto* grant = message.mutable_grant();
  grant->set_grant(bytes.data(), bytes.size());
  *grant->mutable_identity() = std::move(identity);
  *grant->mutable_limits() = std::move(limits);
  co_return co_await io::with_timeout(kGrantTimeoutMs, try_grant(std::move(message)));
}

io::Task<Result<std::string>> TrackerLink::try_grant(wire::AuthToTracker message) {
  while (true) {
    if (auto linked = co_await linked_.wait(); !linked) co_return std::unexpected(linked.error());
    if (link_ == nullptr) continue;
    const uint64_t request = next_request_++;
    message.mutable_grant()->set_request(request);
    if (!link_->outbox.push(message)) {
      co_return fail(ErrorKind::kUnavailable, "the tracker does not read");
    }
    Pending pending{.answered = io::Event(loop_)};
    pending_.emplace(request, &pending);
    Result<> answered = co_await pending.answered.wait();
    pending_.erase(request);
    if (!answered) co_return std::unexpected(answered.error());
    if (pending.stored) co_return message.grant().grant();
  }
}

}  // namespace dormouse::auth
