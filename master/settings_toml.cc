#include "master/settings_toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace dormouse::master {
namespace {

std::unexpected<Error> expected(std::string_view what, const toml::node& node) {
  return fail(ErrorKind::kInvalid, fmt::format("expected {}, found {}", what, kind_name(node)));
}

bool is_choice(const SettingKey& key, std::string_view text) {
  std::string padded = fmt::format(" {} ", key.choices);
  return !text.empty() && text.find(' ') == std::string_view::npos &&
         padded.find(fmt::format(" {} ", text)) != std::string::npos;
}

std::unexpected<Error> no_choice(const SettingKey& key, std::string_view text) {
  return fail(ErrorKind::kInvalid, fmt::format("\"{}\" is none of: {}", text, key.choices));
}

Result<SettingValue> convert_number(const SettingKey& key, const toml::node& node) {
  SettingValue value;
  bool duration = key.type == SettingType::kDuration;
  bool size = key.type == SettingType::kSize;
  if (auto text = node.value_exact<std::string_view>(); text && (duration || size)) {
    auto number = duration ? parse_duration_ms(*text) : parse_size_bytes(*text);
    if (!number) return std::unexpected(number.error());
    value.number = *number;
  } else if (auto number = node.value_exact<int64_t>()) {
    if (*number < 0) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("{} is out of range ({})", *number, format_range(key)));
    }
    value.number = uint64_t(*number);
    if (key.unit == "s")
      value.number = value.number > key.most ? key.most + 1 : value.number * 1000;
  } else {
    return expected(duration ? "a duration (\"2min\", or an integer)"
                    : size   ? "a size (\"64MiB\", or an integer of bytes)"
                             : "an integer",
                    node);
  }
  if (value.number < key.least || value.number > key.most) {
    std::string shown = duration ? format_duration_ms(value.number)
                        : size   ? format_size_bytes(value.number)
                                 : fmt::format("{}", value.number);
    return fail(ErrorKind::kInvalid,
                fmt::format("{} is out of range ({})", shown, format_range(key)));
  }
  return value;
}

Result<SettingValue> convert_text(const SettingKey& key, const toml::node& node,
                                  const std::string& folder) {
  auto text = node.value_exact<std::string>();
  if (!text) return expected("a string", node);
  if (key.type == SettingType::kChoice) {
    if (!is_choice(key, *text)) return no_choice(key, *text);
  } else if (text->size() < key.least || text->size() > key.most) {
    return fail(ErrorKind::kInvalid,
                fmt::format("{} bytes long, must be {}", text->size(), format_range(key)));
  }
  // Some go into protocol lines, all into log lines.
  if (std::ranges::any_of(*text, [](char c) { return uint8_t(c) < ' ' || c == 0x7f; })) {
    return fail(ErrorKind::kInvalid, "contains a control character");
  }
  SettingValue value;
  value.text = *text;
  if (key.type == SettingType::kPath && !text->empty() && text->front() != '/') {
    value.text = (std::filesystem::path(folder) / *text).lexically_normal().string();
  }
  return value;
}

Result<SettingValue> convert_list(const SettingKey& key, const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return expected("an array of strings", node);
  if (array->size() < key.least || array->size() > key.most) {
    return fail(ErrorKind::kInvalid,
                fmt::format("{} entries, must be {}", array->size(), format_range(key)));
  }
  SettingValue value;
  for (const toml::node& entry : *array) {
    auto text = entry.value_exact<std::string>();
    if (!text) return expected("an array of strings", entry);
    if (key.type == SettingType::kAddresses) {
      auto address = parse_listen_address(*text);
      if (!address) return std::unexpected(address.error());
      if (std::ranges::find(value.addresses, *address) != value.addresses.end()) {
        return fail(ErrorKind::kInvalid, fmt::format("\"{}\" stands twice", *text));
      }
      value.addresses.push_back(*address);
    } else {
      if (!is_choice(key, *text)) return no_choice(key, *text);
      if (std::ranges::find(value.list, *text) != value.list.end()) {
        return fail(ErrorKind::kInvalid, fmt::format("\"{}\" stands twice", *text));
      }
      value.list.push_back(*text);
    }
  }
  return value;
}

Result<SettingValue> convert_account(const SettingKey& key, const toml::node& node) {
  SettingValue value;
  if (auto name = node.value_exact<std::string>()) {
    auto account = find_account(*name);
    if (!account) return std::unexpected(account.error());
    value.account = *account;
  } else if (auto uid = node.value_exact<int64_t>()) {
    if (*uid < 0 || uint64_t(*uid) > key.most) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("{} is out of range ({})", *uid, format_range(key)));
    }
    value.account = {.uid = uint32_t(*uid), .gid = uint32_t(*uid)};
  } else {
    return expected("a user's name or an integer", node);
  }
  if (value.account.uid < key.least) {
    return fail(ErrorKind::kInvalid, "may not be root");
  }
  return value;
}

}  // namespace

std::string_view kind_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::floating_point:
      return "a fraction";
    default:
      return "a date or time";
  }
}

Result<SettingValue> convert_setting(const SettingKey& key, const toml::node& node,
                                     const std::string& folder) {
  switch (key.type) {
    case SettingType::kCount:
    case SettingType::kDuration:
    case SettingType::kSize:
      return convert_number(key, node);
    case SettingType::kText:
    case SettingType::kPath:
    case SettingType::kChoice:
      return convert_text(key, node, folder);
    case SettingType::kChoices:
    case SettingType::kAddresses:
      return convert_list(key, node);
    case SettingType::kAccount:
      return convert_account(key, node);
    case SettingType::kFlag:
      break;
  }
  auto flag = node.value_exact<bool>();
  if (!flag) return expected("true or false", node);
  SettingValue value;
  value.number = *flag ? 1 : 0;
  return value;
}

}  // namespace dormouse::master
