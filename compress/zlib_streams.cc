#include "compress/zlib_streams.h"

namespace dormouse::compress {

void DeflateEnd::operator()(z_stream* stream) const {
  deflateEnd(stream);
  delete stream;
}

void InflateEnd::operator()(z_stream* stream) const {
  inflateEnd(stream);
  delete stream;
}

DeflateState make_deflate(int level, int window_bits, int mem_level) {
  auto stream = std::make_unique<z_stream>();
  if (deflateInit2(stream.get(), level, Z_DEFLATED, -window_bits, mem_level, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return nullptr;
  }
  return DeflateState(stream.release());
}

InflateState make_inflate() {
  auto stream = std::make_unique<z_stream>();
  if (inflateInit2(stream.get(), -MAX_WBITS) != Z_OK) return nullptr;
  return InflateState(stream.release());
}

}  // namespace dormouse::compress
