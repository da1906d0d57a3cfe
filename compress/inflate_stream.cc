#include "compress/inflate_stream.h"

#include <algorithm>

namespace dormouse::compress {
namespace {

constexpr unsigned kVersion = 1;
constexpr unsigned kHasRecent = 16;
constexpr unsigned kHasTail = 8;
constexpr unsigned kCountMask = 7;
// z_stream::data_type after inflate(): stands behind an end of block.
constexpr int kAtBoundary = 128;
constexpr int kInLastBlock = 64;
// Room made for one inflate() call: four times what came, as command text shrinks to a quarter at
// best, within these; what does not fit takes another call.
constexpr size_t kPieceBytesMin = 256;
constexpr size_t kPieceBytesMax = 16 * 1024;

}  // namespace

Result<InflateStream> InflateStream::create() {
  InflateState state = make_inflate();
  if (!state) return fail(ErrorKind::kUnavailable, "no memory to inflate");
  return InflateStream(std::move(state));
}

InflateStream::Taken InflateStream::take(std::span<const std::byte> input, std::string& plain,
                                         size_t plain_bytes_max) {
  Taken taken;
  if (over_) {
    taken.event = Event::kBroken;
    return taken;
  }
  size_t left = plain_bytes_max;
  while (left > 0) {
    auto rest = input.subspan(taken.consumed_bytes);
    size_t before = plain.size();
    size_t piece = std::min(left, std::clamp(rest.size() * 4, kPieceBytesMin, kPieceBytesMax));
    int done = Z_OK;
    // (libstdc++ 12 hands the function a larger size when it had to grow: ours counts.)
    plain.resize_and_overwrite(before + piece, [&](char* to, size_t) {
      state_->next_in = octets(rest);
      state_->avail_in = uInt(rest.size());
      state_->next_out = reinterpret_cast<Bytef*>(to) + before;
      state_->avail_out = uInt(piece);
      done = inflate(state_.get(), Z_BLOCK);
      return before + piece - state_->avail_out;
    });
    size_t consumed = rest.size() - state_->avail_in;
    size_t produced = plain.size() - before;
    taken.consumed_bytes += consumed;
    left -= produced;
    note(rest.first(consumed), produced);
    if (done == Z_STREAM_END || (done != Z_OK && done != Z_BUF_ERROR)) {
      over_ = true;
      taken.event = done == Z_STREAM_END ? Event::kEnd : Event::kBroken;
      return taken;
    }
    // Input is used up, and the output was not: zlib has nothing more to say, unless it stands
    // behind the last block and says so when asked again.
    constexpr int kAtEnd = kAtBoundary | kInLastBlock;
    bool at_end = (state_->data_type & kAtEnd) == kAtEnd;
    if (state_->avail_in == 0 && state_->avail_out > 0 && !at_end) {
      taken.event = Event::kNeedInput;
      return taken;
    }
    DORMOUSE_CHECK(consumed > 0 || produced > 0 || done == Z_OK, "inflate() makes progress");
  }
  taken.event = Event::kFull;
  return taken;
}

// After each inflate(): where the stream now stands in its blocks.
void InflateStream::note(std::span<const std::byte> consumed, size_t produced) {
  window_bytes_ = std::min(kWindowBytes, window_bytes_ + produced);
  appended_bytes_ += produced;
  if (!consumed.empty()) last_byte_ = consumed.back();
  if ((state_->data_type & kAtBoundary) != 0) {
    held_count_ = uint8_t(unsigned(state_->data_type) & kCountMask);
    held_bits_ = uint8_t(held_count_ == 0 ? 0 : uint8_t(last_byte_) >> (8 - held_count_));
    tail_.clear();
    tail_whole_ = true;
    produced_bytes_ = 0;
    return;
  }
  produced_bytes_ = std::min(kWindowBytes + 1, produced_bytes_ + produced);
  if (tail_.size() + consumed.size() > kTailBytesMax) {
    tail_whole_ = false;
    tail_.clear();
  } else if (tail_whole_) {
    tail_.insert(tail_.end(), consumed.begin(), consumed.end());
  }
}

const char* InflateStream::hindrance() const {
  if (over_) return "the deflate stream has ended";
  if (!tail_whole_) return "half a deflate block from the client";
  // The block's output has pushed the begin of the window out, and the block may refer to it.
  if (produced_bytes_ > 0 && window_bytes_ == kWindowBytes) {
    return "half a deflate block from the client, with a full window";
  }
  return nullptr;
}

Result<Bytes> InflateStream::freeze() const {
  DORMOUSE_CHECK(hindrance() == nullptr, "freeze() of a stream that cannot be frozen");
  std::string window;
  window.resize_and_overwrite(window_bytes_, [this](char* to, size_t) {
    uInt length = 0;
    if (window_bytes_ != 0)
      inflateGetDictionary(state_.get(), reinterpret_cast<Bytef*>(to), &length);
    DORMOUSE_CHECK(length == window_bytes_, "the window is as full as we counted");
    return window_bytes_ - produced_bytes_;
  });
  size_t recent_bytes = appended_bytes_ - produced_bytes_;
  Result<Bytes> packed = packed_;
  if (packed_.empty() || recent_bytes > kRecentBytesMax) {
    recent_bytes = 0;
    packed = pack_history(window);
    if (!packed) return packed;
  }
  Bytes frozen;
  frozen.reserve(2 + 3 + tail_.size() + 1 + recent_bytes + packed->size());
  auto append = [&frozen](std::span<const std::byte> bytes) {
    frozen.insert(frozen.end(), bytes.begin(), bytes.end());
  };
  frozen.push_back(std::byte(kVersion << 6 | (recent_bytes == 0 ? 0 : kHasRecent) |
                             (tail_.empty() ? 0 : kHasTail) | held_count_));
  if (held_count_ != 0) frozen.push_back(std::byte(held_bits_));
  if (!tail_.empty()) {
    frozen.push_back(std::byte(tail_.size()));
    frozen.push_back(std::byte(produced_bytes_ & 0xff));
    frozen.push_back(std::byte(produced_bytes_ >> 8));
    append(tail_);
  }
  if (recent_bytes != 0) {
    frozen.push_back(std::byte(recent_bytes));
    append(std::as_bytes(std::span(window).last(recent_bytes)));
  }
  append(*packed);
  return frozen;
}

namespace {

// The parts of frozen bytes, still packed.
struct Frozen {
  unsigned held_count = 0;
  unsigned held_bits = 0;
  std::span<const std::byte> tail;
  size_t repeated_bytes = 0;
  std::span<const std::byte> recent;
  std::span<const std::byte> packed;
};

// Gives the name of the part that is wrong.
std::expected<Frozen, const char*> parse(std::span<const std::byte> bytes) {
  Frozen frozen;
  if (bytes.empty() || bytes.size() > kFrozenBytesMax) return std::unexpected("length");
  auto head = unsigned(bytes[0]);
  frozen.held_count = head & kCountMask;
  if (head >> 5 != kVersion << 1) return std::unexpected("version");
  bytes = bytes.subspan(1);
  if (frozen.held_count != 0) {
    if (bytes.empty()) return std::unexpected("held bits");
    frozen.held_bits = unsigned(bytes[0]);
    if (frozen.held_bits >> frozen.held_count != 0) return std::unexpected("held bits");
    bytes = bytes.subspan(1);
  }
  if ((head & kHasTail) != 0) {
    if (bytes.size() < 3) return std::unexpected("tail");
    auto size = size_t(bytes[0]);
    frozen.repeated_bytes = size_t(bytes[1]) | size_t(bytes[2]) << 8;
    if (size == 0 || size > kTailBytesMax || bytes.size() - 3 < size)
      return std::unexpected("tail");
    frozen.tail = bytes.subspan(3, size);
    bytes = bytes.subspan(3 + size);
  }
  if ((head & kHasRecent) != 0) {
    if (bytes.empty()) return std::unexpected("recent output");
    auto size = size_t(bytes[0]);
    // Recent output stands behind a packed history only.
    if (size == 0 || size > kRecentBytesMax || bytes.size() - 1 <= size) {
      return std::unexpected("recent output");
    }
    frozen.recent = bytes.subspan(1, size);
    bytes = bytes.subspan(1 + size);
  }
  frozen.packed = bytes;
  return frozen;
}

}  // namespace

Result<InflateStream> InflateStream::thaw(std::span<const std::byte> bytes) {
  auto invalid = [](const char* what) {
    return fail(ErrorKind::kInvalid, std::string("frozen inflate stream: ") + what);
  };
  auto frozen = parse(bytes);
  if (!frozen) return invalid(frozen.error());
  auto history = unpack_history(frozen->packed);
  if (!history) return std::unexpected(history.error());
  std::string& window = *history;
  window.append(reinterpret_cast<const char*>(frozen->recent.data()), frozen->recent.size());
  if (window.size() > kWindowBytes) window.erase(0, window.size() - kWindowBytes);
  if (window.size() + frozen->repeated_bytes > kWindowBytes) return invalid("window");

  auto stream = create();
  if (!stream) return stream;
  if (!window.empty()) {
    inflateSetDictionary(stream->state_.get(), octets(window), uInt(window.size()));
  }
  if (frozen->held_count != 0) {
    inflatePrime(stream->state_.get(), int(frozen->held_count), int(frozen->held_bits));
  }
  stream->window_bytes_ = window.size();
  stream->packed_.assign(frozen->packed.begin(), frozen->packed.end());
  stream->appended_bytes_ = frozen->recent.size();
  stream->held_count_ = uint8_t(frozen->held_count);
  stream->held_bits_ = uint8_t(frozen->held_bits);
  if (!frozen->tail.empty()) {
    std::string again;
    Taken taken = stream->take(frozen->tail, again, kWindowBytes);
    // A boundary in it, or another length of output: this tail was not cut where ours are.
    if (taken.event != Event::kNeedInput || again.size() != frozen->repeated_bytes ||
        stream->tail_.size() != frozen->tail.size()) {
      return invalid("tail");
    }
  }
  return stream;
}

}  // namespace dormouse::compress
