// The den's peers: login hands connections over, the tracker finds workers; the watch has a file of
// its own (den_watch.cc). A peer whose message is malformed is ended; the master starts another.

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>

#include "hibernate/den.h"
#include "hibernate/link_life.h"
#include "role/log.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::hibernate {
namespace {

// Messages of some 100-300 bytes that a peer has not read yet.
constexpr size_t kTrackerOutboxMax = 65'536;
constexpr size_t kLoginOutboxMax = 64;
// Of one login, before others have their turn: some 100 us each.
constexpr uint32_t kTurnHandovers = 4;
// Two TLS records' worth each way (login_den.proto).
constexpr size_t kPendingBytesMax = 36 * 1024;

}  // namespace

void Den::link(role::Link link) {
  switch (link.peer) {
    case wire::LOGIN:
      process_.scope().spawn(serve_login(std::move(link)));
      break;
    case wire::TRACKER:
      process_.scope().spawn(serve_tracker(std::move(link)));
      break;
    case wire::WATCH:
      process_.scope().spawn(serve_watch(std::move(link)));
      break;
    default:
      role::log_error("unexpected-link", {{"peer", int(link.peer)}});
  }
}

io::Task<void> Den::serve_login(role::Link link) {
  LinkLife life(loop(), co_await io::current_scope(), std::move(link), kLoginOutboxMax);
  logins_.push_back(&life.outbox);
  told_load_ = UINT32_MAX;
  tell_load();
  for (uint32_t taken = 1;; ++taken) {
    auto got = co_await wire::receive<wire::LoginToDen>(loop(), life.peer.channel);
    if (!got) {
      if (got.error().kind != ErrorKind::kClosed) {
        role::log_warning("login-link-ended", {{"error", got.error().message}});
      }
      break;
    }
    if (got->message.has_handover() && got->fd_count == 1) {
      handover(std::move(*got->message.mutable_handover()), std::move(got->fds[0]));
    }
    if (taken % kTurnHandovers != 0) continue;
    if (auto turn = co_await loop().yield(); !turn) break;
  }
  std::erase(logins_, &life.outbox);
  life.scope.cancel();
  co_await life.scope.join();
}

// A connection that has proved who it is to auth; the grant says so to the tracker.
void Den::handover(wire::LoginToDen::Handover handover, io::Fd socket) {
  ++counters_.handed_over;
  bool fits = handover.pending_plain().size() <= kPendingBytesMax &&
              handover.pending_cipher().size() <= kPendingBytesMax &&
              handover.grant().size() == wire::kGrantBytes && handover.tag().size() <= 256;
  auto stream = ClientStream::create(crypto_, std::as_bytes(std::span(handover.tls())), {});
  if (!fits || !stream || free_slots_.empty() || draining_) {
    role::log_warning("handover-refused", {{"remote", handover.remote_address()},
                                           {"reason", !fits       ? "malformed"
                                                      : !stream   ? "keys"
                                                      : draining_ ? "draining"
                                                                  : "no slot is free"}});
    return;
  }
  uint32_t slot = free_slots_.back();
  if (auto done = table_->install(slot, socket.get()); !done) {
    role::log_error("install-failed", {{"error", done.error().message}});
    return;
  }
  free_slots_.pop_back();
  slab_.set_state(slot, SlotState::kAwake);

  RecordParts parts;
  parts.session = uint64_t(process_.index()) << 40 | slab_.next_session_number();
  parts.address = Address::parse(handover.remote_address(), uint16_t(handover.remote_port()));
  std::string input = std::move(*handover.mutable_pending_plain());
  std::string& cipher = *handover.mutable_pending_cipher();
  tls::Bytes output;
  auto state = stream->take(std::as_writable_bytes(std::span(cipher)), input, output);
  start_session(slot, wire::DenToWorker::NEW, std::move(parts), std::move(*stream),
                std::move(input), std::move(output), false);
  Session& session = *sessions_[slot];
  session.set_grant(handover.grant(), handover.tag());
  if (state != ClientStream::Input::kOpen) session.received(0, {});
  ++handed_over_;
  tell_load();
}

// To every login, when the number has changed by more than 1 % of the shard; and after as many
// handovers, since each login adds its own to what it was told last, and cannot know of those that
// ended.
void Den::tell_load() {
  uint32_t sessions = slab_.slots() - uint32_t(free_slots_.size());
  uint32_t step = std::max(slab_.slots() / 100, 1u);
  uint32_t difference = sessions > told_load_ ? sessions - told_load_ : told_load_ - sessions;
  if (difference < step && handed_over_ < step && !draining_ && !free_slots_.empty()) return;
  told_load_ = sessions;
  handed_over_ = 0;
  wire::DenToLogin message;
  message.mutable_load()->set_sessions(sessions);
  message.mutable_load()->set_capacity(slab_.slots());
  message.mutable_load()->set_accepting(!draining_ && !free_slots_.empty());
  for (wire::Outbox* login : logins_) {
    // A login that does not read for 64 messages is told the next change.
    [[maybe_unused]] bool told = login->push(message);
  }
}

