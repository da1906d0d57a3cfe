#pragma once
// InflateStream: what one side of a connection receives under RFC 4978, and what must be kept of it
// while it sleeps. An engine: no I/O.
//
// A sender may flush anywhere: Z_SYNC_FLUSH ends at a block boundary, Z_PARTIAL_FLUSH up to 7 bits
// before the end of an empty block. So a frozen stream is a state at the last block boundary and
// the few raw bytes that came after it, which a thaw reads again:
//
//   frozen  = head[1] [held[1]] [tail_bytes[1] repeated_bytes[2] tail] [recent_bytes[1] recent]
//             history
//   head    = version 1 [bits 6-7] 0 [5] has recent [4] has tail [3] count of held bits [0-2]
//   held    = the bits of the boundary's byte that belong to the next block, lowest first;
//             only when there are any
//   tail    = tail_bytes (1 to kTailBytesMax) of the stream behind the boundary; they gave
//             repeated_bytes of output already
//   recent  = recent_bytes (1 to kRecentBytesMax) of output, the last before the boundary
//   history = history.h: the output before `recent`. The window at the boundary is the last
//             kWindowBytes of both
//
// `recent` is there for sleepers that say DONE and IDLE all day: packing costs tens of
// microseconds, and with it most sleeps leave the packed history as it was.
//
// Numbers are low byte first.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "compress/history.h"
#include "compress/zlib_streams.h"
#include "io/result.h"

namespace dormouse::compress {

// A partial flush leaves 2 bytes behind the boundary, a command in a block without end its whole
// length. More is a client in the middle of a sentence.
inline constexpr size_t kTailBytesMax = 64;
// Six rounds of DONE and IDLE between two packings; as much again would save little.
inline constexpr size_t kRecentBytesMax = 128;
// An awake stream: the window and zlib's own structure (zconf.h).
inline constexpr size_t kInflateBytes = kWindowBytes + 7 * 1024;
inline constexpr size_t kFrozenBytesMax =
    1 + 1 + 3 + kTailBytesMax + 1 + kRecentBytesMax + kPackedBytesMax;

class InflateStream {
 public:
  // kUnavailable: no memory.
  static Result<InflateStream> create();
  // kInvalid, kUnsupported (a dictionary of a later release): these are not our frozen bytes.
  static Result<InflateStream> thaw(std::span<const std::byte> frozen);

  enum class Event {
    kNeedInput,  // all input was taken and all that it says was given out
    kFull,       // the output bound was reached: there may be more, call again (also without input)
    kEnd,        // the peer has ended the stream (RFC 1951 BFINAL); nothing can follow
    kBroken,     // not a deflate stream, or no memory
  };
  struct Taken {
    Event event = Event::kNeedInput;
    size_t consumed_bytes = 0;
  };
  // Appends at most `plain_bytes_max` bytes to `plain`. Input that was not consumed is given again.
  Taken take(std::span<const std::byte> input, std::string& plain, size_t plain_bytes_max);

  // Why this stream cannot be frozen now; null: it can. Valid when take() said kNeedInput.
  const char* hindrance() const;
  // hindrance() is null. kUnavailable: no memory.
  Result<Bytes> freeze() const;

 private:
  explicit InflateStream(InflateState state) : state_(std::move(state)) {}
  void note(std::span<const std::byte> consumed, size_t produced);

  InflateState state_;
  size_t window_bytes_ = 0;  // of the window, filled
  Bytes packed_;             // of the thaw: the output up to appended_bytes_ ago
  size_t appended_bytes_ = 0;
  // Since the last block boundary.
  uint8_t held_count_ = 0;  // bits of the boundary's byte that belong to the next block
  uint8_t held_bits_ = 0;
  Bytes tail_;                 // at most kTailBytesMax
  bool tail_whole_ = true;     // tail_ is all of it
  size_t produced_bytes_ = 0;  // at most kWindowBytes + 1: more is as good as that
  std::byte last_byte_{};
  bool over_ = false;
};

}  // namespace dormouse::compress
