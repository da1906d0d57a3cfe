#include "imap/syntax/date.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <iterator>

#include "imap/syntax/flags.h"

namespace dormouse::imap {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::int64_t kDaySeconds = 86400;
// UTC+14 (Kiribati) is the farthest zone there is; RFC 3501 allows any four digits.
constexpr int kZoneMinutesMax = 14 * 60;

// Takes exactly `digits` digits; -1 if they are not there.
int take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int number = 0;
  for (char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

// "-Feb-1994" behind a day.
std::optional<DayNumber> take_month_year(std::string_view& text, int day) {
  if (day < 1 || !take(text, '-') || text.size() < 3) return std::nullopt;
  unsigned month = 0;
  while (month < kMonths.size() && !equals_nocase(text.substr(0, 3), kMonths[month])) ++month;
  text.remove_prefix(3);
  if (month == kMonths.size() || !take(text, '-')) return std::nullopt;
  int year = take_digits(text, 4);
  if (year < 0) return std::nullopt;
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month + 1),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

}  // namespace

std::optional<DayNumber> parse_date(std::string_view text) {
  // date-day is one digit or two.
  std::size_t digits = text.size() > 1 && text[1] == '-' ? 1 : 2;
  int day = take_digits(text, digits);
  auto number = take_month_year(text, day);
  if (!text.empty()) return std::nullopt;
  return number;
}

std::optional<DateTime> parse_date_time(std::string_view text) {
  // date-day-fixed is two digits, or a space and one.
  int day = take(text, ' ') ? take_digits(text, 1) : take_digits(text, 2);
  auto day_number = take_month_year(text, day);
  if (!day_number || !take(text, ' ')) return std::nullopt;
  int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return std::nullopt;
  int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':')) return std::nullopt;
  int second = take_digits(text, 2);
  if (second < 0 || second > 60 || !take(text, ' ')) return std::nullopt;
  if (second == 60) second = 59;
  bool west = !text.empty() && text.front() == '-';
  if (!take(text, '-') && !take(text, '+')) return std::nullopt;
  int zone_hours = take_digits(text, 2);
  int zone_minutes = take_digits(text, 2);
  if (zone_hours < 0 || zone_minutes < 0 || zone_minutes > 59 || !text.empty()) {
    return std::nullopt;
  }
  int zone = zone_hours * 60 + zone_minutes;
  if (zone > kZoneMinutesMax) return std::nullopt;
  if (west) zone = -zone;
  DateTime time;
  time.unix_seconds =
      *day_number * kDaySeconds + (std::int64_t{hour} * 60 + minute - zone) * 60 + second;
  time.zone_minutes = static_cast<std::int16_t>(zone);
  return time;
}

DayNumber day_of(DateTime time) {
  std::int64_t local = time.unix_seconds + std::int64_t{time.zone_minutes} * 60;
  std::int64_t day = local / kDaySeconds - (local % kDaySeconds < 0 ? 1 : 0);
  return static_cast<DayNumber>(day);
}

void format_date_time(std::string& out, DateTime time) {
  // The format has four digits for the year; times outside are shown as the nearest it can show.
  constexpr std::int64_t kFirst = -62167219200;  // 0000-01-01 00:00:00
  constexpr std::int64_t kLast = 253402300799;   // 9999-12-31 23:59:59
  std::int64_t local = time.unix_seconds;
  int zone = time.zone_minutes;
  if (zone < -kZoneMinutesMax || zone > kZoneMinutesMax) zone = 0;
  if (local > kLast - kDaySeconds) local = kLast - kDaySeconds;
  if (local < kFirst + kDaySeconds) local = kFirst + kDaySeconds;
  local += std::int64_t{zone} * 60;
  DayNumber day = day_of({local, 0});
  auto second = local - day * kDaySeconds;
  std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  int zone_size = zone < 0 ? -zone : zone;
  fmt::format_to(std::back_inserter(out), "{:02}-{}-{:04} {:02}:{:02}:{:02} {}{:02}{:02}",
                 static_cast<unsigned>(date.day()),
                 kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                 second / 3600, second / 60 % 60, second % 60, zone < 0 ? '-' : '+', zone_size / 60,
                 zone_size % 60);
}

}  // namespace dormouse::imap
