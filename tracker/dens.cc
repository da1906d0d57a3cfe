// What dens ask: sessions that open, wake and close, and the census.

#include "role/log.h"
#include "tracker/tracker.h"

namespace dormouse::tracker {
namespace {

Rank rank_of(wire::DenToTracker::Purpose purpose) {
  switch (purpose) {
    case wire::DenToTracker::REFRESH:
      return Rank::kRefresh;
    case wire::DenToTracker::SWEEP:
      return Rank::kSweep;
    default:
      return Rank::kInput;
  }
}

}  // namespace

void Tracker::den_message(DenPeer& den, const wire::DenToTracker& message, io::Fd relay) {
  if (message.has_open()) {
    open(den, message.open(), std::move(relay));
  } else if (message.has_attach()) {
    attach(den, message.attach(), std::move(relay));
  } else if (message.has_closed()) {
    closed(den, message.closed());
  } else if (message.has_census()) {
    census(den, message.census());
  }
}

bool Tracker::over_limit(UserId user, const wire::Limits& limits, uint64_t address,
                         Refusal* why) const {
  auto live = [this](DenCounts::Slot slot) { return slots_.live(slot); };
  uint32_t user_max =
      limits.sessions_per_user() != 0 ? limits.sessions_per_user() : settings_.sessions_per_user();
  if (user_max != 0 && users_.at(user).sessions.sum(live) >= user_max) {
    *why = Refusal::kUserLimit;
    return true;
  }
  const DenCounts* from_there = addresses_.find(address);
  if (settings_.sessions_per_address() != 0 && from_there != nullptr &&
      from_there->sum(live) >= settings_.sessions_per_address()) {
    *why = Refusal::kAddressLimit;
    return true;
  }
  return false;
}

void Tracker::count(DenPeer& den, UserId user, const std::string& address, uint32_t sessions) {
  users_.at(user).sessions.add(den.slot, sessions);
  addresses_.add(AddressTable::key(address), den.slot, sessions);
  den.sessions += sessions;
}

void Tracker::open(DenPeer& den, const Open& open, io::Fd relay) {
  auto grant = grants_.claim(open.grant(), loop_.now_ms());
  if (!grant) {
    refuse(&den, open.request(), open.session(), Refusal::kNoGrant);
    return;
  }
  if (!waiting_.accepts(Rank::kOpen)) {
    refuse(&den, open.request(), open.session(), Refusal::kQueueFull);
    return;
  }
  UserId id = users_.find_or_add(grant->identity.user());
  Refusal why{};
  if (over_limit(id, grant->limits, AddressTable::key(open.remote_address()), &why)) {
    role::log_info("session_refused", {{"user", grant->identity.user()},
                                       {"session", open.session()},
                                       {"address", open.remote_address()},
                                       {"reason", kRefusalTexts[size_t(why)].name}});
    refuse(&den, open.request(), open.session(), why);
    users_.remove_if_unused(id);
    return;
  }
  users_.set_identity(id, grant->identity);
  count(den, id, open.remote_address(), 1);
  ++counters_.opened;
  opened(den, open.request(), id, open.session());
  Waiting entry;
  entry.rank = Rank::kOpen;
  entry.answered = true;
  entry.user = id;
  entry.den = den.serial;
  entry.request = open.request();
  entry.session = open.session();
  entry.remote_address = open.remote_address();
  entry.relay = std::move(relay);
  enqueue(std::move(entry));
}

void Tracker::attach(DenPeer& den, const Attach& attach, io::Fd relay) {
  if (!key_.verify(attach.cookie(), attach.user(), attach.session(),
                   epochs_.epoch(attach.user()))) {
    if (cookie_logs_++ < kCookieLogs) {
      role::log_warning("bad_cookie", {{"user", attach.user()},
                                       {"session", attach.session()},
                                       {"address", attach.remote_address()},
                                       {"den", den.link.index}});
    }
    refuse(&den, attach.request(), attach.session(), Refusal::kBadCookie);
    return;
  }
  if (attach.attempt() > kAttemptsMax) {
    refuse(&den, attach.request(), attach.session(), Refusal::kAttempts);
    return;
  }
  Rank rank = rank_of(attach.purpose());
  if (!waiting_.accepts(rank)) {
    refuse(&den, attach.request(), attach.session(), Refusal::kQueueFull);
    return;
  }
  ++counters_.attached;
  Waiting entry;
  entry.rank = rank;
  entry.attempt = attach.attempt();
  entry.user = users_.find_or_add(attach.user());
  if (attach.attempt() > 0 && recent(attach.session()).session == attach.session()) {
    entry.avoid = recent(attach.session()).worker;
  }
  entry.den = den.serial;
  entry.request = attach.request();
  entry.session = attach.session();
  entry.remote_address = attach.remote_address();
  entry.relay = std::move(relay);
  enqueue(std::move(entry));
}

void Tracker::closed(DenPeer& den, const wire::DenToTracker::Closed& closed) {
  UserId id = users_.find(closed.user());
  if (id == kNoUser || !users_.at(id).sessions.subtract(den.slot)) {
    ++counters_.closed_unknown;
    return;
  }
  if (den.sessions > 0) --den.sessions;
  addresses_.subtract(AddressTable::key(closed.remote_address()), den.slot);
  if (users_.at(id).waiting > 0) {
    auto is_closed = [&](const Waiting& entry) {
      return entry.den == den.serial && entry.session == closed.session();
    };
    for (auto& entry : waiting_.take_if(is_closed)) drop(std::move(entry));
  }
  users_.remove_if_unused(id);
}

// From the first message of a census on, what was known of this den before does not count.
bool Tracker::begin_census(DenPeer& den) {
  std::erase_if(stale_, [&](const Stale& stale) {
    if (stale.den != den.link.index) return false;
    slots_.kill(stale.slot);
    return true;
  });
  if (den.sessions > 0 || den.census_complete) {
    auto fresh = slots_.take();
    if (!fresh) return false;
    slots_.kill(den.slot);
    den.slot = *fresh;
  }
  den.sessions = 0;
  den.census_seen = true;
  den.census_complete = false;
  return true;
}

void Tracker::census(DenPeer& den, const wire::DenToTracker::Census& census) {
  if ((!den.census_seen || den.census_complete) && !begin_census(den)) {
    den.end("asks for more censuses than can be held");
    return;
  }
  for (const auto& entry : census.entries()) {
    if (entry.sessions() == 0) continue;
    count(den, users_.find_or_add(entry.user()), entry.remote_address(), entry.sessions());
  }
  if (!census.last()) return;
  den.census_complete = true;
  role::log_info("census", {{"den", den.link.index}, {"sessions", den.sessions}});
}

void Tracker::opened(DenPeer& den, uint64_t request, UserId user, uint64_t session) {
  std::string name(users_.name(user));
  Cookie cookie = key_.make(name, session, epochs_.epoch(name));
  wire::TrackerToDen answer;
  auto* message = answer.mutable_opened();
  message->set_request(request);
  message->set_user(name);
  message->set_cookie(cookie.data(), cookie.size());
  den.send(answer);
}

void Tracker::refuse(DenPeer* den, uint64_t request, uint64_t session, Refusal why) {
  const RefusalText& text = refusals_.count(why);
  if (den == nullptr) return;
  wire::TrackerToDen answer;
  auto* message = answer.mutable_refused();
  message->set_request(request);
  message->set_permanent(text.permanent);
  if (!text.permanent) message->set_retry_ms(kRetryMs + uint32_t(session % kRetryMs));
  message->set_queue_full(why == Refusal::kQueueFull || why == Refusal::kWaitedTooLong);
  message->set_response_code(text.response_code);
  message->set_text(text.text);
  den->send(answer);
}

}  // namespace dormouse::tracker
