#include "auth/login_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "auth/limits.h"
#include "io/secret.h"
#include "role/log.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::auth {

using wire::AuthToLogin;
using Refused = wire::AuthToLogin::Refused;

LoginLink::LoginLink(io::Loop& loop, Verifier& verifier, TrackerLink& tracker,
                     const std::vector<Mechanism>& mechanisms, LoginCounters& counters,
                     io::Channel channel)
    : loop_(loop),
      verifier_(verifier),
      tracker_(tracker),
      mechanisms_(mechanisms),
      counters_(counters),
      channel_(std::move(channel)),
      outbox_(loop, channel_, kLoginMessagesMax) {}

io::Task<void> LoginLink::serve() {
  io::Scope scope(loop_, co_await io::current_scope());
  scope_ = &scope;
  scope.spawn(outbox_.run());
  Result<> going;
  while (going) {
    if (outbox_.crowded()) going = co_await outbox_.wait_for_room();
    if (!going) break;
    Result<io::Message> raw = co_await channel_.receive(loop_);
    if (!raw) {
      going = std::unexpected(raw.error());
      break;
    }
    wire::LoginToAuth message;
    going = wire::parse(raw->bytes, message);
    io::wipe(raw->bytes);  // a password may be in it
    if (going) going = handle(message);
  }
  const ErrorKind kind = going.error().kind;
  if (kind == ErrorKind::kInvalid) {
    role::log_error("login-link-broken", {{"reason", going.error().message}});
  } else if (kind != ErrorKind::kCancelled) {
    role::log_info("login-link-ended", {{"reason", going.error().message}});
  }
  scope.cancel();
  co_await scope.join();
}

Result<> LoginLink::handle(wire::LoginToAuth& message) {
  switch (message.kind_case()) {
    case wire::LoginToAuth::kStart:
      return start(*message.mutable_start());
    case wire::LoginToAuth::kContinue:
      return proceed(*message.mutable_continue_());
    case wire::LoginToAuth::kAbort:
      exchanges_.erase(message.abort().request());
      return {};
    case wire::LoginToAuth::KIND_NOT_SET:
      return {};  // of a later release
  }
  return {};
}

Result<> LoginLink::start(wire::LoginToAuth::Start& start) {
  const uint64_t request = start.request();
  if (exchanges_.contains(request)) return fail(ErrorKind::kInvalid, "a number used twice");
  const std::string& address = start.remote_address();
  if (!address.empty() && !wire::is_name(address, kAddressBytesMax)) {
    return fail(ErrorKind::kInvalid, "no address");
  }
  if (exchanges_.size() >= kExchangesPerLinkMax) {
    ++counters_.unavailable;
    refuse(request, Refused::UNAVAILABLE, "too many exchanges");
    return {};
  }
  const bool has_initial = start.has_initial_response();  // mutable_...() would set it
  io::Secret initial(std::move(*start.mutable_initial_response()));
  const auto mechanism = find_mechanism(start.mechanism());
  if (!mechanism || initial.size() > kResponseBytesMax ||
      std::find(mechanisms_.begin(), mechanisms_.end(), *mechanism) == mechanisms_.end()) {
    ++counters_.malformed;
    refuse(request, Refused::PROTOCOL, "unknown mechanism or long response");
    return {};
  }
  Exchange& exchange = exchanges_[request];
  exchange.serial = next_serial_++;
  exchange.mechanism = *mechanism;
  exchange.remote_address = address;
  if (*mechanism != Mechanism::kScramSha256) {
    exchange.password.emplace(*mechanism);
    auto given = has_initial ? std::optional(initial.view()) : std::nullopt;
    advance(request, exchange, exchange.password->begin(given));
    return {};
  }
  auto server = verifier_.start_scram();
  if (!server) {
    ++counters_.unavailable;
    refuse(request, Refused::UNAVAILABLE, server.error().message);
    return {};
  }
  exchange.scram = *std::move(server);
  if (!has_initial) {
    challenge(request, "");  // the client speaks first in SCRAM
    return {};
  }
  exchange.busy = true;
  scope_->spawn(step_scram(request, exchange.serial, exchange.scram, std::move(initial), address));
  return {};
}

Result<> LoginLink::proceed(wire::LoginToAuth::Continue& next) {
  io::Secret response(std::move(*next.mutable_response()));
  auto found = exchanges_.find(next.request());
  if (found == exchanges_.end()) return {};  // refused already
  Exchange& exchange = found->second;
  if (exchange.busy) return fail(ErrorKind::kInvalid, "a response that was not asked for");
  if (response.size() > kResponseBytesMax) {
    ++counters_.malformed;
    refuse(next.request(), Refused::PROTOCOL, "long response");
    return {};
  }
  if (exchange.password) {
    advance(next.request(), exchange, exchange.password->respond(response.view()));
    return {};
  }
  exchange.busy = true;
  scope_->spawn(step_scram(next.request(), exchange.serial, exchange.scram, std::move(response),
                           exchange.remote_address));
  return {};
}

