#include "hibernate/record.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "compress/inflate_stream.h"
#include "hibernate/slab.h"
#include "tls/session_keys.h"

namespace dormouse::hibernate {
namespace {

// The fixed part, as it lies in memory (never leaves the machine; versioned by the slab's header).
struct Fixed {
  uint64_t session;
  std::byte cookie[16];
  uint32_t checksum;
  uint32_t parked_at_s;
  uint32_t looked_at_s;
  uint32_t exists;
  uint8_t mode;
  uint8_t flags;
  uint8_t pending;
  uint8_t tls_bytes;
  uint8_t tag_bytes;
  uint8_t shape;
  uint16_t port;
  uint16_t user_bytes;
  uint16_t state_bytes;
  uint16_t directory_bytes;
  uint16_t sending_bytes;

  size_t address_bytes() const { return shape & ~kShapeStreams; }
  bool has_streams() const { return (shape & kShapeStreams) != 0; }
  static constexpr uint8_t kShapeStreams = 128;
};
static_assert(sizeof(Fixed) == 56, "docs/parked-record.md says so");

struct Streams {
  uint16_t input_bytes = 0;
  uint16_t compress_bytes = 0;
  bool any() const { return input_bytes != 0 || compress_bytes != 0; }
};
static_assert(sizeof(Streams) == 4);

static_assert(compress::kFrozenBytesMax <= UINT16_MAX);

enum Part { kTls, kUser, kAddress, kTag, kState, kDirectories, kInput, kCompress };

Fixed load(std::span<const std::byte> block) {
  Fixed fixed;
  std::memcpy(&fixed, block.data(), sizeof fixed);
  return fixed;
}

// The part in front of the others: what it says, and its size.
struct Head {
  explicit Head(std::span<const std::byte> block) : fixed(load(block)) {
    if (!fixed.has_streams() || block.size() < sizeof fixed + sizeof streams) return;
    std::memcpy(&streams, block.data() + sizeof fixed, sizeof streams);
    bytes += sizeof streams;
  }
  Head(const Fixed& the_fixed, const Streams& the_streams)
      : fixed(the_fixed), streams(the_streams), bytes(sizeof fixed + (streams.any() ? 4 : 0)) {}

  size_t total() const {
    return bytes + fixed.tls_bytes + fixed.user_bytes + fixed.address_bytes() + fixed.tag_bytes +
           fixed.state_bytes + fixed.directory_bytes + streams.input_bytes + streams.compress_bytes;
  }

