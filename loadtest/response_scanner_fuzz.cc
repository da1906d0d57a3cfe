// The scanner reads from a server that may be hostile: whatever it says, in whatever pieces, gives
// the same responses as in one piece, and never more than the bound is kept.

#include <cstdint>
#include <string>
#include <vector>

#include "loadtest/response_scanner.h"

namespace {

using namespace dormouse::loadtest;

std::vector<std::string> scan(std::string_view bytes, size_t piece_bytes) {
  constexpr ScannerBounds kBounds{.literal_bytes_max = 64};
  ResponseScanner scanner(kBounds);
  std::vector<std::string> heard;
  for (size_t i = 0; i < bytes.size(); i += piece_bytes) {
    scanner.feed(bytes.substr(i, piece_bytes), [&](const Response& response) {
      if (response.text.size() > kBounds.kept_bytes_max) __builtin_trap();
      if (auto data = numbered_data(response.text);
          data && data->word.size() > response.text.size())
        __builtin_trap();
      size_t literal_bytes = 0;
      for (const std::string& literal : response.literals) literal_bytes += literal.size();
      if (literal_bytes > kBounds.literal_bytes_max) __builtin_trap();
      heard.push_back(std::string(response.tag) + ' ' + std::string(response.text));
      return true;
    });
  }
  heard.push_back(scanner.broken() ? "broken" : scanner.at_boundary() ? "whole" : "part");
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (scan(bytes, size) != scan(bytes, size_t(data[0] % 16) + 1)) __builtin_trap();
  return 0;
}
