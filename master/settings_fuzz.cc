// Any text is a settings file or a complaint, never a crash.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "master/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto settings = dormouse::master::parse_settings(text, "f", "/");
  if (settings) {
    auto again = dormouse::master::parse_settings(
        dormouse::master::effective_settings_text(*settings), "g", "/");
    if (!again) __builtin_trap();
  } else if (settings.error().message.empty()) {
    __builtin_trap();
  }
  return 0;
}