  Fixed fixed;
  Streams streams;
  size_t bytes = sizeof fixed;
};

uint32_t fnv(uint32_t hash, std::span<const std::byte> bytes) {
  for (std::byte byte : bytes) hash = (hash ^ uint32_t(byte)) * 16777619u;
  return hash;
}

uint32_t checksum_of(std::span<const std::byte> record) {
  Head head(record);
  Fixed& fixed = head.fixed;
  fixed.checksum = 0;
  fixed.mode = 0;
  fixed.flags = 0;
  fixed.parked_at_s = 0;
  fixed.exists = 0;
  fixed.pending = 0;
  fixed.sending_bytes = 0;
  uint32_t hash = fnv(2166136261u, std::as_bytes(std::span(&fixed, 1)));
  hash = fnv(hash, record.subspan(sizeof fixed, head.bytes - sizeof fixed));
  auto rest = record.subspan(head.bytes);
  if (fixed.tls_bytes >= tls::kMaterialOffset) {
    hash = fnv(hash, rest.first(tls::kSendCountOffset));
    rest = rest.subspan(tls::kMaterialOffset);
  }
  return fnv(hash, rest);
}

size_t shared_bytes(std::string_view before, std::string_view directory) {
  size_t most = std::min(before.size(), directory.size());
  size_t shared = 0;
  while (shared < most && before[shared] == directory[shared]) ++shared;
  return shared;
}

// The directories as they lie in a record; nothing when one is over its bound.
std::optional<std::string> pack(const std::vector<std::string>& directories) {
  std::string packed;
  std::string_view before;
  for (const std::string& directory : directories) {
    if (directory.size() > kDirectoryBytesMax) return std::nullopt;
    size_t shared = shared_bytes(before, directory);
    if (!packed.empty()) packed += char(shared);
    packed += char(directory.size() - shared);
    packed.append(directory, shared);
    before = directory;
  }
  return packed;
}

// False: not what pack() makes.
bool unpack(std::string_view packed, std::vector<std::string>& directories) {
  bool first = true;
  while (!packed.empty()) {
    size_t head = first ? 1 : 2;
    if (packed.size() < head) return false;
    size_t shared = first ? 0 : uint8_t(packed[0]);
    size_t size = uint8_t(packed[head - 1]);
    if (packed.size() < head + size || shared + size > kDirectoryBytesMax) return false;
    if (!first && shared > directories.back().size()) return false;
    std::string directory(first ? "" : directories.back().substr(0, shared));
    directories.push_back(directory.append(packed.substr(head, size)));
    packed.remove_prefix(head + size);
    first = false;
  }
  return true;
}

}  // namespace

Address Address::parse(const std::string& text, uint16_t port) {
  Address address;
  address.port = port;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.size = 4;
  } else if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.size = 16;
  }
  return address;
}

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (size == 4) inet_ntop(AF_INET, bytes.data(), text, sizeof text);
  if (size == 16) inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

uint64_t Address::hash() const {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ uint64_t(bytes[i])) * 1099511628211u;
  return hash;
}

size_t record_bytes(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Fixed)) return 0;
  Head head(bytes);
  if (head.fixed.has_streams() != head.streams.any() || head.total() > bytes.size()) return 0;
  return head.total();
}

size_t encoded_bytes(const RecordParts& parts) {
  auto directories = pack(parts.directories);
  if (parts.tls.size() > tls::kFrozenBytesMax || parts.user.size() > kUserBytesMax ||
      parts.idle_tag.size() > kTagBytesMax || parts.state.size() > UINT16_MAX || !directories ||
      directories->size() > UINT16_MAX || parts.input.size() > kInputBytesMax ||
      parts.compress.size() > compress::kFrozenBytesMax) {
    return 0;
  }
  bool streams = !parts.input.empty() || !parts.compress.empty();
  size_t bytes = sizeof(Fixed) + (streams ? sizeof(Streams) : 0) + parts.tls.size() +
                 parts.user.size() + parts.address.size + parts.idle_tag.size() +
                 parts.state.size() + directories->size() + parts.input.size() +
                 parts.compress.size();
  return bytes <= Slab::kRecordBytesMax ? bytes : 0;
}

