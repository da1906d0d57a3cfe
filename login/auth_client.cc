#include "login/auth_client.h"

#include <algorithm>
#include <utility>

#include "login/limits.h"
#include "role/log.h"
#include "wire/link.h"

namespace dormouse::login {
namespace {

AuthAnswer unavailable(std::string why) {
  AuthAnswer answer;
  answer.text = std::move(why);
  return answer;
}

}  // namespace

struct AuthClient::Link {
  uint64_t id;
  io::Channel channel;
  wire::Outbox outbox;
};

io::Task<void> AuthClient::serve(io::Channel channel) {
  Link link{.id = next_link_++,
            .channel = std::move(channel),
            .outbox = wire::Outbox(loop_, link.channel, kAuthMessagesMax)};
  io::Scope scope(loop_, co_await io::current_scope());
  scope.spawn(link.outbox.run());
  links_.push_back(&link);
  linked_.set();
  while (true) {
    auto received = co_await wire::receive<wire::AuthToLogin>(loop_, link.channel);
    if (received) {
      handle(received->message);
      continue;
    }
    if (received.error().kind != ErrorKind::kCancelled) {
      role::log_warning("auth-link-ended", {{"reason", received.error().message}});
    }
    break;
  }
  std::erase(links_, &link);
  if (links_.empty()) linked_.clear();
  for (auto& [request, exchange] : exchanges_) {
    if (exchange->link_ != link.id) continue;
    exchange->answer_ = unavailable("auth has ended");
    exchange->answered_.set();
  }
  scope.cancel();
  co_await scope.join();
}

AuthClient::Link* AuthClient::find(uint64_t id) {
  auto found =
      std::find_if(links_.begin(), links_.end(), [&](Link* link) { return link->id == id; });
  return found == links_.end() ? nullptr : *found;
}

bool AuthClient::push(uint64_t link, wire::LoginToAuth& message, std::string* secret) {
  Link* to = find(link);
  const bool sent = to != nullptr && to->outbox.push(message);
  if (secret != nullptr) io::wipe(*secret);
  return sent;
}

void AuthClient::handle(wire::AuthToLogin& message) {
  using Refused = wire::AuthToLogin::Refused;
  uint64_t request = 0;
  AuthAnswer answer;
  if (message.has_challenge()) {
    request = message.challenge().request();
    answer.kind = AuthAnswer::Kind::kChallenge;
    answer.data = std::move(*message.mutable_challenge()->mutable_data());
  } else if (message.has_granted()) {
    auto* granted = message.mutable_granted();
    request = granted->request();
    answer.kind = AuthAnswer::Kind::kGranted;
    answer.data = std::move(*granted->mutable_final_data());
    answer.grant = std::move(*granted->mutable_grant());
    answer.user = std::move(*granted->mutable_user());
  } else if (message.has_refused()) {
    request = message.refused().request();
    answer.text = message.refused().text();
    const auto reason = message.refused().reason();
    answer.kind = reason == Refused::CREDENTIALS ? AuthAnswer::Kind::kCredentials
                  : reason == Refused::PROTOCOL  ? AuthAnswer::Kind::kProtocol
                                                 : AuthAnswer::Kind::kUnavailable;
  }
  auto found = exchanges_.find(request);
  if (found == exchanges_.end()) return;  // aborted meanwhile
  found->second->answer_ = std::move(answer);
  found->second->answered_.set();
}

AuthClient::Exchange::~Exchange() {
  if (request_ == 0) return;
  wire::LoginToAuth message;
  message.mutable_abort()->set_request(request_);
  client_.push(link_, message, nullptr);
  conclude();
}

void AuthClient::Exchange::conclude() {
  client_.exchanges_.erase(request_);
  request_ = 0;
}

io::Task<Result<AuthAnswer>> AuthClient::Exchange::start(std::string mechanism,
                                                         std::optional<io::Secret> response,
                                                         std::string remote_address, bool tls) {
  if (client_.links_.empty()) {
    Result<void> linked = co_await io::wait(&client_.linked_, client_.patience_ms_);
    if (!linked && linked.error().kind != ErrorKind::kTimeout) {
      co_return std::unexpected(linked.error());
    }
    if (client_.links_.empty()) co_return unavailable("no auth process");
  }
  link_ = client_.links_[client_.turn_++ % client_.links_.size()]->id;
  request_ = client_.next_request_++;
  client_.exchanges_.emplace(request_, this);
  wire::LoginToAuth message;
  auto* start = message.mutable_start();
  start->set_request(request_);
  start->set_mechanism(std::move(mechanism));
  start->set_remote_address(std::move(remote_address));
  start->set_tls(tls);
  std::string* secret = nullptr;
  if (response) {
    start->set_initial_response(response->text());
    secret = start->mutable_initial_response();
  }
  co_return co_await wait(client_.push(link_, message, secret));
}

io::Task<Result<AuthAnswer>> AuthClient::Exchange::respond(io::Secret response) {
  if (request_ == 0) {
    co_return unavailable("exchange has ended");
  }
  wire::LoginToAuth message;
  message.mutable_continue_()->set_request(request_);
  message.mutable_continue_()->set_response(response.text());
  co_return co_await wait(
      client_.push(link_, message, message.mutable_continue_()->mutable_response()));
}

io::Task<Result<AuthAnswer>> AuthClient::Exchange::wait(bool sent) {
  if (!sent) {
    conclude();
    co_return unavailable("auth does not read");
  }
  Result<void> answered = co_await io::wait(&answered_, kAuthAnswerMs);
  if (!answered && answered.error().kind != ErrorKind::kTimeout) {
    co_return std::unexpected(answered.error());
  }
  if (!answered) {
    co_return unavailable("no answer from auth");
  }
  answered_.clear();
  AuthAnswer answer = std::move(answer_);
  if (answer.kind != AuthAnswer::Kind::kChallenge) conclude();
  co_return answer;
}

}  // namespace dormouse::login
