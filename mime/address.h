#pragma once
// Addresses and dates of header fields (RFC 5322 3.4, 3.3, with the obsolete forms of section 4).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mime/message.h"

namespace dormouse::mime {

// All addresses of an unfolded field. What cannot be an address is taken for one as far as
// possible: better a strange name shown than a sender lost. At most kAddressesMax.
AddressList parse_addresses(std::string_view value);

struct MailDate {
  std::int64_t unix_seconds = 0;
  std::int16_t zone_minutes = 0;  // 0 where the zone is unknown

  // The calendar day as written, as days since 1970-01-01: SENTON and the like disregard time and
  // zone (RFC 3501 6.4.4).
  std::int32_t day() const;
  bool operator==(const MailDate&) const = default;
};

// A Date field: day name optional, two-digit years and zone names as RFC 5322 4.3 says, comments
// anywhere. nullopt when no date can be read.
std::optional<MailDate> parse_mail_date(std::string_view value);

}  // namespace dormouse::mime
