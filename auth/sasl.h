#pragma once
// The SASL mechanisms' messages, decoded from base64 already: PLAIN (RFC 4616) and LOGIN
// (draft-murchison-sasl-login). SCRAM-SHA-256 stands in scram_server.h.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "io/secret.h"

namespace dormouse::auth {

enum class Mechanism : uint8_t { kPlain, kLogin, kScramSha256 };

// By name, in capitals.
std::optional<Mechanism> find_mechanism(std::string_view name);
std::string_view mechanism_name(Mechanism mechanism);

struct PasswordLogin {
  std::string user;
  io::Secret password;
};

// message = [authzid] NUL authcid NUL passwd. An authzid other than the authcid is refused: nobody
// may act for another. The error is a constant for the log.
std::expected<PasswordLogin, std::string_view> parse_plain(std::string_view message);

// Whether a name may be one: UTF-8 of 1 to kUserBytesMax bytes, no controls.
bool is_user_name(std::string_view name);

// What to do next in an exchange of PLAIN or LOGIN.
class PasswordExchange {
 public:
  enum class Kind : uint8_t { kChallenge, kCheck, kWrong };
  struct Step {
    Kind kind = Kind::kWrong;
    std::string_view text;  // the challenge, or what was wrong
    PasswordLogin login;    // kCheck
  };

  explicit PasswordExchange(Mechanism mechanism) : mechanism_(mechanism) {}
  // nullopt: the client sent no initial response.
  Step begin(std::optional<std::string_view> initial_response);
  Step respond(std::string_view response);

 private:
  Mechanism mechanism_;
  std::optional<std::string> user_;  // LOGIN: came already
};

}  // namespace dormouse::auth
