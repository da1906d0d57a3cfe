// A mailbox name: one spelling for one name, both ways.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "imap/syntax/base64.h"
#include "imap/syntax/date.h"
#include "imap/syntax/mutf7.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dormouse::imap;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto utf8 = mutf7_to_utf8(text)) {
    if (utf8_to_mutf7(*utf8) != text) std::abort();
  }
  if (auto encoded = utf8_to_mutf7(text)) {
    if (mutf7_to_utf8(*encoded) != text) std::abort();
  }
  if (auto bytes = base64_decode(text)) {
    if (base64_encode(*bytes) != text) std::abort();
  }
  if (auto time = parse_date_time(text)) {
    std::string out;
    format_date_time(out, *time);
    if (parse_date_time(out) != time) std::abort();
  }
  return 0;
}
