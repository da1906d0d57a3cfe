#include "hibernate/record.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstring>

#include "compress/inflate_stream.h"
#include "hibernate/slab.h"
#include "tls/session_keys.h"

namespace dormouse::hibernate {
namespace {

// The fixed part, as it lies in memory (never leaves the machine; versioned by the slab's header).
struct Fixed {
  uint32_t length;
  uint32_t checksum;
  uint64_t session;
  std::byte cookie[16];
  uint32_t parked_at_s;
  uint32_t looked_at_s;
  uint32_t exists;
  uint8_t mode;
  uint8_t flags;
  uint8_t tls_bytes;
  uint8_t pending;
  uint8_t tag_bytes;
  uint8_t address_bytes;
  uint16_t state_bytes;
  uint16_t directory_bytes;
  uint16_t input_bytes;
  uint16_t port;
  uint16_t user_bytes;
  uint16_t compress_bytes;
  uint16_t sending_bytes;
};
static_assert(sizeof(Fixed) == 64, "docs/parked-record.md says so");

static_assert(compress::kFrozenBytesMax <= UINT16_MAX);

enum Part { kTls, kUser, kAddress, kTag, kState, kDirectories, kInput, kCompress };

Fixed load(std::span<const std::byte> block) {
  Fixed fixed;
  std::memcpy(&fixed, block.data(), sizeof fixed);
  return fixed;
}

uint32_t fnv(uint32_t hash, std::span<const std::byte> bytes) {
  for (std::byte byte : bytes) hash = (hash ^ uint32_t(byte)) * 16777619u;
  return hash;
}

uint32_t checksum_of(std::span<const std::byte> record) {
  Fixed fixed = load(record);
  fixed.checksum = 0;
  fixed.mode = 0;
  fixed.flags = 0;
  fixed.parked_at_s = 0;
  fixed.exists = 0;
  fixed.pending = 0;
  fixed.sending_bytes = 0;
  uint32_t hash = fnv(2166136261u, std::as_bytes(std::span(&fixed, 1)));
  auto rest = record.subspan(sizeof fixed);
  if (fixed.tls_bytes >= tls::kMaterialOffset) {
    hash = fnv(hash, rest.first(tls::kSendCountOffset));
    rest = rest.subspan(tls::kMaterialOffset);
  }
  return fnv(hash, rest);
}

size_t directories_bytes(const RecordParts& parts) {
  size_t bytes = 0;
  for (const std::string& directory : parts.directories) {
    if (directory.size() > kDirectoryBytesMax) return SIZE_MAX;
    bytes += 1 + directory.size();
  }
  return bytes;
}

size_t total_of(const Fixed& fixed) {
  return sizeof fixed + fixed.tls_bytes + fixed.user_bytes + fixed.address_bytes + fixed.tag_bytes +
         fixed.state_bytes + fixed.directory_bytes + fixed.input_bytes + fixed.compress_bytes;
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
  Fixed fixed = load(bytes);
  if (fixed.length != total_of(fixed) || fixed.length > bytes.size()) return 0;
  return fixed.length;
}

size_t encoded_bytes(const RecordParts& parts) {
  size_t directories = directories_bytes(parts);
  if (parts.tls.size() > tls::kFrozenBytesMax || parts.user.size() > kUserBytesMax ||
      parts.idle_tag.size() > kTagBytesMax || parts.state.size() > UINT16_MAX ||
      directories > UINT16_MAX || parts.input.size() > kInputBytesMax ||
      parts.compress.size() > compress::kFrozenBytesMax) {
    return 0;
  }
  size_t bytes = sizeof(Fixed) + parts.tls.size() + parts.user.size() + parts.address.size +
                 parts.idle_tag.size() + parts.state.size() + directories + parts.input.size() +
                 parts.compress.size();
  return bytes <= Slab::kRecordBytesMax ? bytes : 0;
}

void encode(const RecordParts& parts, std::span<std::byte> to) {
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
  fixed.address_bytes = parts.address.size;
  fixed.port = parts.address.port;
  fixed.tag_bytes = uint8_t(parts.idle_tag.size());
  fixed.state_bytes = uint16_t(parts.state.size());
  fixed.directory_bytes = uint16_t(directories_bytes(parts));
  fixed.input_bytes = uint16_t(parts.input.size());
  fixed.compress_bytes = uint16_t(parts.compress.size());
  fixed.length = uint32_t(total_of(fixed));
  DORMOUSE_CHECK(to.size() >= fixed.length, "the block holds the record");

  std::byte* at = to.data() + sizeof fixed;
  auto put = [&at](const void* bytes, size_t size) {
    if (size != 0) std::memcpy(at, bytes, size);
    at += size;
  };
  put(parts.tls.data(), parts.tls.size());
  put(parts.user.data(), parts.user.size());
  put(parts.address.bytes.data(), parts.address.size);
  put(parts.idle_tag.data(), parts.idle_tag.size());
  put(parts.state.data(), parts.state.size());
  for (const std::string& directory : parts.directories) {
    auto size = uint8_t(directory.size());
    put(&size, 1);
    put(directory.data(), directory.size());
  }
  put(parts.input.data(), parts.input.size());
  put(parts.compress.data(), parts.compress.size());
  std::memcpy(to.data(), &fixed, sizeof fixed);
  fixed.checksum = checksum_of(to.first(fixed.length));
  std::memcpy(to.data(), &fixed, sizeof fixed);
}

Result<RecordView> RecordView::attach(std::span<std::byte> block) {
  RecordView view(block);
  if (record_bytes(block) == 0) return fail(ErrorKind::kInvalid, "parked record: length");
  Fixed fixed = load(block);
  if (checksum_of(block.first(fixed.length)) != fixed.checksum) {
    return fail(ErrorKind::kInvalid, "parked record: checksum");
  }
  if (!view.valid()) return fail(ErrorKind::kInvalid, "parked record: a part is out of bounds");
  return view;
}

bool RecordView::valid() const {
  Fixed fixed = load(block_);
  if (fixed.mode > uint8_t(wire::WorkerToDen::Parked::IDLE)) return false;
  if (fixed.address_bytes != 0 && fixed.address_bytes != 4 && fixed.address_bytes != 16) {
    return false;
  }
  if (fixed.tls_bytes != 0 && !tls::FrozenKeys::attach(tls())) return false;
  std::string_view rest = part(kDirectories);
  while (!rest.empty()) {
    size_t size = uint8_t(rest[0]);
    if (rest.size() < 1 + size) return false;
    rest.remove_prefix(1 + size);
  }
  return true;
}

std::string_view RecordView::part(size_t which) const {
  Fixed fixed = load(block_);
  const size_t sizes[] = {fixed.tls_bytes,   fixed.user_bytes,    fixed.address_bytes,
                          fixed.tag_bytes,   fixed.state_bytes,   fixed.directory_bytes,
                          fixed.input_bytes, fixed.compress_bytes};
  size_t offset = sizeof fixed;
  for (size_t i = 0; i < which; ++i) offset += sizes[i];
  return {reinterpret_cast<const char*>(block_.data()) + offset, sizes[which]};
}

size_t RecordView::bytes() const { return load(block_).length; }
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
  return block_.subspan(sizeof(Fixed), load(block_).tls_bytes);
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
  std::string_view rest = part(kDirectories);
  while (!rest.empty()) {
    size_t size = uint8_t(rest[0]);
    found.emplace_back(rest.substr(1, size));
    rest.remove_prefix(1 + size);
  }
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
