#include "store/marker.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace dormouse::store {

std::optional<Marker> parse_marker(std::string_view text) {
  constexpr std::string_view kStart = "1 G";
  constexpr size_t kHexDigits = 32;
  if (!text.starts_with(kStart) || !text.ends_with('\n')) return std::nullopt;
  text.remove_prefix(kStart.size());
  text.remove_suffix(1);
  auto guid = Guid::from_hex(text.substr(0, kHexDigits));
  if (!guid || text.substr(kHexDigits, 2) != " V") return std::nullopt;
  Marker marker{*guid, 0};
  std::string_view digits = text.substr(kHexDigits + 2);
  auto [end, code] =
      std::from_chars(digits.data(), digits.data() + digits.size(), marker.uid_validity);
  if (code != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return marker;
}

std::string format_marker(const Marker& marker) {
  return fmt::format("1 G{} V{}\n", marker.guid.hex(), marker.uid_validity);
}

}  // namespace dormouse::store
