// The cached form of a message's structure, and the responses made of it. What must hold: nothing
// reads beyond it, and what decodes can be written, searched for sections and encoded again.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "imap/syntax/structure_writer.h"
#include "mime/structure_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dormouse;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)mime::decode_envelope(bytes);
  auto structure = mime::decode_structure(bytes);
  if (!structure) return 0;
  std::string out;
  imap::put_envelope(out, structure->envelope);
  imap::put_body_structure(out, *structure, false);
  imap::put_body_structure(out, *structure, true);
  for (std::uint32_t i = 1; i < 4; ++i) {
    for (auto kind :
         {mime::SectionKind::kAll, mime::SectionKind::kHeader, mime::SectionKind::kMime}) {
      auto range = mime::find_section(*structure, {{1, i, 1}, kind, {}});
      if (range && range->end() > structure->whole().end()) std::abort();
    }
  }
  auto again = mime::decode_structure(mime::encode_structure(*structure));
  if (!again || *again != *structure) std::abort();
  return 0;
}
