// open() on hostile bytes. Input: one byte chooses suite (mod 6) and, with its top bit, the side;
// the next chooses between raw ciphertext (even) and a script of records that authenticate:
// { type, length of the plaintext as 16 bits big-endian, plaintext, padding byte }*.

#include <cstdint>

#include "tls/record.h"
#include "tls/test_forger.h"

namespace {

using namespace dormouse::tls;  // NOLINT(google-build-using-namespace)

void check_opened(const Opened& opened, ByteView input, size_t reply_bytes) {
  DORMOUSE_CHECK(opened.consumed_bytes <= input.size(), "consumed is part of the input");
  DORMOUSE_CHECK(reply_bytes <= kReplyBytesMax, "answers are short");
  DORMOUSE_CHECK((opened.event == OpenEvent::kNeedMore) == (opened.need_bytes > 0),
                 "need_bytes says how much");
  if (opened.event != OpenEvent::kData) return;
  DORMOUSE_CHECK(!opened.data.empty() && opened.data.data() >= input.data() &&
                     opened.data.data() + opened.data.size() <= input.data() + input.size(),
                 "data lies within the input");
}

// All records of `input`, through a freeze and thaw between any two. False when the session ended.
bool open_all(RecordCrypto& crypto, RecordEngine& engine, Bytes input) {
  ByteSpan rest(input);
  for (;;) {
    Bytes output;
    const Opened opened = engine.open(rest, output);
    check_opened(opened, rest, output.size());
    if (opened.event == OpenEvent::kNeedMore) return true;
    if (opened.event != OpenEvent::kData && opened.event != OpenEvent::kControl) return false;
    DORMOUSE_CHECK(opened.consumed_bytes > 0, "progress");
    rest = rest.subspan(opened.consumed_bytes);
    const Bytes frozen = engine.keys().freeze();
    dormouse::Result<SessionKeys> thawed = SessionKeys::thaw(frozen);
    DORMOUSE_CHECK(thawed && thawed->freeze() == frozen, "what was frozen thaws");
    engine = RecordEngine(crypto, std::move(*thawed));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  ByteView input = std::as_bytes(std::span(data, size));
  const Suite suite = kSuites[(data[0] & 0x7f) % kSuites.size()].suite;
  const bool client = (data[0] & 0x80) != 0;
  const bool raw = data[1] % 2 == 0;
  input = input.subspan(2);
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, test::make_keys(suite, client));
  if (raw) {
    open_all(crypto, engine, Bytes(input.begin(), input.end()));
    return 0;
  }
  test::Forger forger(test::make_keys(suite, !client));
  uint64_t secrets = engine.keys().receive.count;
  while (input.size() >= 4) {
    const size_t plain_bytes = std::min<size_t>(load_be(&input[1], 2), input.size() - 4);
    const auto type = std::to_integer<uint8_t>(input[0]);
    const auto padding = std::to_integer<size_t>(input[3 + plain_bytes]);
    const Bytes record = forger.record(type, input.subspan(3, plain_bytes), padding);
    input = input.subspan(4 + plain_bytes);
    if (!open_all(crypto, engine, record)) return 0;
    // The counter began again: the record finished a KeyUpdate.
    const uint64_t count = engine.keys().receive.count;
    if (count <= secrets) forger.update_keys();
    secrets = count;
  }
  return 0;
}
