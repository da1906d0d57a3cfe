#include "hibernate/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "hibernate/den.h"
#include "role/log.h"
#include "wire/link.h"

namespace dormouse::hibernate {

Session::Session(Den& den, uint32_t slot, Purpose purpose, RecordParts parts, ClientStream stream)
    : den_(den),
      slot_(slot),
      purpose_(purpose),
      parts_(std::move(parts)),
      stream_(std::move(stream)),
      readable_(den.loop()),
      received_(den.loop()),
      progress_(den.loop()) {}

Session::~Session() = default;

void Session::set_grant(std::string grant, std::string tag) {
  grant_ = std::move(grant);
  tag_ = std::move(tag);
}

void Session::set_pending(std::string input, tls::Bytes output) {
  input_ = std::move(input);
  queued_ = std::move(output);
  pump();
}

size_t Session::held_bytes() const {
  return sizeof(Session) + input_.capacity() + replay_.capacity() + queued_.capacity() +
         (flying_ ? flying_->capacity() : 0) + collected_.capacity() + parts_.state.capacity() +
         stream_.held_bytes();
}

io::Task<void> Session::live() {
  SessionEnd end = co_await serve();
  den_.finish(slot_, end);  // destroys *this
}

io::Task<SessionEnd> Session::serve() {
  for (uint32_t attempt = 0;;) {
    if (!attach(attempt)) {
      // No tracker: it is being restarted. Client bytes and record stay where they are.
      reason_ = "waiting for the tracker";
      auto up = co_await den_.tracker_up();
      if (!up) {
        if (purpose_ == wire::DenToWorker::REFRESH) co_return put_off(kNoTrackerPutOffMs);
        co_return co_await farewell("Server is not available");
      }
      // A tracker that has just died looks connected until its link has seen the end: without a
      // pause this would go round for ever and the den do nothing else.
      auto slept = co_await den_.loop().sleep(kTrackerRetryMs);
      if (!slept) co_return SessionEnd::kClosed;
      continue;
    }
    RelayEnd end = co_await relay();
    relay_.close();
    switch (end) {
      case RelayEnd::kParked:
        co_return SessionEnd::kParked;
      case RelayEnd::kRefreshed:
        co_return co_await refreshed(*refreshed_);
      case RelayEnd::kBye:
        co_return co_await farewell("");
      case RelayEnd::kClientGone:
        co_return SessionEnd::kClosed;
      case RelayEnd::kTrackerLost:
        continue;
      case RelayEnd::kRefused: {
        if (!refusal_->permanent() && attempt < kAttemptsMax) {
          reason_ = "refused: " + refusal_->text();
          uint64_t retry_ms = std::clamp(refusal_->retry_ms(), 10u, 30'000u);
          queue_full_ = refusal_->queue_full();
          if (purpose_ == wire::DenToWorker::REFRESH) co_return put_off(retry_ms);
          auto slept = co_await den_.loop().sleep(retry_ms);
          if (!slept) co_return SessionEnd::kClosed;
          ++attempt;
          continue;
        }
        if (purpose_ == wire::DenToWorker::NEW && !tag_.empty()) {
          std::string code = refusal_->response_code().empty()
                                 ? ""
                                 : fmt::format("[{}] ", refusal_->response_code());
          if (!stream_.put(fmt::format("{} NO {}{}\r\n", tag_, code, refusal_->text()), queued_)) {
            co_return SessionEnd::kClosed;
          }
        }
        co_return co_await farewell(refusal_->text());
      }
      case RelayEnd::kWorkerGone:
        ++den_.counters().workers_lost;
        if (heard_ || streaming_) {
          co_return co_await farewell("Internal error: the session's worker is gone");
        }
        if (++attempt <= kAttemptsMax) continue;
        if (purpose_ == wire::DenToWorker::REFRESH) co_return put_off(kNoWorkerPutOffMs);
        co_return co_await farewell("Internal error: no worker can serve this session");
    }
  }
}

// Makes the relay channel and asks the tracker to give its other end to a worker. False: there is
// no tracker to ask.
bool Session::attach(uint32_t attempt) {
  refusal_.reset();
  tracker_lost_ = false;
  stopping_ = false;
  given_bytes_ = 0;
  collected_.clear();
  // What a worker has taken without a word is said again to the next one.
  input_.insert(0, replay_);
  replay_.clear();
  if (!den_.tracker_connected()) return false;

  io::Channel worker_end;
  if (!open_relay(worker_end)) return false;
  den_.forget_request(request_);
  request_ = den_.new_request(slot_);
  wire::DenToTracker message;
  if (purpose_ == wire::DenToWorker::NEW && parts_.user.empty()) {
    auto* open = message.mutable_open();
    open->set_request(request_);
    open->set_grant(grant_);
    open->set_remote_address(parts_.address.text());
    open->set_session(parts_.session);
  } else {
    auto* again = message.mutable_attach();
    again->set_request(request_);
    again->set_user(parts_.user);
    again->set_cookie(parts_.cookie.data(), parts_.cookie.size());
    again->set_session(parts_.session);
    again->set_remote_address(parts_.address.text());
    again->set_purpose(purpose_ != wire::DenToWorker::REFRESH ? wire::DenToTracker::INPUT
                       : sweep_                               ? wire::DenToTracker::SWEEP
                                                              : wire::DenToTracker::REFRESH);
    again->set_attempt(attempt);
  }
  reason_ = "waiting for a worker";
  return den_.post_to_tracker(message, worker_end.release());
}

// The pair, with Begin on it already.
bool Session::open_relay(io::Channel& worker_end) {
  auto ends = io::Channel::pair();
  if (!ends) {
    role::log_error("relay-pair-failed",
                    {{"session", parts_.session}, {"error", ends.error().message}});
    return false;
  }
  relay_ = std::move(ends->first);
  worker_end = std::move(ends->second);
  wire::DenToWorker message;
  auto* begin = message.mutable_begin();
  begin->set_purpose(purpose_);
  begin->set_tag(tag_);
  begin->set_state(parts_.state);
  begin->set_remote_address(parts_.address.text());
  begin->set_tls(stream_.tls());
  begin->set_compressed(stream_.compressed());
  begin->set_mode(parts_.mode);
  begin->set_idle_tag(parts_.idle_tag);
  if (parts_.announces) begin->set_exists(parts_.exists);
  return bool(wire::try_send(relay_, message));
}

SessionEnd Session::put_off(uint64_t ms) {
  put_off_ms_ = ms;
  return SessionEnd::kPutOff;
}

// Last words, given a while to leave.
io::Task<SessionEnd> Session::farewell(std::string text) {
  den_.hold(slot_);
  if (!text.empty() && !stream_.put(fmt::format("* BYE {}\r\n", text), queued_)) {
    co_return SessionEnd::kClosed;
  }
  stream_.end(queued_);
  pump();
  [[maybe_unused]] auto out = co_await io::with_timeout(kFarewellMs, output_below(1));
  co_return SessionEnd::kClosed;
}

void Session::opened(const wire::TrackerToDen::Opened& opened) {
  if (purpose_ != wire::DenToWorker::NEW || opened.cookie().size() != parts_.cookie.size()) return;
  if (opened.user().empty() || opened.user().size() > kUserBytesMax) return;
  parts_.user = opened.user();
  std::copy_n(reinterpret_cast<const std::byte*>(opened.cookie().data()), parts_.cookie.size(),
              parts_.cookie.begin());
}

void Session::refused(const wire::TrackerToDen::Refused& refused) {
  refusal_ = refused;
  break_relay();
}

void Session::tracker_lost() {
  // A worker that has it does not mind (what it said may still lie in the channel); one that may
  // never come is not waited for.
  if (heard_ || streaming_ || relay_readable()) return;
  tracker_lost_ = true;
  break_relay();
}

void Session::shut_down(const std::string& text) {
  wire::DenToWorker message;
  message.mutable_shutdown()->set_text(text);
  if (relay_ && heard_) {
    answer_worker(message);
  } else {
    refusal_.emplace();
    refusal_->set_permanent(true);
    refusal_->set_text(text);
    break_relay();
  }
}

}  // namespace dormouse::hibernate
