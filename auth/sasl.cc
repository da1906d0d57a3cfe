#include "auth/sasl.h"

#include <algorithm>
#include <array>
#include <utility>

#include "auth/limits.h"

namespace dormouse::auth {
namespace {

constexpr std::array<std::pair<std::string_view, Mechanism>, 3> kMechanisms = {{
    {"PLAIN", Mechanism::kPlain},
    {"LOGIN", Mechanism::kLogin},
    {"SCRAM-SHA-256", Mechanism::kScramSha256},
}};

// RFC 3629, without surrogates and overlong forms: what a protobuf string may hold.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned char lead = byte(i);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xc2 ? 0
                          : lead < 0xe0 ? 2
                          : lead < 0xf0 ? 3
                          : lead < 0xf5 ? 4
                                        : 0;
    if (length == 0 || text.size() - i < length) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    if ((lead == 0xe0 && byte(i + 1) < 0xa0) || (lead == 0xed && byte(i + 1) >= 0xa0) ||
        (lead == 0xf0 && byte(i + 1) < 0x90) || (lead == 0xf4 && byte(i + 1) >= 0x90)) {
      return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

std::optional<Mechanism> find_mechanism(std::string_view name) {
  for (const auto& [known, mechanism] : kMechanisms) {
    if (known == name) return mechanism;
  }
  return std::nullopt;
}

std::string_view mechanism_name(Mechanism mechanism) {
  for (const auto& [name, known] : kMechanisms) {
    if (known == mechanism) return name;
  }
  return "?";
}

bool is_user_name(std::string_view name) {
  return !name.empty() && name.size() <= kUserBytesMax &&
         std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }) &&
         is_utf8(name);
}

std::expected<PasswordLogin, std::string_view> parse_plain(std::string_view message) {
  const size_t first = message.find('\0');
  if (first == std::string_view::npos) return std::unexpected("PLAIN without NUL");
  const size_t second = message.find('\0', first + 1);
  if (second == std::string_view::npos) return std::unexpected("PLAIN with one NUL");
  const std::string_view authzid = message.substr(0, first);
  const std::string_view user = message.substr(first + 1, second - first - 1);
  const std::string_view password = message.substr(second + 1);
  if (password.find('\0') != std::string_view::npos) {
    return std::unexpected("PLAIN with three NULs");
  }
  if (!is_user_name(user)) return std::unexpected("PLAIN without a proper user name");
  if (password.size() > kPasswordBytesMax) return std::unexpected("PLAIN with a long password");
  if (!authzid.empty() && authzid != user) return std::unexpected("PLAIN for another user");
  return PasswordLogin{std::string(user), io::Secret(password)};
}

PasswordExchange::Step PasswordExchange::begin(std::optional<std::string_view> initial_response) {
  if (initial_response) return respond(*initial_response);
  const std::string_view prompt = mechanism_ == Mechanism::kLogin ? "Username:" : "";
  return Step{.kind = Kind::kChallenge, .text = prompt, .login = {}};
}

PasswordExchange::Step PasswordExchange::respond(std::string_view response) {
  if (mechanism_ == Mechanism::kPlain) {
    auto login = parse_plain(response);
    if (!login) return Step{.kind = Kind::kWrong, .text = login.error(), .login = {}};
    return Step{.kind = Kind::kCheck, .text = {}, .login = *std::move(login)};
  }
  if (!user_) {
    if (!is_user_name(response)) {
      return Step{.kind = Kind::kWrong, .text = "LOGIN without a proper user name", .login = {}};
    }
    user_ = std::string(response);
    return Step{.kind = Kind::kChallenge, .text = "Password:", .login = {}};
  }
  if (response.size() > kPasswordBytesMax || response.find('\0') != std::string_view::npos) {
    return Step{.kind = Kind::kWrong, .text = "LOGIN without a proper password", .login = {}};
  }
  return Step{.kind = Kind::kCheck,
              .text = {},
              .login = PasswordLogin{*std::move(user_), io::Secret(response)}};
}

}  // namespace dormouse::auth