void encode(const RecordParts& parts, std::span<std::byte> to) {
  const std::string directories = pack(parts.directories).value_or("");
  const Streams streams{.input_bytes = uint16_t(parts.input.size()),
                        .compress_bytes = uint16_t(parts.compress.size())};
  Fixed fixed{};
  fixed.session = parts.session;
  std::memcpy(fixed.cookie, parts.cookie.data(), sizeof fixed.cookie);
  fixed.parked_at_s = parts.parked_at_s;
  fixed.looked_at_s = parts.looked_at_s;
  fixed.exists = parts.exists;
  fixed.pending = parts.pending;
  fixed.mode = uint8_t(parts.mode);
  fixed.flags =
      uint8_t((parts.small_talk ? kFlagSmallTalk : 0) | (parts.selected ? kFlagSelected : 0) |
              (parts.changed ? kFlagChanged : 0) | (parts.sending ? kFlagSending : 0) |
              (parts.announces ? kFlagAnnounces : 0) | (parts.pushes ? kFlagPushes : 0) |
              (parts.held ? kFlagHeld : 0));
  fixed.tls_bytes = uint8_t(parts.tls.size());
  fixed.user_bytes = uint16_t(parts.user.size());
  fixed.shape = uint8_t(parts.address.size | (streams.any() ? Fixed::kShapeStreams : 0));
  fixed.port = parts.address.port;
  fixed.tag_bytes = uint8_t(parts.idle_tag.size());
  fixed.state_bytes = uint16_t(parts.state.size());
  fixed.directory_bytes = uint16_t(directories.size());
  const size_t total = Head(fixed, streams).total();
  DORMOUSE_CHECK(to.size() >= total, "the block holds the record");

  std::byte* at = to.data() + sizeof fixed;
  auto put = [&at](const void* bytes, size_t size) {
    if (size != 0) std::memcpy(at, bytes, size);
    at += size;
  };
  if (streams.any()) put(&streams, sizeof streams);
  put(parts.tls.data(), parts.tls.size());
  put(parts.user.data(), parts.user.size());
  put(parts.address.bytes.data(), parts.address.size);
  put(parts.idle_tag.data(), parts.idle_tag.size());
  put(parts.state.data(), parts.state.size());
  put(directories.data(), directories.size());
  put(parts.input.data(), parts.input.size());
  put(parts.compress.data(), parts.compress.size());
  std::memcpy(to.data(), &fixed, sizeof fixed);
  fixed.checksum = checksum_of(to.first(total));
  std::memcpy(to.data(), &fixed, sizeof fixed);
}

Result<RecordView> RecordView::attach(std::span<std::byte> block) {
  RecordView view(block);
  size_t bytes = record_bytes(block);
  if (bytes == 0) return fail(ErrorKind::kInvalid, "parked record: length");
  if (checksum_of(block.first(bytes)) != load(block).checksum) {
    return fail(ErrorKind::kInvalid, "parked record: checksum");
  }
  if (!view.valid()) return fail(ErrorKind::kInvalid, "parked record: a part is out of bounds");
  return view;
}

bool RecordView::valid() const {
  Fixed fixed = load(block_);
  if (fixed.mode > uint8_t(wire::WorkerToDen::Parked::IDLE)) return false;
  size_t address = fixed.address_bytes();
  if (address != 0 && address != 4 && address != 16) return false;
  if (fixed.tls_bytes != 0 && !tls::FrozenKeys::attach(tls())) return false;
  std::vector<std::string> directories;
  return unpack(part(kDirectories), directories);
}

std::string_view RecordView::part(size_t which) const {
  Head head(block_);
  const Fixed& fixed = head.fixed;
  const size_t sizes[] = {fixed.tls_bytes,          fixed.user_bytes,
                          fixed.address_bytes(),    fixed.tag_bytes,
                          fixed.state_bytes,        fixed.directory_bytes,
                          head.streams.input_bytes, head.streams.compress_bytes};
  size_t offset = head.bytes;
  for (size_t i = 0; i < which; ++i) offset += sizes[i];
  return {reinterpret_cast<const char*>(block_.data()) + offset, sizes[which]};
}

