#pragma once
// DeflateStream: what one side of a connection sends under RFC 4978. Every put() ends with a flush
// to a byte boundary, so that the peer can read all of it, and so that nothing but the window ties
// the next bytes to the former: release() throws that away, and the next put() begins with an empty
// window, which every inflater accepts. So a sleeper has no deflate state to keep, and its short
// answers go out as stored blocks, for which none is made. An engine: no I/O.

#include <cstddef>
#include <span>
#include <string_view>

#include "compress/zlib_streams.h"
#include "io/result.h"

namespace dormouse::compress {

// Without a window, text up to here is sent as a stored block: deflated it would be a tenth shorter
// at the most (docs/compress.md) and cost a z_stream.
inline constexpr size_t kStoredBytesMax = 192;
// Block header and the lengths (RFC 1951 section 3.2.4).
inline constexpr size_t kStoredOverheadBytes = 5;

class DeflateStream {
 public:
  // Appends `plain` deflated and flushed. Empty in, nothing out. kUnavailable: no memory; nothing
  // was appended.
  Result<> put(std::string_view plain, Bytes& wire);
  // Frees the state. The peer need not know.
  void release() { state_.reset(); }
  bool holds_state() const { return state_ != nullptr; }
  size_t held_bytes() const;

 private:
  DeflateState state_;
};

}  // namespace dormouse::compress