io::Task<void> Den::serve_tracker(role::Link link) {
  // It says what becomes of sleepers' sessions, too: those would hear it too late.
  io::Scope answers(loop(), co_await io::current_scope());
  answers.set_urgency(io::Urgency::kNow);
  LinkLife life(loop(), &answers, std::move(link), kTrackerOutboxMax);
  tracker_ = &life.outbox;
  send_census();
  tracker_up_.set();
  start_refreshes();
  co_await answers.run(hear_tracker(life));
  if (tracker_ == &life.outbox) {
    tracker_ = nullptr;
    tracker_up_.clear();
    for (auto& [request, slot] : requests_) {
      if (auto found = sessions_.find(slot); found != sessions_.end()) {
        found->second->tracker_lost();
      }
    }
    requests_.clear();
  }
  life.scope.cancel();
  co_await life.scope.join();
}

// Until the link ends.
io::Task<void> Den::hear_tracker(LinkLife& life) {
  while (true) {
    auto got = co_await wire::receive<wire::TrackerToDen>(loop(), life.peer.channel);
    if (got) {
      if (auto valid = wire::validate(got->message, got->fd_count); !valid) {
        got = std::unexpected(valid.error());
      }
    }
    if (!got) {
      role::log_warning("tracker-link-ended", {{"error", got.error().message}});
      co_return;
    }
    tracker_said(got->message);
  }
}

bool Den::post_to_tracker(const wire::DenToTracker& message, io::Fd fd) {
  return tracker_ != nullptr && tracker_->push(message, std::move(fd));
}

Session* Den::session_of(uint64_t request) {
  auto slot = requests_.find(request);
  if (slot == requests_.end()) return nullptr;
  auto session = sessions_.find(slot->second);
  if (session == sessions_.end() || session->second->request() != request) return nullptr;
  return session->second.get();
}

void Den::tracker_said(const wire::TrackerToDen& message) {
  if (message.has_opened()) {
    if (Session* session = session_of(message.opened().request())) {
      session->opened(message.opened());
    }
  } else if (message.has_refused()) {
    if (Session* session = session_of(message.refused().request())) {
      session->refused(message.refused());
    }
  } else if (message.has_kick()) {
    kick(message.kick().user(), message.kick().text());
  }
}

void Den::kick(const std::string& user, const std::string& text) {
  std::string bye = fmt::format("* BYE {}\r\n", text);
  for (uint32_t slot = 0; slot < slab_.slots(); ++slot) {
    if (auto session = sessions_.find(slot); session != sessions_.end()) {
      if (session->second->parts().user == user) session->second->shut_down(text);
    } else if (slab_.state(slot) == SlotState::kParked &&
               RecordView::trusted(slab_.block(slot)).user() == user) {
      say_to_parked(slot, bye, true);
    }
  }
}

// What this den holds, per user and address: the tracker's limits count it.
void Den::send_census() {
  std::map<std::pair<std::string, std::string>, uint32_t> counts;
  for (uint32_t slot = 0; slot < slab_.slots(); ++slot) {
    if (auto session = sessions_.find(slot); session != sessions_.end()) {
      const RecordParts& parts = session->second->parts();
      if (!parts.user.empty()) ++counts[{parts.user, parts.address.text()}];
    } else if (slab_.state(slot) == SlotState::kParked) {
      RecordView view = RecordView::trusted(slab_.block(slot));
      ++counts[{std::string(view.user()), view.address().text()}];
    }
  }
  wire::DenToTracker message;
  size_t bytes = 0;
  auto flush = [&](bool last) {
    message.mutable_census()->set_last(last);
    post_to_tracker(message);
    message.Clear();
    bytes = 0;
  };
  for (auto& [who, sessions] : counts) {
    auto* entry = message.mutable_census()->add_entries();
    entry->set_user(who.first);
    entry->set_remote_address(who.second);
    entry->set_sessions(sessions);
    bytes += entry->ByteSizeLong() + 4;
    if (message.census().entries_size() == wire::kMaxCensusEntries ||
        bytes > io::kMaxMessageBytes / 2) {
      flush(false);
    }
  }
  flush(true);
}

}  // namespace dormouse::hibernate