size_t RecordView::bytes() const { return Head(block_).total(); }
uint64_t RecordView::session() const { return load(block_).session; }
std::span<const std::byte, 16> RecordView::cookie() const {
  return std::span<const std::byte, 16>(block_.data() + offsetof(Fixed, cookie), 16);
}
ParkedMode RecordView::mode() const { return ParkedMode(load(block_).mode); }
void RecordView::set_mode(ParkedMode mode) {
  block_[offsetof(Fixed, mode)] = std::byte(uint8_t(mode));
}
uint8_t RecordView::flags() const { return load(block_).flags; }
void RecordView::set_flag(uint8_t flag_bit, bool on) {
  uint8_t now = flags();
  block_[offsetof(Fixed, flags)] =
      std::byte(on ? uint8_t(now | flag_bit) : uint8_t(now & ~flag_bit));
}
uint32_t RecordView::parked_at_s() const { return load(block_).parked_at_s; }
void RecordView::set_parked_at_s(uint32_t seconds) {
  std::memcpy(block_.data() + offsetof(Fixed, parked_at_s), &seconds, sizeof seconds);
}
uint32_t RecordView::looked_at_s() const { return load(block_).looked_at_s; }
uint32_t RecordView::exists() const { return load(block_).exists; }
void RecordView::set_exists(uint32_t messages) {
  std::memcpy(block_.data() + offsetof(Fixed, exists), &messages, sizeof messages);
}
uint32_t RecordView::pending() const { return load(block_).pending; }
void RecordView::set_pending(uint32_t messages) {
  DORMOUSE_CHECK(messages <= kPendingMax, "more is left to a worker");
  block_[offsetof(Fixed, pending)] = std::byte(uint8_t(messages));
}
uint16_t RecordView::sending_bytes() const { return load(block_).sending_bytes; }
void RecordView::set_sending_bytes(size_t bytes) {
  auto told = uint16_t(bytes <= UINT16_MAX ? bytes : 0);
  std::memcpy(block_.data() + offsetof(Fixed, sending_bytes), &told, sizeof told);
}
std::span<std::byte> RecordView::tls() const {
  Head head(block_);
  return block_.subspan(head.bytes, head.fixed.tls_bytes);
}
std::array<std::byte, 16> RecordView::counters_of(std::span<const std::byte> keys) {
  std::array<std::byte, 16> counters{};
  static_assert(tls::kMaterialOffset - tls::kSendCountOffset == sizeof counters);
  if (keys.size() < tls::kMaterialOffset) return counters;
  std::memcpy(counters.data(), keys.data() + tls::kSendCountOffset, sizeof counters);
  return counters;
}
void RecordView::set_counters(const std::array<std::byte, 16>& counters) {
  auto keys = tls();
  if (keys.size() < tls::kMaterialOffset) return;
  std::memcpy(keys.data() + tls::kSendCountOffset, counters.data(), sizeof counters);
}
std::string_view RecordView::user() const { return part(kUser); }
std::string_view RecordView::idle_tag() const { return part(kTag); }
std::string_view RecordView::state() const { return part(kState); }
std::string_view RecordView::input() const { return part(kInput); }
std::span<const std::byte> RecordView::compress() const {
  return std::as_bytes(std::span(part(kCompress)));
}

Address RecordView::address() const {
  Address address;
  std::string_view bytes = part(kAddress);
  std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
  address.size = uint8_t(bytes.size());
  address.port = load(block_).port;
  return address;
}

std::vector<std::string> RecordView::directories() const {
  std::vector<std::string> found;
  (void)unpack(part(kDirectories), found);  // attach() has looked
  return found;
}

RecordParts RecordView::parts() const {
  RecordParts parts;
  parts.session = session();
  std::memcpy(parts.cookie.data(), cookie().data(), parts.cookie.size());
  parts.parked_at_s = parked_at_s();
  parts.looked_at_s = looked_at_s();
  parts.exists = exists();
  parts.pending = uint8_t(pending());
  parts.announces = flag(kFlagAnnounces);
  parts.pushes = flag(kFlagPushes);
  parts.mode = mode();
  parts.small_talk = flag(kFlagSmallTalk);
  parts.selected = flag(kFlagSelected);
  parts.changed = flag(kFlagChanged);
  parts.sending = flag(kFlagSending);
  parts.held = flag(kFlagHeld);
  auto keys = tls();
  parts.tls.assign(keys.begin(), keys.end());
  parts.user = user();
  parts.address = address();
  parts.idle_tag = idle_tag();
  parts.state = state();
  parts.directories = directories();
  parts.input = input();
  auto stream = compress();
  parts.compress.assign(stream.begin(), stream.end());
  return parts;
}

}  // namespace dormouse::hibernate
