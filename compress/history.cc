#include "compress/history.h"

#include <algorithm>

#include "compress/counters.h"
#include "compress/dictionary.h"

namespace dormouse::compress {
namespace {

constexpr size_t kHeadBytes = 2;
enum Form : uint8_t { kPlain = 0, kCounters = 1 };

// Measured (docs/compress.md): up to 4 % shorter than level 6 in the same time, since text this
// short has few candidates for a match.
constexpr int kLevel = 9;
// 2^(memLevel + 7) hash heads, to be cleared each time; 2^(memLevel + 6) symbols in a block.
constexpr int kSmallMemLevel = 6;
constexpr int kMemLevel = 8;

// The smallest window that reaches from the end of the text to the begin of the dictionary: less
// memory to allocate, less to clear.
int window_bits_for(size_t bytes) {
  int bits = 12;
  while (bits < MAX_WBITS && (size_t{1} << bits) < bytes + 512) ++bits;  // 512: zlib's lookahead
  return bits;
}

}  // namespace

Result<Bytes> pack_history(std::string_view history) {
  if (history.empty()) return Bytes();
  DORMOUSE_CHECK(history.size() <= kWindowBytes, "a history is a window at the most");
  std::string shortened = shorten_counters(history);
  Form form = shortened.size() <= history.size() ? kCounters : kPlain;
  std::string_view text = form == kCounters ? std::string_view(shortened) : history;
  std::string_view preset = dictionary(kDictionaryNow);

  int window_bits = window_bits_for(preset.size() + text.size());
  DeflateState state =
      make_deflate(kLevel, window_bits, window_bits < 14 ? kSmallMemLevel : kMemLevel);
  if (!state) return fail(ErrorKind::kUnavailable, "no memory to pack a history");
  deflateSetDictionary(state.get(), octets(preset), uInt(preset.size()));
  Bytes packed(kHeadBytes + deflateBound(state.get(), text.size()));
  packed[0] = std::byte(form);
  packed[1] = std::byte(kDictionaryNow);
  state->next_in = octets(text);
  state->avail_in = uInt(text.size());
  state->next_out = octets(packed) + kHeadBytes;
  state->avail_out = uInt(packed.size() - kHeadBytes);
  int done = deflate(state.get(), Z_FINISH);
  DORMOUSE_CHECK(done == Z_STREAM_END, "deflateBound() is a bound");
  packed.resize(kHeadBytes + state->total_out);
  packed.shrink_to_fit();
  return packed;
}

Result<std::string> unpack_history(std::span<const std::byte> packed) {
  if (packed.empty()) return std::string();
  if (packed.size() > kPackedBytesMax || packed.size() <= kHeadBytes) {
    return fail(ErrorKind::kInvalid, "packed history: length");
  }
  auto form = uint8_t(packed[0]);
  if (form > kCounters) return fail(ErrorKind::kInvalid, "packed history: form");
  std::string_view preset = dictionary(uint8_t(packed[1]));
  if (preset.empty()) return fail(ErrorKind::kUnsupported, "packed history: dictionary");

  InflateState state = make_inflate();
  if (!state) return fail(ErrorKind::kUnavailable, "no memory to unpack a history");
  inflateSetDictionary(state.get(), octets(preset), uInt(preset.size()));
  auto rest = packed.subspan(kHeadBytes);
  state->next_in = octets(rest);
  state->avail_in = uInt(rest.size());
  std::string text;
  int done = Z_OK;
  text.resize_and_overwrite(kWindowBytes, [&](char* to, size_t) {
    state->next_out = reinterpret_cast<Bytef*>(to);
    state->avail_out = uInt(kWindowBytes);
    done = inflate(state.get(), Z_FINISH);
    return kWindowBytes - state->avail_out;
  });
  if (done != Z_STREAM_END || state->avail_in != 0 || text.empty()) {
    return fail(ErrorKind::kInvalid, "packed history: not a whole deflate stream");
  }
  if (form == kPlain) return text;
  return restore_counters(text, kWindowBytes);
}

}  // namespace dormouse::compress
