#include "hibernate/den.h"

#include <fmt/format.h>

#include <algorithm>

#include "role/log.h"

namespace dormouse::hibernate {
namespace {

// Keepalives and autologouts need no better; 1,024 buckets then span 17 minutes.
constexpr uint64_t kWheelGranularityMs = 1000;
constexpr uint64_t kTickMs = 1000;
// The tracker is restarted within seconds; a client waits no longer for its answer.
constexpr uint64_t kTrackerWaitMs = 30'000;
// Half a TLS record is completed within this time or the connection is broken.
constexpr uint64_t kDrowsyMs = 60'000;
// A turn may hold hundreds of sessions' steps, some 50 us each: in between it is seen what sleepers
// say, and what the watch says of them.
constexpr uint64_t kLookMs = 1;

}  // namespace

Den::Den(role::Process& process, Slab slab, tls::RecordCrypto crypto)
    : process_(process),
      woken_(process.loop(), &process.scope()),
      pushed_(process.loop(), &process.scope()),
      never_(process.loop()),
      slab_(std::move(slab)),
      crypto_(std::move(crypto)),
      wheel_(slab_.slots(), kWheelGranularityMs, process.loop().now_ms()),
      watches_(slab_.slots()),
      refreshes_(slab_.slots()),
      coalescer_(process.settings().den().coalesce_ms()),
      tracker_up_(process.loop()),
      started_ms_(process.loop().now_ms()) {
  woken_.set_urgency(io::Urgency::kNow);
  pushed_.set_urgency(io::Urgency::kSoon);
}

Den::~Den() = default;

Result<std::unique_ptr<Den>> Den::create(role::Process& process, Slab slab) {
  auto crypto = tls::RecordCrypto::create();
  if (!crypto) return std::unexpected(crypto.error());
  auto den = std::unique_ptr<Den>(new Den(process, std::move(slab), std::move(*crypto)));
  auto table =
      io::SocketTable::create(process.loop(), *den, den->slab_.slots(), den->slab_.incarnation());
  if (!table) return std::unexpected(table.error());
  den->table_ = std::move(*table);
  return den;
}

Result<> Den::start() {
  process_.loop().look_between(kLookMs);
  process_.scope().spawn(keep_sessions());
  adopt();
  process_.scope().spawn(tick());
  return {};
}

void Den::start_session(uint32_t slot, Session::Purpose purpose, RecordParts parts,
                        ClientStream stream, std::string input, tls::Bytes output, bool sweep) {
  auto session =
      std::make_unique<Session>(*this, slot, purpose, std::move(parts), std::move(stream));
  Session* raw = session.get();
  if (sweep) raw->set_sweep();
  sessions_[slot] = std::move(session);
  raw->set_pending(std::move(input), std::move(output));
  scope_of(purpose).spawn(raw->live());
}

// A sleeper's word goes before what is pushed, and both before those that come in.
io::Scope& Den::scope_of(Session::Purpose purpose) {
  if (process_.scope().cancelled()) return process_.scope();  // keep_sessions() waits no longer
  switch (purpose) {
    case wire::DenToWorker::INPUT:
      return woken_;
    case wire::DenToWorker::REFRESH:
      return pushed_;
    default:
      return process_.scope();
  }
}

// The scopes of sessions end with the process's.
io::Task<void> Den::keep_sessions() {
  [[maybe_unused]] auto ended = co_await never_.wait();
  co_await woken_.join();
  co_await pushed_.join();
}

bool Den::publish(uint32_t slot, const RecordParts& parts, std::span<const std::byte> goes_out) {
  size_t bytes = encoded_bytes(parts);
  std::span<std::byte> block;
  if (bytes != 0) block = slab_.allocate(bytes);
  if (block.empty()) return false;
  RecordParts stamped = parts;
  stamped.parked_at_s = uint32_t(loop().now_ms() / 1000);
  encode(stamped, block);
  if (!goes_out.empty()) {
    slab_.note_send({.slot = slot,
                     .exists = parts.exists,
                     .pending = parts.pending,
                     .counters = RecordView::counters_of(parts.tls),
                     .bytes = goes_out});
    RecordView::trusted(block).set_sending_bytes(goes_out.size());
  }
  if (slab_.state(slot) != SlotState::kParked) ++parked_;
  slab_.publish(slot, block);
  return true;
}

void Den::mark_sending(uint32_t slot, bool sending) {
  auto block = slab_.block(slot);
  if (!block.empty()) RecordView::trusted(block).set_flag(kFlagSending, sending);
}

void Den::hold(uint32_t slot) {
  auto block = slab_.block(slot);
  if (!block.empty()) RecordView::trusted(block).set_flag(kFlagHeld, true);
}

void Den::send_recorded(uint32_t slot, std::span<const std::byte> bytes) {
  auto block = slab_.block(slot);
  if (block.empty()) return table_->send(slot, bytes);
  RecordView::trusted(block).set_sending_bytes(bytes.size());
  table_->send_now(slot, bytes);
}

void Den::awoken(uint32_t slot) {
  if (slab_.state(slot) == SlotState::kParked) --parked_;
  slab_.set_state(slot, SlotState::kAwake);
  unwatch(slot);
}

void Den::finish(uint32_t slot, SessionEnd end) {
  auto found = sessions_.find(slot);
  DORMOUSE_CHECK(found != sessions_.end(), "a session ends once");
  std::unique_ptr<Session> session = std::move(found->second);
  sessions_.erase(found);
  bool refresh = session->purpose() == wire::DenToWorker::REFRESH;
  if (refresh) refreshes_.done(end == SessionEnd::kParked);
  if (end == SessionEnd::kClosed) {
    table_->close(slot, session->bytes_in_flight());
    RecordParts parts = session->parts();
    session.reset();
    release(slot, parts.user, parts.address, parts.session);
  } else {
    uint64_t put_off_ms = session->put_off_ms();
    bool queue_full = session->queue_full();
    bool sweep = session->sweep();
    session.reset();
    if (end == SessionEnd::kPutOff && queue_full) {
      ++counters_.refreshes_held_back;
      refreshes_.hold_back(slot, sweep, loop().now_ms() + put_off_ms);
      if (!sweep) RecordView::trusted(slab_.block(slot)).set_flag(kFlagChanged, true);
    } else if (end == SessionEnd::kPutOff) {
      ++counters_.refreshes_put_off;
      refreshes_.put_off(slot, loop().now_ms() + put_off_ms);
      RecordView::trusted(slab_.block(slot)).set_flag(kFlagChanged, true);
    } else {
      RecordView::trusted(slab_.block(slot)).set_flag(kFlagSending, false);
    }
    fall_asleep(slot);
  }
  start_refreshes();
}

// The slot is free again; its socket has been closed.
void Den::release(uint32_t slot, const std::string& user, const Address& address,
                  uint64_t session) {
  if (slab_.state(slot) == SlotState::kParked) --parked_;
  slab_.set_state(slot, SlotState::kFree);
  unwatch(slot);
  wheel_.clear(slot);
  refreshes_.forget(slot);
  coalescer_.forget(slot);
  delayed_.forget(slot);
  leaving_.forget(slot);
  outgoing_.erase(slot);
  drowsy_.erase(slot);
  free_slots_.push_back(slot);
  ++counters_.closed;
  if (!user.empty()) {
    wire::DenToTracker message;
    auto* closed = message.mutable_closed();
    closed->set_user(user);
    closed->set_remote_address(address.text());
    closed->set_session(session);
    post_to_tracker(message);
  }
  tell_load();
}

void Den::release_parked(uint32_t slot) {
  RecordView view = RecordView::trusted(slab_.block(slot));
  std::string user(view.user());
  Address address = view.address();
  uint64_t session = view.session();
  auto out = outgoing_.find(slot);
  table_->close(slot, out != outgoing_.end() ? out->second.bytes : nullptr);
  release(slot, user, address, session);
}

uint64_t Den::new_request(uint32_t slot) {
  requests_[++last_request_] = slot;
  return last_request_;
}

io::Task<Result<void>> Den::tracker_up() { return io::wait(&tracker_up_, kTrackerWaitMs); }

io::Task<void> Den::tick() {
  while (true) {
    auto slept = co_await loop().sleep(kTickMs);
    if (!slept) co_return;
    wheel_.advance(loop().now_ms(), [this](uint32_t slot) { due(slot); });
    std::vector<uint32_t> late;
    for (auto& [slot, drowsy] : drowsy_) {
      if (loop().now_ms() - drowsy.since_ms > kDrowsyMs) late.push_back(slot);
    }
    for (uint32_t slot : late) release_parked(slot);
    refreshes_.take_back(loop().now_ms());
    start_refreshes();
  }
}

void Den::drain(uint32_t grace_ms, const std::string& text) {
  draining_ = true;
  tell_load();
  process_.scope().spawn(drain_task(grace_ms, text));
}

io::Task<void> Den::drain_task(uint32_t grace_ms, std::string text) {
  for (auto& [slot, session] : sessions_) session->shut_down(text);
  std::string bye = fmt::format("* BYE {}\r\n", text);
  for (uint32_t slot = 0; slot < slab_.slots(); ++slot) {
    if (slab_.state(slot) != SlotState::kParked || sessions_.contains(slot)) continue;
    say_to_parked(slot, bye, true);
  }
  uint64_t end_ms = loop().now_ms() + grace_ms;
  while (loop().now_ms() < end_ms && (!sessions_.empty() || parked_ > 0)) {
    auto slept = co_await loop().sleep(10);
    if (!slept) break;
  }
  process_.drained();
}

}  // namespace dormouse::hibernate
