#pragma once
// Base64 as SASL uses it (RFC 4648 4): no line breaks, padding required.

#include <optional>
#include <string>
#include <string_view>

namespace dormouse::imap {

std::string base64_encode(std::string_view bytes);
// nullopt for anything but the one encoding of some bytes (bits left over must be zero).
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace dormouse::imap
