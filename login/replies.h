#pragma once
// What login says, apart from the conversation: the capability list, the server's ID.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imap/syntax/command.h"
#include "login/services.h"

namespace dormouse::login {

// How a connection stands, as far as its capabilities depend on it.
struct Standing {
  bool tls = false;
  bool starttls = false;  // TLS may begin: not yet, and there is a certificate
  bool loopback = false;
};

// Passwords may cross this connection as they are.
bool plaintext_allowed(const Policy& policy, const Standing& standing);
// Whether `mechanism` shows the password to who listens.
bool is_plaintext_mechanism(std::string_view mechanism);
bool offers(const Policy& policy, const Standing& standing, std::string_view mechanism);
// "IMAP4rev1 LITERAL+ ...", without "CAPABILITY ". After login the worker has its own list.
std::string capabilities(const Policy& policy, const Standing& standing);

// "name=value; ..." of an ID command (RFC 2971), for log and view: at most kClientIdBytesMax bytes,
// printable ASCII.
std::string client_id_text(const imap::Id& id);
// "[UNAVAILABLE] <reason>, try again later" (RFC 5530), behind BYE or NO, to who is refused by
// pressure.
std::string refusal(std::string_view reason);
// One line of text as a response may have it: controls and 8-bit bytes become "?".
std::string one_line(std::string_view text);

}  // namespace dormouse::login
