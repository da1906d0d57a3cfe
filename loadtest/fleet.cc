#include "loadtest/fleet.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "loadtest/clock.h"

namespace dormouse::loadtest {
namespace {

uint32_t open_files_max() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return uint32_t(std::min<rlim_t>(limit.rlim_cur, 1'000'000));  // the kernel's own bound is 2^20
}

io::Task<Result<uint32_t>> connect_to(io::Loop* loop, int fd, const Target* target) {
  co_return co_await loop->connect(fd, target->native(), target->length);
}

}  // namespace

Fleet::Fleet(io::Loop& loop, FleetSettings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      dialog_(settings_.dialog),
      ledger_(settings_.dialog.users),
      sessions_(settings_.sessions) {}

Result<std::unique_ptr<Fleet>> Fleet::create(io::Loop& loop, FleetSettings settings) {
  auto fleet = std::unique_ptr<Fleet>(new Fleet(loop, std::move(settings)));
  const FleetSettings& set = fleet->settings_;
  if (set.tls) {
    auto context = tls::ClientContext::create(*set.tls);
    if (!context) return std::unexpected(context.error());
    fleet->tls_context_.emplace(std::move(*context));
    if (set.tls_resume) {
      tls::ClientSettings awaiting = *set.tls;
      awaiting.await_ticket = true;
      auto first = tls::ClientContext::create(awaiting);
      if (!first) return std::unexpected(first.error());
      fleet->ticket_context_.emplace(std::move(*first));
    }
    auto crypto = tls::RecordCrypto::create();
    if (!crypto) return std::unexpected(crypto.error());
    fleet->crypto_.emplace(std::move(*crypto));
    fleet->frozen_ =
        std::make_unique_for_overwrite<std::byte[]>(set.sessions * tls::kFrozenBytesMax);
  }
  if (set.dialog.compress > 0) fleet->histories_.resize(set.sessions);
  fleet->sockets_per_shard_ = open_files_max();
  if (set.sockets_per_shard > 0) {
    fleet->sockets_per_shard_ = std::min(fleet->sockets_per_shard_, set.sockets_per_shard);
  }
  for (uint32_t first = 0; first < set.sessions; first += fleet->sockets_per_shard_) {
    uint32_t slots = std::min(fleet->sockets_per_shard_, set.sessions - first);
    auto shard = Shard::create(*fleet, first, slots);
    if (!shard) return std::unexpected(shard.error());
    loop.root().spawn((*shard)->run(loop));
    fleet->shards_.push_back(std::move(*shard));
  }
  return fleet;
}

uint32_t Fleet::users_watched() const {
  return std::min(settings_.dialog.users, settings_.sessions);
}

uint64_t Fleet::asleep_bytes_per_session() const {
  constexpr uint64_t kSocketTableBytes = 3;  // a generation and a busy mask
  uint64_t compress_bytes = histories_.size() * sizeof(tls::Bytes) + history_bytes_;
  return sizeof(Session) + kSocketTableBytes + (settings_.tls ? tls::kFrozenBytesMax : 0) +
         compress_bytes / sessions_.size();
}

tls::ByteSpan Fleet::frozen(uint32_t session) {
  return {frozen_.get() + session * tls::kFrozenBytesMax, tls::kFrozenBytesMax};
}

io::Task<void> Fleet::start(uint32_t session, uint64_t intended_us) {
  sessions_[session] = Session{.phase = Phase::kConnecting};
  ++counters_.started;
  ++login_round_.begun;
  uint64_t begun_us = now_us();
  login_round_.lateness.record(begun_us - std::min(begun_us, intended_us));
  uint64_t give_up_us = begun_us + settings_.login_timeout_ms * 1000;
  auto opened = co_await try_to_open(session, intended_us, give_up_us);
  // TCP gave up, 10 to 130 s after its first SYN by the system's settings; a mail client does not.
  while (!opened && opened.error().errno_value == ETIMEDOUT && now_us() < give_up_us) {
    ++counters_.connect_timeouts;
    opened = co_await try_to_open(session, intended_us, give_up_us);
  }
  if (!opened) end(session, opened.error().message);
}

io::Task<Result<void>> Fleet::try_to_open(uint32_t session, uint64_t intended_us,
                                          uint64_t give_up_us) {
  auto socket = make_socket(settings_.target, session % settings_.sources);
  if (!socket) co_return std::unexpected(socket.error());
  auto connecting = connect_to(&loop_, socket->get(), &settings_.target);
  uint64_t left_ms = (give_up_us - std::min(give_up_us, now_us())) / 1000;
  auto connected = co_await io::with_timeout(left_ms, std::move(connecting));
  if (!connected) co_return std::unexpected(connected.error());
  co_return open(session, std::move(*socket), intended_us);
}

Result<> Fleet::open(uint32_t session, io::Fd socket, uint64_t intended_us) {
  auto awake = std::make_unique<Awake>();
  awake->errand = Errand::kLogin;
  awake->intended_us = intended_us;
  awake->deadline_us = now_us() + settings_.login_timeout_ms * 1000;
  if (tls_context_) {
    const bool first = ticket_context_ && !tls_session_;
    auto stream =
        WireStream::tls(*crypto_, first ? *ticket_context_ : *tls_context_, settings_.server_name,
                        tls_session_ ? &*tls_session_ : nullptr, awake->next);
    if (!stream) return std::unexpected(stream.error());
    awake->stream = std::move(*stream);
  }
  Shard& shard = shard_of(session);
  auto installed = shard.sockets().install(shard.slot_of(session), socket.get());
  if (!installed) return std::unexpected(installed.error());
  sessions_[session].phase = Phase::kGreeting;
  ++counters_.connected;
  Awake& kept = *awake;
  awake_[session] = std::move(awake);
  shard.sockets().arm(shard.slot_of(session));
  flush(session, kept);
  shard.turn();
  return {};
}

void Fleet::send_on(uint32_t session, Errand errand, uint64_t intended_us) {
  Session& state = sessions_[session];
  DORMOUSE_CHECK(is_asleep(state.phase), "only a sleeper is sent on an errand");
  Awake* awake = wake(session);
  if (awake == nullptr) return;
  uint64_t begun_us = now_us();
  if (errand != Errand::kPoll) {
    ++round_.begun;
    round_.lateness.record(begun_us - std::min(begun_us, intended_us));
    last_activity_us_ = begun_us;
  }
  --counters_.idle;
  awake->errand = errand;
  awake->round = errand == Errand::kPoll ? 0 : round_number_;
  awake->intended_us = intended_us;
  std::string text;
  if (errand == Errand::kCommand) {
    dialog_.done_and_command(state, text);
  } else {
    dialog_.done(state, text);
  }
  if (say(session, *awake, text)) shard_of(session).turn();
}

void Fleet::begin_round() {
  round_ = Round{};
  ++round_number_;
}

void Fleet::log_out(uint32_t session) {
  Session& state = sessions_[session];
  if (state.phase == Phase::kEmpty || state.phase == Phase::kGone) return;
  bool asleep = is_asleep(state.phase);
  Awake* awake = asleep ? wake(session) : nullptr;
  if (asleep && awake == nullptr) return;
  if (!asleep) return cut(session);
  --counters_.idle;
  std::string text;
  dialog_.done_and_logout(state, text);
  if (say(session, *awake, text)) shard_of(session).turn();
}

void Fleet::cut(uint32_t session) {
  Session& state = sessions_[session];
  // Who is still connecting ends by itself, as every login does.
  if (state.phase <= Phase::kConnecting || state.phase == Phase::kGone) return;
  if (is_asleep(state.phase)) --counters_.idle;
  state.phase = Phase::kLogout;
  end(session, "");
}

void Fleet::end_late_logins() {
  uint64_t now = now_us();
  std::erase_if(settling_,
                [&](const auto& entry) { return entry.second + settings_.settle_ms * 1000 < now; });
  std::vector<uint32_t> late;
  for (auto& [session, awake] : awake_) {
    if (awake->deadline_us != 0 && awake->deadline_us < now) late.push_back(session);
  }
  for (uint32_t session : late) end(session, "login took too long");
}

Fleet::Awake* Fleet::wake(uint32_t session) {
  auto found = awake_.find(session);
  if (found != awake_.end()) return found->second.get();
  auto awake = std::make_unique<Awake>();
  if (tls_context_) {
    auto view = tls::FrozenKeys::attach(frozen(session));
    if (view) {
      auto stream = WireStream::thaw(*crypto_, view->bytes());
      if (stream) awake->stream = std::move(*stream);
      if (!stream) view = std::unexpected(stream.error());
    }
    if (!view) {
      end(session, view.error().message);
      return nullptr;
    }
  }
  if (!histories_.empty() && !histories_[session].empty()) {
    tls::Bytes history = std::exchange(histories_[session], {});
    history_bytes_ -= history.size();
    if (auto begun = awake->stream.start_compress(history); !begun) {
      end(session, begun.error().message);
      return nullptr;
    }
  }
  return (awake_[session] = std::move(awake)).get();
}

void Fleet::sleep_if_done(uint32_t session, Awake& awake) {
  bool quiet = is_asleep(sessions_[session].phase) && awake.errand == Errand::kNone &&
               awake.scanner.at_boundary() && awake.stream.at_boundary() && awake.sending.empty() &&
               awake.next.empty();
  if (!quiet) return;
  if (tls_context_) {
    if (auto done = awake.stream.freeze(frozen(session)); !done) {
      end(session, done.error().message);
      return;
    }
  }
  if (awake.stream.compressed()) {
    auto history = awake.stream.freeze_history();
    if (!history) {
      end(session, history.error().message);
      return;
    }
    history_bytes_ += history->size();
    histories_[session] = std::move(*history);
  }
  awake_.erase(session);
}

void Fleet::session_received(uint32_t session, int32_t result, std::span<std::byte> bytes) {
  Shard& shard = shard_of(session);
  uint32_t slot = shard.slot_of(session);
  if (result == -EAGAIN) {
    shard.sockets().arm(slot);
    return;
  }
  if (result <= 0) {
    end(session, result == 0 ? "closed by the server" : std::strerror(-result));
    return;
  }
  received_us_ = now_us();
  Awake* awake = wake(session);
  if (awake == nullptr) return;
  bool was_ready = awake->stream.ready();
  std::string plain;
  auto input = awake->stream.take(bytes, plain, awake->next);
  if (!was_ready) last_activity_us_ = received_us_;
  if (auto resumable = awake->stream.take_session()) tls_session_ = std::move(resumable);
  if (!plain.empty() && !listen(session, *awake, plain)) return;
  if (input != WireStream::Input::kOpen) {
    flush(session, *awake);
    end(session, input == WireStream::Input::kClosed ? "TLS closed by the server"
                                                     : std::string(awake->stream.failure()));
    return;
  }
  flush(session, *awake);
  shard.sockets().arm(slot);
  sleep_if_done(session, *awake);
}

// Answers false when the session has ended.
bool Fleet::say(uint32_t session, Awake& awake, std::string_view text) {
  if (auto done = awake.stream.put(text, awake.next); !done) {
    end(session, done.error().message);
    return false;
  }
  flush(session, awake);
  return true;
}

void Fleet::flush(uint32_t session, Awake& awake) {
  if (!awake.sending.empty() || awake.next.empty()) return;
  awake.sending.swap(awake.next);
  awake.sent_bytes = 0;
  Shard& shard = shard_of(session);
  shard.sockets().send(shard.slot_of(session), awake.sending);
}

void Fleet::session_sent(uint32_t session, int32_t result) {
  auto found = awake_.find(session);
  DORMOUSE_CHECK(found != awake_.end(), "who sends is awake");
  Awake& awake = *found->second;
  if (result <= 0) {
    awake.sending.clear();
    // What the server said before it closed is still to be read, and says why.
    if (result != -EPIPE && result != -ECONNRESET) end(session, std::strerror(-result));
    return;
  }
  awake.sent_bytes += size_t(result);
  if (awake.sent_bytes < awake.sending.size()) {
    Shard& shard = shard_of(session);
    tls::ByteView rest(awake.sending);
    shard.sockets().send(shard.slot_of(session), rest.subspan(awake.sent_bytes));
    return;
  }
  awake.sending.clear();
  flush(session, awake);
  sleep_if_done(session, awake);
}

void Fleet::end(uint32_t session, const std::string& reason) {
  Session& state = sessions_[session];
  Phase phase = std::exchange(state.phase, Phase::kGone);
  auto found = awake_.find(session);
  std::unique_ptr<Awake> awake;
  if (found != awake_.end()) {
    awake = std::move(found->second);
    awake_.erase(found);
  }
  bool on_errand = awake && awake->round == round_number_ &&
                   (awake->errand == Errand::kDone || awake->errand == Errand::kCommand);
  if (phase != Phase::kConnecting) {
    --counters_.connected;
    Shard& shard = shard_of(session);
    // The bytes of a send under way stay until the kernel is done with them.
    shard.sockets().close(shard.slot_of(session), std::shared_ptr<Awake>(std::move(awake)));
  }
  if (is_asleep(phase)) --counters_.idle;
  if (!histories_.empty()) {
    history_bytes_ -= histories_[session].size();
    histories_[session] = {};
  }
  bool wanted = phase == Phase::kLogout;
  bool excused = !wanted && may_be_awake(session, phase);
  if (state.selected && (wanted || excused)) {
    ledger_.left(dialog_.user_of(session), state.exists);
  } else if (state.selected) {
    ledger_.lost(dialog_.user_of(session), state.exists);
  }
  if (on_errand) ++round_.lost;
  if (!state.settled) ++login_round_.lost;
  if (wanted) {
    ++counters_.left;
    return;
  }
  if (excused) {
    ++counters_.dropped;
    dropped_.push_back(session);
  } else {
    ++(state.settled ? counters_.lost : counters_.failed);
  }
  const std::string why = fmt::format("{} ({})", reason, phase_name(phase));
  if (reasons_.size() < kReasonsMax || reasons_.contains(why)) ++reasons_[why];
}

bool Fleet::may_be_awake(uint32_t session, Phase phase) const {
  if (!settings_.may_drop_awake) return false;
  return !is_asleep(phase) || settling_.contains(session);
}

}  // namespace dormouse::loadtest
