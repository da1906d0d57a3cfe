// thaw() on hostile bytes: what it accepts must freeze to the same bytes and serve an engine.

#include <cstdint>

#include "tls/record.h"
#include "tls/test_forger.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse::tls;  // NOLINT(google-build-using-namespace)
  const ByteView input = std::as_bytes(std::span(data, size));
  dormouse::Result<SessionKeys> keys = SessionKeys::thaw(input);
  Bytes slot(input.begin(), input.end());
  dormouse::Result<FrozenKeys> parked = FrozenKeys::attach(slot);
  DORMOUSE_CHECK(!keys || parked, "what thaws can be used in place");
  if (parked) {
    const uint64_t before = parked->send_count();
    const dormouse::Result<uint64_t> first = parked->advance_send(2);
    DORMOUSE_CHECK(parked->send_count() == before + (first ? 2 : 0), "advanced or not");
    DORMOUSE_CHECK(SessionKeys::thaw(parked->bytes()), "still sound");
  }
  if (!keys) return 0;
  const Bytes again = keys->freeze();
  DORMOUSE_CHECK(again == Bytes(input.begin(), input.end()), "one form for one meaning");
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, std::move(*keys));
  Bytes output;
  const bool closed = engine.keys().close_sent;
  const dormouse::Result<> sealed = engine.seal(input, output);
  DORMOUSE_CHECK(!(closed && sealed), "nothing behind a close_notify");
  Bytes junk(64, std::byte{23});
  engine.open(junk, output);
  return 0;
}
