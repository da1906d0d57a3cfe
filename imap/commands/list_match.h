#pragma once
// The wildcards of LIST (RFC 3501 6.3.8): '*' matches anything, '%' anything but the separator.

#include <string_view>

namespace dormouse::imap {

// Whether `name` matches `pattern` as a whole. INBOX, as a whole first level, matches without
// regard to case. Linear in both, wildcards included: no pattern can make it slow.
bool list_matches(std::string_view pattern, std::string_view name, char separator);

}  // namespace dormouse::imap
