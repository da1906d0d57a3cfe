#pragma once
// JsonObject: writes one flat or nested JSON object (RFC 8259), field by field, in order.

#include <cstdint>
#include <string>
#include <string_view>

namespace dormouse::loadtest {

// With quotes; control characters, quotes, backslashes and bytes outside ASCII are escaped.
std::string json_string(std::string_view text);

class JsonObject {
 public:
  JsonObject& add(std::string_view key, uint64_t value);
  JsonObject& add(std::string_view key, double value);
  JsonObject& add(std::string_view key, bool value);
  JsonObject& add(std::string_view key, std::string_view value);
  JsonObject& add(std::string_view key, const char* value) {
    return add(key, std::string_view(value));
  }
  // `json` is a JSON value already.
  JsonObject& add_json(std::string_view key, std::string_view json);
  std::string text() const { return "{" + fields_ + "}"; }

 private:
  std::string fields_;
};

}  // namespace dormouse::loadtest
