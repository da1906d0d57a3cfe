// Values of header fields: addresses, dates, parameters, encoded words.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mime/address.h"
#include "mime/charset.h"
#include "mime/content_fields.h"
#include "mime/header_filter.h"
#include "mime/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dormouse::mime;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  // A last group is ended even where the bound was reached.
  if (parse_addresses(text).size() > kAddressesMax + 1) std::abort();
  parse_mail_date(text);
  Part part;
  parse_content_type(text, part);
  if (part.type.empty() || part.subtype.empty()) std::abort();
  if (part.parameters.size() > kParametersMax) std::abort();
  parse_disposition(text, part);
  parse_languages(text);
  parse_encoding(text);
  decode_header(text);
  header_values(text, "a");
  return 0;
}
