#include "login/replies.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse::login {

Policy Policy::from(const wire::Settings& settings) {
  const auto& login = settings.login();
  Policy policy;
  policy.greeting = one_line(login.greeting().empty() ? "Dormouse ready." : login.greeting());
  policy.mechanisms.assign(settings.auth().mechanisms().begin(),
                           settings.auth().mechanisms().end());
  policy.max_connections = login.max_connections();
  policy.max_connections_per_address = login.max_connections_per_address();
  policy.timeout_ms = login.timeout_ms();
  policy.max_attempts = login.max_attempts();
  policy.failure_delay_ms = login.failure_delay_ms();
  policy.plaintext_auth = login.plaintext_auth();
  // A half each for two processes: together they are what the operator allows.
  policy.logins_per_second =
      double(settings.pressure().logins_per_second()) / std::max(login.processes(), 1u);
  policy.refuse_logins = settings.pressure().refuse_logins();
  return policy;
}

bool plaintext_allowed(const Policy& policy, const Standing& standing) {
  return standing.tls || standing.loopback || policy.plaintext_auth;
}

bool is_plaintext_mechanism(std::string_view mechanism) {
  return mechanism == "PLAIN" || mechanism == "LOGIN";
}

bool offers(const Policy& policy, const Standing& standing, std::string_view mechanism) {
  if (is_plaintext_mechanism(mechanism) && !plaintext_allowed(policy, standing)) return false;
  return std::find(policy.mechanisms.begin(), policy.mechanisms.end(), mechanism) !=
         policy.mechanisms.end();
}

std::string capabilities(const Policy& policy, const Standing& standing) {
  std::string text = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE";
  if (standing.starttls) text += " STARTTLS";
  if (!plaintext_allowed(policy, standing)) text += " LOGINDISABLED";
  for (const std::string& mechanism : policy.mechanisms) {
    if (offers(policy, standing, mechanism)) text += " AUTH=" + mechanism;
  }
  return text;
}

std::string refusal(std::string_view reason) {
  return fmt::format("[UNAVAILABLE] {}, try again later",
                     one_line(reason.empty() ? "The server is busy" : reason));
}

std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet >= 0x7f) c = '?';
  }
  return line;
}

std::string client_id_text(const imap::Id& id) {
  std::string text;
  for (const auto& [key, value] : id.pairs) {
    if (!value) continue;
    if (!text.empty()) text += "; ";
    text += one_line(key) + "=" + one_line(*value);
    if (text.size() > kClientIdBytesMax) break;
  }
  text.resize(std::min(text.size(), kClientIdBytesMax));
  return text;
}

}  // namespace dormouse::login