void LoginLink::advance(uint64_t request, Exchange& exchange, PasswordExchange::Step step) {
  switch (step.kind) {
    case PasswordExchange::Kind::kChallenge:
      challenge(request, step.text);
      return;
    case PasswordExchange::Kind::kWrong:
      ++counters_.malformed;
      refuse(request, Refused::PROTOCOL, step.text);
      return;
    case PasswordExchange::Kind::kCheck:
      exchange.busy = true;
      scope_->spawn(
          check_password(request, exchange.serial, std::move(step.login), exchange.remote_address));
      return;
  }
}

io::Task<void> LoginLink::check_password(uint64_t request, uint64_t serial, PasswordLogin login,
                                         std::string remote_address) {
  Verdict verdict = co_await verifier_.check_password(std::move(login), std::move(remote_address));
  co_await conclude(request, serial, std::move(verdict));
}

io::Task<void> LoginLink::step_scram(uint64_t request, uint64_t serial,
                                     std::shared_ptr<ScramServer> server, io::Secret input,
                                     std::string remote_address) {
  Verdict verdict =
      co_await verifier_.step_scram(std::move(server), std::move(input), std::move(remote_address));
  co_await conclude(request, serial, std::move(verdict));
}

LoginLink::Exchange* LoginLink::find(uint64_t request, uint64_t serial) {
  auto found = exchanges_.find(request);
  return found == exchanges_.end() || found->second.serial != serial ? nullptr : &found->second;
}

io::Task<void> LoginLink::conclude(uint64_t request, uint64_t serial, Verdict verdict) {
  Exchange* exchange = find(request, serial);
  if (exchange == nullptr) co_return;
  switch (verdict.kind) {
    case Verdict::Kind::kChallenge:
      exchange->busy = false;
      challenge(request, verdict.output);
      co_return;
    case Verdict::Kind::kRefused:
      ++counters_.refused;
      role::log_info("auth-refused", {{"user", verdict.user},
                                      {"address", exchange->remote_address},
                                      {"mechanism", mechanism_name(exchange->mechanism)},
                                      {"reason", verdict.why}});
      refuse(request, Refused::CREDENTIALS, verdict.why);
      co_return;
    case Verdict::Kind::kUnavailable:
      ++counters_.unavailable;
      refuse(request, Refused::UNAVAILABLE, verdict.why);
      co_return;
    case Verdict::Kind::kMalformed:
      ++counters_.malformed;
      refuse(request, Refused::PROTOCOL, verdict.why);
      co_return;
    case Verdict::Kind::kAccepted:
      break;
  }
  const std::string user = verdict.identity.user();
  auto grant = co_await tracker_.grant(std::move(verdict.identity), std::move(verdict.limits));
  exchange = find(request, serial);
  if (exchange == nullptr) co_return;
  if (!grant) {
    ++counters_.unavailable;
    role::log_warning("grant-failed", {{"user", user}, {"reason", grant.error().message}});
    refuse(request, Refused::UNAVAILABLE, "the tracker is away");
    co_return;
  }
  ++counters_.granted;
  AuthToLogin message;
  message.mutable_granted()->set_request(request);
  message.mutable_granted()->set_grant(*grant);
  message.mutable_granted()->set_user(user);
  message.mutable_granted()->set_final_data(std::move(verdict.output));
  exchanges_.erase(request);
  push(message);
}

void LoginLink::challenge(uint64_t request, std::string_view data) {
  AuthToLogin message;
  message.mutable_challenge()->set_request(request);
  message.mutable_challenge()->set_data(std::string(data));
  push(message);
}

void LoginLink::refuse(uint64_t request, Refused::Reason reason, std::string_view text) {
  exchanges_.erase(request);
  AuthToLogin message;
  message.mutable_refused()->set_request(request);
  message.mutable_refused()->set_reason(reason);
  message.mutable_refused()->set_text(std::string(text));
  push(message);
}

void LoginLink::push(const AuthToLogin& message) {
  if (outbox_.push(message)) return;
  // Its clients would wait for ever: serve() sees the end of the channel, and the peer too.
  role::log_error("login-link-full", {{"messages", outbox_.size()}});
  ::shutdown(channel_.fd(), SHUT_RDWR);
}

}  // namespace dormouse::auth
