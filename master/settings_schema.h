#pragma once
// The schema: one row per key, from which the reader, `config defaults`, `config show` and
// docs/settings.md all come.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "master/settings.h"

namespace dormouse::master {

enum class SettingType {
  kCount,      // integer
  kDuration,   // integer in `unit`, or "2min"; kept in milliseconds
  kSize,       // integer of bytes, or "64MiB"; kept in bytes
  kFlag,       // true or false
  kText,       // string
  kPath,       // string; made absolute; may be empty where `least` is 0
  kChoice,     // string, one of `choices`
  kChoices,    // array of such strings
  kAccount,    // uid (its gid is the same number) or a user's name
  kAddresses,  // array of "127.0.0.1:143", "[::1]:143"
};

// What a key's value has become. Which member is filled depends on the type.
struct SettingValue {
  uint64_t number = 0;
  std::string text;
  std::vector<std::string> list;
  Account account;
  std::vector<ListenAddress> addresses;
};

struct SettingKey {
  std::string_view name;  // "section.key"
  SettingType type;
  std::string_view fallback;  // the default, as TOML
  // Count, duration (ms), size (bytes): the range. Text, path: of its length. Lists: of entries.
  uint64_t least;
  uint64_t most;
  std::string_view unit;     // of an integer: "ms", "s", "bytes"; "" for plain numbers
  std::string_view choices;  // "a b c"
  std::string_view fields;   // of wire::Settings it fills, "login.timeout_ms"; "" for the master's
  std::string_view meaning;
  void (*store)(Settings& settings, const SettingValue& value);
};

std::span<const SettingKey> settings_schema();
const SettingKey* find_setting(std::string_view name);

// Sections in their order, and what each is about.
struct SettingSection {
  std::string_view name;
  std::string_view meaning;
};
std::span<const SettingSection> settings_sections();

// --- values (settings_value.cc) ---
// "2min" -> 120000; kInvalid with the reason.
Result<uint64_t> parse_duration_ms(std::string_view text);
Result<uint64_t> parse_size_bytes(std::string_view text);
std::string format_duration_ms(uint64_t ms);
std::string format_size_bytes(uint64_t bytes);
Result<ListenAddress> parse_listen_address(std::string_view text);
Result<Account> find_account(const std::string& name);
// A TOML string.
std::string quote(std::string_view text);
// As it would stand in a settings file.
std::string format_value(const SettingKey& key, const SettingValue& value);
// "1 to 64", "1s to 1h": a key's range for people.
std::string format_range(const SettingKey& key);

}  // namespace dormouse::master
