// Values with units, addresses and users, as they stand in the settings file.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <pwd.h>

#include <array>
#include <charconv>
#include <limits>

#include "master/settings_schema.h"

namespace dormouse::master {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// From the largest on, so that a value is printed in the largest unit that divides it.
constexpr std::array kDurations = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"min", 60'000},
                                   Unit{"s", 1000}, Unit{"ms", 1}};
constexpr std::array kSizes = {Unit{"GiB", 1ULL << 30}, Unit{"MiB", 1ULL << 20},
                               Unit{"KiB", 1ULL << 10}, Unit{"B", 1}};

Result<uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                 std::string_view example) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view name(end, size_t(text.data() + text.size() - end));
  while (name.starts_with(' ')) name.remove_prefix(1);
  if (error == std::errc()) {
    for (const Unit& unit : units) {
      if (unit.name != name) continue;
      if (number > std::numeric_limits<uint64_t>::max() / unit.factor) break;
      return number * unit.factor;
    }
  }
  std::string names;
  for (const Unit& unit : units) {
    names += names.empty() ? "" : ", ";
    names += unit.name;
  }
  return fail(ErrorKind::kInvalid,
              fmt::format("\"{}\" is no number with one of the units {} (as in "
                          "\"{}\")",
                          text, names, example));
}

std::string format_with_unit(uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return fmt::format("0{}", units.back().name);
}

}  // namespace

Result<uint64_t> parse_duration_ms(std::string_view text) {
  return parse_with_unit(text, kDurations, "2min");
}
Result<uint64_t> parse_size_bytes(std::string_view text) {
  return parse_with_unit(text, kSizes, "64MiB");
}
std::string format_duration_ms(uint64_t ms) { return format_with_unit(ms, kDurations); }
std::string format_size_bytes(uint64_t bytes) { return format_with_unit(bytes, kSizes); }

Result<ListenAddress> parse_listen_address(std::string_view text) {
  auto bad = [&] {
    return fail(ErrorKind::kInvalid,
                fmt::format("\"{}\" is no numeric address with a port (as in \"127.0.0.1:143\" or "
                            "\"[::1]:143\")",
                            text));
  };
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad();
  std::string_view digits = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  ListenAddress address{.host = std::string(host), .port = 0};
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return bad();
  in6_addr binary;
  if (inet_pton(bracketed ? AF_INET6 : AF_INET, address.host.c_str(), &binary) != 1) return bad();
  return address;
}

Result<Account> find_account(const std::string& name) {
  // A name is looked up by the C library; nothing else runs in the master yet, or is waited for.
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) {
    return fail(ErrorKind::kInvalid, fmt::format("there is no user \"{}\" on this system", name));
  }
  return Account{.uid = entry->pw_uid, .gid = entry->pw_gid};
}

std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string format_value(const SettingKey& key, const SettingValue& value) {
  std::string list;
  auto add = [&](std::string_view entry) {
    list += list.empty() ? "" : ", ";
    list += quote(entry);
  };
  switch (key.type) {
    case SettingType::kCount:
      return fmt::format("{}", value.number);
    case SettingType::kDuration:
      return quote(format_duration_ms(value.number));
    case SettingType::kSize:
      return quote(format_size_bytes(value.number));
    case SettingType::kFlag:
      return value.number != 0 ? "true" : "false";
    case SettingType::kAccount:
      return fmt::format("{}", value.account.uid);
    case SettingType::kChoices:
      for (const std::string& entry : value.list) add(entry);
      return fmt::format("[{}]", list);
    case SettingType::kAddresses:
      for (const ListenAddress& a : value.addresses) {
        bool v6 = a.host.find(':') != std::string::npos;
        add(fmt::format("{}{}{}:{}", v6 ? "[" : "", a.host, v6 ? "]" : "", a.port));
      }
      return fmt::format("[{}]", list);
    default:
      return quote(value.text);
  }
}

std::string format_range(const SettingKey& key) {
  auto show = [&](uint64_t value) {
    if (key.type == SettingType::kDuration) return format_duration_ms(value);
    if (key.type == SettingType::kSize) return format_size_bytes(value);
    return fmt::format("{}", value);
  };
  return fmt::format("{} to {}", show(key.least), show(key.most));
}

}  // namespace dormouse::master
