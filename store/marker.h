#pragma once
// The file dormouse.mailbox in a mailbox's folder: which mailbox it is, should the index be lost.
//
//   marker = "1 G" 32HEXDIG " V" uid-validity LF
//
// It is there so that an index built anew knows that UIDs were given out under that UIDVALIDITY: a
// dovecot-uidlist beside it is older than that and is not believed again. No I/O here (takeover.h
// has it).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/types.h"

namespace dormouse::store {

struct Marker {
  Guid guid;
  uint32_t uid_validity = 0;
};
std::optional<Marker> parse_marker(std::string_view text);
std::string format_marker(const Marker& marker);

}  // namespace dormouse::store
