#pragma once
// The base subject of RFC 5256 2.1: a subject without "Re:", "Fwd:", "[list]" and "(fwd)", by which
// SORT orders. No I/O.

#include <string>
#include <string_view>

namespace dormouse::imap {

// `subject` as in the header (unfolded, encoded words and all); the result is UTF-8.
std::string base_subject(std::string_view subject);

}  // namespace dormouse::imap
