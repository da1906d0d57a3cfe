// Connection's attempts to log in: LOGIN and AUTHENTICATE, up to the handing over.

#include <fmt/format.h>

#include <utility>

#include "imap/syntax/base64.h"
#include "login/connection.h"
#include "role/log.h"

namespace dormouse::login {

using Event = imap::CommandReader::Event;

io::Task<Result<Connection::Next>> Connection::attempt(Attempt attempt) {
  const Policy& policy = services_.policy;
  if (is_plaintext_mechanism(attempt.mechanism) && !plaintext_allowed(policy, standing())) {
    // RFC 5530. The password has crossed the net by now, but the user learns of it.
    say(attempt.tag, "NO [PRIVACYREQUIRED] Use TLS before a password");
    co_return Next::kGoOn;
  }
  if (!attempt.is_login && !offers(policy, standing(), attempt.mechanism)) {
    say(attempt.tag, "NO Unsupported authentication mechanism");
    if (auto noted = note_bad(); !noted) co_return std::unexpected(noted.error());
    co_return Next::kGoOn;
  }
  if (Result<void> flushed = co_await flush(); !flushed) {
    co_return std::unexpected(flushed.error());
  }
  const uint32_t wait_ms =
      services_.penalties.wait_ms(peer_.key, policy.failure_delay_ms, services_.loop.now_ms());
  if (wait_ms > 0) {
    if (auto slept = co_await services_.loop.sleep(wait_ms); !slept) {
      co_return std::unexpected(slept.error());
    }
  }
  Result<bool> turn = co_await wait_for_turn(attempt.tag);
  if (!turn) co_return std::unexpected(turn.error());
  if (!*turn) co_return Next::kGoOn;
  std::string tag = attempt.tag;
  std::string mechanism = attempt.mechanism;
  AuthClient::Exchange exchange(services_.auth);
  Result<AuthAnswer> answer = co_await this->exchange(&exchange, &attempt);
  busy_ = false;
  if (!answer) {
    if (answer.error().kind != ErrorKind::kExists) co_return std::unexpected(answer.error());
    co_return Next::kGoOn;  // cancelled by the client, who was told
  }
  if (answer->kind == AuthAnswer::Kind::kGranted) {
    co_return co_await hand_over(std::move(tag), *std::move(answer), std::move(mechanism));
  }
  co_return co_await failed(std::move(tag), *std::move(answer));
}

io::Task<Result<bool>> Connection::wait_for_turn(std::string tag) {
  std::optional<uint64_t> wait_ms;
  if (!services_.refuses()) {
    wait_ms = services_.logins.take(services_.loop.now_ms(), kPacedMsMax);
  }
  if (!wait_ms) {
    ++services_.counters.refused_logins;
    say(tag, fmt::format("NO {}", refusal(services_.pressure_text)));
    co_return false;
  }
  if (*wait_ms > 0) {
    ++services_.counters.paced_logins;
    if (auto slept = co_await services_.loop.sleep(*wait_ms); !slept) {
      co_return std::unexpected(slept.error());
    }
  }
  co_return true;
}

// Up to auth's last word. kExists: the client was answered already.
io::Task<Result<AuthAnswer>> Connection::exchange(AuthClient::Exchange* exchange,
                                                  Attempt* attempt) {
  const auto answered = fail(ErrorKind::kExists, "answered");
  busy_ = true;
  Result<AuthAnswer> answer =
      co_await exchange->start(attempt->mechanism, std::exchange(attempt->response, std::nullopt),
                               peer_.text, transport_.tls());
  while (answer && answer->kind == AuthAnswer::Kind::kChallenge) {
    if (attempt->is_login) {
      AuthAnswer broken;
      broken.text = "a challenge to LOGIN";
      co_return broken;
    }
    busy_ = false;
    auto response = co_await ask(answer->data, attempt->tag);
    if (!response) co_return std::unexpected(response.error());
    if (!*response) co_return answered;
    busy_ = true;
    answer = co_await exchange->respond(**std::move(response));
  }
  // SCRAM's last word to the client comes as a challenge, to be answered by nothing.
  if (answer && answer->kind == AuthAnswer::Kind::kGranted && !answer->data.empty()) {
    auto response = co_await ask(answer->data, attempt->tag);
    if (!response) co_return std::unexpected(response.error());
    if (!*response) co_return answered;
    if (!(*response)->empty()) {
      say(attempt->tag, "BAD Unexpected response");
      co_return answered;
    }
  }
  co_return answer;
}

io::Task<Result<std::optional<io::Secret>>> Connection::ask(std::string_view challenge,
                                                            const std::string& tag) {
  out_ += "+ ";
  out_ += imap::base64_encode(challenge);
  out_ += "\r\n";
  drop_last();
  reader_.expect_line();
  Result<Event> event = co_await next_event();
  if (!event) co_return std::unexpected(event.error());
  const bool cancelled = reader_.text() == "*";
  auto decoded = imap::base64_decode(reader_.text());
  io::wipe_view(reader_.text());
  drop_last();
  if (cancelled) {
    say(tag, "BAD Authentication cancelled");
    co_return std::optional<io::Secret>();
  }
  if (!decoded) {
    say(tag, "BAD Malformed base64");
    if (auto noted = note_bad(); !noted) co_return std::unexpected(noted.error());
    co_return std::optional<io::Secret>();
  }
  co_return std::optional<io::Secret>(io::Secret(*std::move(decoded)));
}

io::Task<Result<Connection::Next>> Connection::failed(std::string tag, AuthAnswer answer) {
  if (answer.kind == AuthAnswer::Kind::kUnavailable) {
    role::log_warning("login-unavailable", {{"address", peer_.text}, {"reason", answer.text}});
    say(tag, "NO [UNAVAILABLE] Temporary failure, try again later");
    co_return Next::kGoOn;
  }
  // A malformed message tries a password as well as a wrong one does.
  ++failures_;
  ++services_.counters.failed_attempts;
  services_.penalties.failed(peer_.key, services_.loop.now_ms());
  const uint32_t delay_ms = doubled_delay_ms(services_.policy.failure_delay_ms, failures_);
  if (auto slept = co_await services_.loop.sleep(delay_ms); !slept) {
    co_return std::unexpected(slept.error());
  }
  say(tag, answer.kind == AuthAnswer::Kind::kCredentials
               ? "NO [AUTHENTICATIONFAILED] Wrong user name or password"
               : "BAD Malformed authentication message");
  if (failures_ < services_.policy.max_attempts) co_return Next::kGoOn;
  say("*", "BYE Too many failed attempts");
  silent_ = true;
  co_return fail(ErrorKind::kDenied, "too many failed attempts");
}

io::Task<Result<Connection::Next>> Connection::hand_over(std::string tag, AuthAnswer granted,
                                                         std::string mechanism) {
  drop_last();
  if (Result<void> flushed = co_await flush(); !flushed) {
    co_return std::unexpected(flushed.error());
  }
  auto frozen = transport_.freeze();
  Result<uint32_t> den = std::unexpected(frozen ? Error{} : frozen.error());
  if (frozen) {
    wire::LoginToDen message;
    auto* handover = message.mutable_handover();
    handover->set_grant(std::move(granted.grant));
    handover->set_tag(tag);
    handover->set_remote_address(peer_.text);
    handover->set_remote_port(peer_.port);
    handover->set_local_port(local_port_);
    handover->set_tls(std::move(frozen->tls));
    handover->set_pending_plain(std::move(frozen->plain));
    handover->set_pending_cipher(std::move(frozen->cipher));
    handover->set_client_id(client_id_);
    busy_ = true;
    den = co_await services_.dens.hand_over(std::move(message), transport_.fd());
    busy_ = false;
  }
  if (!den && den.error().kind == ErrorKind::kCancelled) co_return std::unexpected(den.error());
  if (!den) {
    role::log_error(
        "handover-failed",
        {{"user", granted.user}, {"address", peer_.text}, {"reason", den.error().message}});
    say(tag, "NO [UNAVAILABLE] Temporary failure, try again later");
    co_return Next::kGoOn;
  }
  silent_ = true;
  transport_.close();
  ++services_.counters.handed_over;
  role::log_info("login", {{"user", granted.user},
                           {"address", peer_.text},
                           {"mechanism", mechanism},
                           {"tls", transport_.tls() ? transport_.suite() : "none"},
                           {"den", *den}});
  co_return Next::kHandedOver;
}

}  // namespace dormouse::login
