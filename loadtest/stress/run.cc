#include "loadtest/stress/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "loadtest/clock.h"

namespace dormouse::loadtest::stress {
namespace {

constexpr size_t kReceiveBytes = 32 * 1024;
constexpr uint64_t kConnectTimeoutMs = 30'000;
// How often a client looks up from its socket, to see that the run ends or nobody answers.
constexpr uint64_t kLookMs = 200;
// Before a client that could not connect tries again.
constexpr uint64_t kRetryMs = 100;
// After the end, for the last answers and LOGOUTs.
constexpr uint64_t kLogoutMs = 30'000;

io::Task<Result<uint32_t>> connect_to(io::Loop* loop, int fd, const Target* target) {
  co_return co_await loop->connect(fd, target->native(), target->length);
}

io::Task<Result<uint32_t>> receive(io::Loop* loop, int fd, std::span<std::byte> buffer) {
  co_return co_await loop->recv(fd, buffer);
}

io::Task<Result<void>> send_all(io::Loop* loop, int fd, const tls::Bytes* bytes) {
  for (size_t sent = 0; sent < bytes->size();) {
    auto done = co_await loop->send(fd, tls::ByteView(*bytes).subspan(sent), MSG_NOSIGNAL);
    if (!done) co_return std::unexpected(done.error());
    sent += *done;
  }
  co_return Result<void>{};
}

}  // namespace

bool RunTotals::clean() const {
  return violations == 0 && std::accumulate(commands.begin(), commands.end(), uint64_t{0}) > 0;
}

Result<std::unique_ptr<StressRun>> StressRun::create(io::Loop& loop, RunSettings settings) {
  auto run = std::unique_ptr<StressRun>(new StressRun(loop, std::move(settings)));
  const RunSettings& set = run->settings_;
  if (set.tls) {
    auto context = tls::ClientContext::create(*set.tls);
    if (!context) return std::unexpected(context.error());
    run->tls_context_.emplace(std::move(*context));
    auto crypto = tls::RecordCrypto::create();
    if (!crypto) return std::unexpected(crypto.error());
    run->crypto_.emplace(std::move(*crypto));
  }
  for (uint32_t user = 0; user < std::min(set.users, set.clients); ++user) {
    uint32_t clients = set.clients / set.users + (user < set.clients % set.users ? 1 : 0);
    run->truths_.push_back(std::make_unique<MailboxTruth>(clients));
  }
  for (uint32_t i = 0; i < set.clients; ++i) {
    ClientSettings client = set.client;
    uint32_t user = i % set.users;
    client.user = set.user.name(uint64_t{set.first_user} + user);
    client.password = set.password.name(uint64_t{set.first_user} + user);
    client.number = i;
    client.slot = i / set.users;
    run->members_.push_back(
        {.client = std::make_unique<Client>(std::move(client), *run->truths_[user])});
  }
  return run;
}

void StressRun::stop() {
  stopping_ = true;
  for (Member& member : members_) member.client->stop();
}

bool StressRun::all_gone() const {
  return std::ranges::all_of(members_, [](const Member& member) { return member.gone; });
}

io::Task<void> StressRun::run() {
  begun_us_ = now_us();
  for (uint32_t i = 0; i < members_.size(); ++i) loop_.root().spawn(life(i));
  if (!settings_.quiet) loop_.root().spawn(show());
  uint64_t end_us = begun_us_ + uint64_t(settings_.seconds * 1e6);
  while (!stopping_ && !all_gone() && (settings_.seconds == 0 || now_us() < end_us)) {
    if (auto slept = co_await loop_.sleep(20); !slept) co_return;
  }
  stop();
  ended_us_ = now_us();
  while (!all_gone() && now_us() < ended_us_ + kLogoutMs * 1000) {
    if (auto slept = co_await loop_.sleep(5); !slept) co_return;
  }
  for (uint32_t i = 0; i < members_.size(); ++i) {
    if (!members_[i].gone) report_violation(i, "did not come to an end after the run's");
  }
}

io::Task<void> StressRun::life(uint32_t index) {
  Member& member = members_[index];
  while (!stopping_) {
    auto ended = co_await session(index);
    member.connected = false;
    Client& client = *member.client;
    for (const std::string& complaint : client.complaints()) report_violation(index, complaint);
    bool wrong = !client.complaints().empty();
    if (!ended && !wrong) {
      std::string reason = client.bye().empty() ? ended.error().message : client.bye();
      if (settings_.may_disconnect) {
        ++totals_.disconnects;
      } else {
        report_violation(index, "the connection was lost: " + reason);
      }
    }
    count(client);
    client.closed();
    client.complaints().clear();
    if (ended || stopping_) continue;
    if (auto slept = co_await loop_.sleep(kRetryMs); !slept) break;
  }
  member.gone = true;
}

io::Task<Result<WireStream>> StressRun::open(uint32_t index, const io::Fd* socket) {
  auto connecting = connect_to(&loop_, socket->get(), &settings_.target);
  auto connected = co_await io::with_timeout(kConnectTimeoutMs, std::move(connecting));
  if (!connected) co_return std::unexpected(connected.error());
  ++totals_.connections;
  members_[index].connected = true;
  members_[index].client->connected();
  if (!tls_context_) co_return WireStream();
  tls::Bytes hello;
  auto stream = WireStream::tls(*crypto_, *tls_context_, settings_.server_name, nullptr, hello);
  if (!stream) co_return std::unexpected(stream.error());
  if (auto sent = co_await send_all(&loop_, socket->get(), &hello); !sent) {
    co_return std::unexpected(sent.error());
  }
  co_return std::move(*stream);
}

// One connection, from connect() to LOGOUT. An error: it ended otherwise.
io::Task<Result<void>> StressRun::session(uint32_t index) {
  Client& client = *members_[index].client;
  auto socket = make_socket(settings_.target, index % settings_.sources);
  if (!socket) co_return std::unexpected(socket.error());
  auto stream = co_await open(index, &*socket);
  if (!stream) co_return std::unexpected(stream.error());
  std::vector<std::byte> buffer(kReceiveBytes);
  while (!client.finished() && client.complaints().empty()) {
    if (auto done = co_await turn(index, socket->get(), &*stream, &buffer); !done) co_return done;
  }
  co_return Result<void>{};
}

// Says what there is to say, and hears what comes next.
io::Task<Result<void>> StressRun::turn(uint32_t index, int socket, WireStream* stream,
                                       std::vector<std::byte>* buffer) {
  Client& client = *members_[index].client;
  std::string say;
  client.act(now_us(), say);
  if (!say.empty()) {
    tls::Bytes wire;
    if (auto put = stream->put(say, wire); !put) co_return put;
    if (auto sent = co_await send_all(&loop_, socket, &wire); !sent) co_return sent;
  }
  uint64_t now = now_us();
  uint64_t wait_ms = kLookMs;
  if (client.wake_us() > 0) {
    wait_ms = std::min(wait_ms, (client.wake_us() - std::min(client.wake_us(), now)) / 1000 + 1);
  }
  auto received = co_await io::with_timeout(wait_ms, receive(&loop_, socket, *buffer));
  if (!received && received.error().kind == ErrorKind::kTimeout) {
    uint64_t since = client.waiting_since_us();
    if (since > 0 && now_us() - since > uint64_t{settings_.stall_seconds} * 1'000'000) {
      client.complaints().push_back(
          fmt::format("no answer for {} seconds", settings_.stall_seconds));
    }
    co_return Result<void>{};
  }
  if (!received) co_return std::unexpected(received.error());
  if (*received == 0) co_return fail(ErrorKind::kClosed, "closed by the server");
  std::string plain;
  tls::Bytes reply;
  auto input = stream->take(std::span(*buffer).first(*received), plain, reply);
  client.hear(plain, now_us());
  count(client);
  if (client.finished() || !client.complaints().empty()) co_return Result<void>{};
  if (!client.bye().empty()) co_return fail(ErrorKind::kClosed, client.bye());
  if (input == WireStream::Input::kClosed) {
    co_return fail(ErrorKind::kClosed, "TLS closed by the server");
  }
  if (input == WireStream::Input::kBroken) {
    co_return fail(ErrorKind::kInvalid, std::string(stream->failure()));
  }
  co_return co_await send_all(&loop_, socket, &reply);
}

void StressRun::count(Client& client) {
  for (auto [state, latency_us] : client.take_answered()) {
    ++totals_.commands[size_t(state)];
    totals_.latency[size_t(state)].record(latency_us);
  }
}

void StressRun::report_violation(uint32_t index, std::string_view what) {
  ++totals_.violations;
  const Client& client = *members_[index].client;
  fmt::print(stderr, "violation: client {} (user {}, seed {}): {}\n{}", index,
             client.settings().user, client.settings().seed, what, client.dialogue());
  if (totals_.violations == settings_.violations_max) {
    fmt::print(stderr, "that is enough: the run ends\n");
    stop();
  }
}

}  // namespace dormouse::loadtest::stress
