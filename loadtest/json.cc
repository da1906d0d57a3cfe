#include "loadtest/json.h"

#include <fmt/format.h>

namespace dormouse::loadtest {

std::string json_string(std::string_view text) {
  std::string made = "\"";
  for (char c : text) {
    auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      made += '\\';
      made += c;
    } else if (octet < 0x20 || octet > 0x7e) {
      made += fmt::format("\\u{:04x}", octet);
    } else {
      made += c;
    }
  }
  return made + '"';
}

JsonObject& JsonObject::add_json(std::string_view key, std::string_view json) {
  if (!fields_.empty()) fields_ += ',';
  fields_ += json_string(key);
  fields_ += ':';
  fields_ += json;
  return *this;
}

JsonObject& JsonObject::add(std::string_view key, uint64_t value) {
  return add_json(key, fmt::format("{}", value));
}
JsonObject& JsonObject::add(std::string_view key, double value) {
  return add_json(key, fmt::format("{:.3f}", value));
}
JsonObject& JsonObject::add(std::string_view key, bool value) {
  return add_json(key, value ? "true" : "false");
}
JsonObject& JsonObject::add(std::string_view key, std::string_view value) {
  return add_json(key, json_string(value));
}

}  // namespace dormouse::loadtest
