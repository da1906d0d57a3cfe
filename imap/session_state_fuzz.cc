// Whatever decode_state() lets through is a state that encode_state() could have made, and means
// the same after another round.

#include <cstdint>
#include <cstdlib>

#include "imap/session_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse::imap;
  auto state = decode_state(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!state) return 0;
  auto bytes = encode_state(*state);
  // Packed fields may have come unpacked, or twice: never longer than what came.
  if (!bytes) std::abort();
  auto again = decode_state(*bytes);
  if (!again || !(*again == *state)) std::abort();
  return 0;
}
