#pragma once
// Mailbox names: modified UTF-7 on the wire (RFC 3501 5.1.3), UTF-8 inside Dormouse.

#include <optional>
#include <string>
#include <string_view>

namespace dormouse::imap {

// nullopt when the name is not the modified UTF-7 that utf8_to_mutf7() would write: 8-bit bytes or
// controls, superfluous shifts ("&AGE-" for "a", "-&" between two shifts), bad base64, unpaired
// surrogates, non-zero padding. So two different names on the wire never mean the same mailbox.
std::optional<std::string> mutf7_to_utf8(std::string_view name);

// nullopt when `name` is not UTF-8 or has controls (below 0x20, 0x7f).
std::optional<std::string> utf8_to_mutf7(std::string_view name);

bool is_utf8(std::string_view text);

}  // namespace dormouse::imap
