#pragma once
// IMAP's date (SEARCH) and date-time (APPEND, INTERNALDATE), RFC 3501 9.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse::imap {

struct DateTime {
  std::int64_t unix_seconds = 0;  // UTC
  std::int16_t zone_minutes = 0;  // east of UTC; within +-14 hours

  bool operator==(const DateTime&) const = default;
};

// A calendar day as days since 1970-01-01, for comparing; which zone it is in, the command says.
using DayNumber = std::int32_t;

// "1-Feb-1994" or "01-Feb-1994". nullopt when it is no such date.
std::optional<DayNumber> parse_date(std::string_view text);

// "17-Jul-1996 02:44:25 -0700", without the quotes; the day may be " 7". nullopt otherwise.
// Second 60 is taken as 59, as no clock of ours counts leap seconds.
std::optional<DateTime> parse_date_time(std::string_view text);

// Appends "17-Jul-1996 02:44:25 -0700", always 26 characters, for years 0 to 9999.
void format_date_time(std::string& out, DateTime time);

// The day on the calendar of time's own zone.
DayNumber day_of(DateTime time);

}  // namespace dormouse::imap
