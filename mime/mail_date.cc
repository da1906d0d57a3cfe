#include <array>
#include <chrono>
#include <utility>

#include "mime/address.h"
#include "mime/ascii.h"

namespace dormouse::mime {
namespace {

constexpr std::int64_t kDaySeconds = 86400;

int month_of(std::string_view word) {
  static constexpr std::array<std::string_view, 12> kMonths{
      "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
  for (std::size_t i = 0; i < kMonths.size(); ++i) {
    if (word.size() >= 3 && same_name(word.substr(0, 3), kMonths[i]))
      return static_cast<int>(i) + 1;
  }
  return 0;
}

// Minutes east of UTC. Names of RFC 5322 4.3; what is unknown counts as UTC, as it says.
int zone_of(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, int>, 8> kZones{{{"EST", -5},
                                                                           {"EDT", -4},
                                                                           {"CST", -6},
                                                                           {"CDT", -5},
                                                                           {"MST", -7},
                                                                           {"MDT", -6},
                                                                           {"PST", -8},
                                                                           {"PDT", -7}}};
  for (const auto& [name, hours] : kZones) {
    if (same_name(word, name)) return hours * 60;
  }
  if (word.size() != 5 || (word[0] != '+' && word[0] != '-')) return 0;
  for (char c : word.substr(1)) {
    if (!is_digit(c)) return 0;
  }
  int minutes =
      ((word[1] - '0') * 10 + (word[2] - '0')) * 60 + (word[3] - '0') * 10 + word[4] - '0';
  return word[0] == '-' ? -minutes : minutes;
}

class DateReader {
 public:
  explicit DateReader(std::string_view text) : text_(text) {}

  std::optional<MailDate> read() {
    std::string_view word = next_word();
    // The name of the day is not needed, and often wrong.
    if (!word.empty() && !is_digit(word.front()) && month_of(word) == 0) word = next_word();
    int month = month_of(word);
    const bool month_first = month != 0;  // as asctime() has it: "Jan  1 00:00:00 1970"
    int day = number(month_first ? next_word() : word);
    if (!month_first) month = month_of(next_word());
    int year = -1;
    if (!month_first) year = read_year();
    if (!read_time()) return std::nullopt;
    if (month_first) year = read_year();
    if (month == 0 || day < 1 || year < 0) return std::nullopt;
    std::chrono::year_month_day date{std::chrono::year(year),
                                     std::chrono::month(static_cast<unsigned>(month)),
                                     std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok()) return std::nullopt;
    int zone = zone_of(next_word());
    std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    MailDate found;
    found.unix_seconds = days * kDaySeconds + seconds_ - std::int64_t{zone} * 60;
    found.zone_minutes = static_cast<std::int16_t>(zone);
    return found;
  }

 private:
  std::string_view next_word() {
    do {
      skip_cfws(text_);
    } while (!text_.empty() && text_.front() == ',' && (text_.remove_prefix(1), true));
    std::size_t length = 0;
    while (length < text_.size() && !is_space(text_[length]) && text_[length] != ',' &&
           text_[length] != '(') {
      // "1-Jan-1970" is three words; "-0700" is one.
      if (length > 0 && text_[length] == '-') break;
      ++length;
    }
    std::string_view word = text_.substr(0, length);
    text_.remove_prefix(length);
    bool dashed = !text_.empty() && text_.front() == '-' && text_.size() > 1;
    // A dash before four digits and the end is a zone glued to the time, not a separator.
    if (dashed && word.find(':') == std::string_view::npos) text_.remove_prefix(1);
    return word;
  }

  // At most four digits, else -1.
  static int number(std::string_view word) {
    if (word.empty() || word.size() > 4) return -1;
    int value = 0;
    for (char c : word) {
      if (!is_digit(c)) return -1;
      value = value * 10 + (c - '0');
    }
    return value;
  }

  int read_year() {
    std::string_view word = next_word();
    int year = number(word);
    if (year < 0) return -1;
    if (word.size() == 2) return year < 50 ? year + 2000 : year + 1900;
    return word.size() == 3 ? year + 1900 : year;
  }

  bool read_time() {
    std::string_view word = next_word();
    int parts[3] = {0, 0, 0};
    for (int i = 0; i < 3 && !word.empty(); ++i) {
      std::size_t colon = word.find_first_of(":.");
      parts[i] = number(word.substr(0, colon));
      word.remove_prefix(colon == std::string_view::npos ? word.size() : colon + 1);
      if (parts[i] < 0) return false;
      if (i == 0 && colon == std::string_view::npos) return false;
    }
    if (parts[0] > 23 || parts[1] > 59 || parts[2] > 60) return false;
    seconds_ = parts[0] * 3600 + parts[1] * 60 + (parts[2] == 60 ? 59 : parts[2]);
    return true;
  }

  std::string_view text_;
  int seconds_ = 0;
};

}  // namespace

std::int32_t MailDate::day() const {
  std::int64_t local = unix_seconds + std::int64_t{zone_minutes} * 60;
  return static_cast<std::int32_t>(local / kDaySeconds - (local % kDaySeconds < 0 ? 1 : 0));
}

std::optional<MailDate> parse_mail_date(std::string_view value) { return DateReader(value).read(); }

}  // namespace dormouse::mime
