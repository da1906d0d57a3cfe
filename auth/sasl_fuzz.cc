// A client's side of an exchange: first byte the mechanism, then messages, each with two bytes of
// length before it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "auth/limits.h"
#include "auth/sasl.h"
#include "auth/scram_server.h"

namespace {

using namespace dormouse::auth;

std::string_view next_message(std::string_view& rest) {
  if (rest.size() < 2) return {};
  size_t length =
      size_t(static_cast<unsigned char>(rest[0])) << 8 | static_cast<unsigned char>(rest[1]);
  rest.remove_prefix(2);
  std::string_view message = rest.substr(0, length);
  rest.remove_prefix(message.size());
  return message;
}

void password_exchange(Mechanism mechanism, std::string_view rest) {
  PasswordExchange exchange(mechanism);
  auto step = exchange.begin(next_message(rest));
  while (step.kind == PasswordExchange::Kind::kChallenge)
    step = exchange.respond(next_message(rest));
  if (step.kind != PasswordExchange::Kind::kCheck) return;
  if (!is_user_name(step.login.user) || step.login.password.size() > kPasswordBytesMax) {
    std::abort();
  }
}

void scram_exchange(const ScramLibrary& library, std::string_view rest) {
  auto server = ScramServer::start(library, [](std::string_view) {
    ScramSecret secret;
    secret.iterations = kScramIterationsMin;
    secret.salt = "salt";
    return secret;
  });
  if (!server) std::abort();
  std::string output;
  while (!rest.empty()) {
    auto outcome = (*server)->step(next_message(rest), output);
    if (outcome == ScramServer::Outcome::kDone) std::abort();  // nobody can prove these keys
    if (outcome != ScramServer::Outcome::kChallenge) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const auto library = ScramLibrary::create();
  if (!library) std::abort();
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      password_exchange(Mechanism::kPlain, rest);
      break;
    case 1:
      password_exchange(Mechanism::kLogin, rest);
      break;
    default:
      scram_exchange(**library, rest);
  }
  return 0;
}
