#include "tls/session_keys.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace dormouse::tls {
namespace {

constexpr uint8_t kFormat = 0xD1;

// Bits of `flags`.
constexpr uint8_t kFlagClient = 1 << 0;
constexpr uint8_t kFlagNonceHigh = 1 << 1;
constexpr uint8_t kFlagCloseSent = 1 << 2;
constexpr uint8_t kFlagCloseReceived = 1 << 3;
constexpr unsigned kIdleRecordsShift = 4;
static_assert(kIdleRecordsMax <= 0xF, "four bits");

// Bits of `limits`.
constexpr uint8_t kPartialMask = 0x07;
constexpr unsigned kFragmentShift = 3;
constexpr uint8_t kFragmentMask = 0x07;
constexpr uint8_t kFragmentCodeMax = 4;  // RFC 6066 4: 2^9, 2^10, 2^11, 2^12

struct Header {
  uint8_t format;
  uint8_t suite;
  uint8_t flags;
  uint8_t limits;
  std::array<std::byte, 4> partial;
};
static_assert(sizeof(Header) == kFrozenHeaderBytes);

uint64_t load_count(const std::byte* at) {
  uint64_t count = 0;
  std::memcpy(&count, at, sizeof(count));
  return count;
}

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorKind::kInvalid, fmt::format("frozen TLS keys: {}", what));
}

// The suite of a header whose every field is in range, or why not.
Result<const SuiteInfo*> check_header(const Header& header) {
  if (header.format != kFormat) return broken("unknown format");
  const SuiteInfo* info = find_suite(header.suite);
  if (info == nullptr) return broken("unknown suite");
  const unsigned partial_bytes = header.limits & kPartialMask;
  if (partial_bytes > header.partial.size()) return broken("partial message too long");
  if (std::any_of(header.partial.begin() + partial_bytes, header.partial.end(),
                  [](std::byte byte) { return byte != std::byte{0}; })) {
    return broken("bytes behind the partial message");
  }
  if (partial_bytes == header.partial.size() && load_be(&header.partial[1], 3) == 0) {
    return broken("partial message that is whole");
  }
  if ((header.limits >> kFragmentShift & kFragmentMask) > kFragmentCodeMax) {
    return broken("unknown fragment length code");
  }
  if ((header.limits >> (kFragmentShift + 3)) != 0) return broken("reserved bits set");
  const bool gcm12 = info->version == Version::kTls12 && info->aead != Aead::kChacha20Poly1305;
  if ((header.flags & kFlagNonceHigh) != 0 && !gcm12) {
    return broken("explicit nonce in a suite that has none");
  }
  return info;
}

}  // namespace

DirectionKeys::DirectionKeys(DirectionKeys&& other) noexcept
    : count(other.count), material(other.material) {
  OPENSSL_cleanse(other.material.data(), other.material.size());
}

DirectionKeys& DirectionKeys::operator=(DirectionKeys&& other) noexcept {
  if (this != &other) {
    count = other.count;
    material = other.material;
    OPENSSL_cleanse(other.material.data(), other.material.size());
  }
  return *this;
}

DirectionKeys::~DirectionKeys() { OPENSSL_cleanse(material.data(), material.size()); }

const SuiteInfo& SessionKeys::info() const {
  const SuiteInfo* info = find_suite(static_cast<uint8_t>(suite));
  DORMOUSE_CHECK(info != nullptr, "a suite of the table");
  return *info;
}

size_t SessionKeys::fragment_bytes_max() const {
  return fragment_code == 0 ? size_t{1} << 14 : size_t{1} << (8 + fragment_code);
}

Result<size_t> SessionKeys::freeze(ByteSpan to) const {
  const SuiteInfo& suite_info = info();
  const size_t size = frozen_bytes(suite_info);
  if (to.size() < size) return fail(ErrorKind::kLimit, "no room for frozen TLS keys");
  Header header{};
  header.format = kFormat;
  header.suite = static_cast<uint8_t>(suite);
  header.flags = static_cast<uint8_t>(
      (client ? kFlagClient : 0) | (nonce_high ? kFlagNonceHigh : 0) |
      (close_sent ? kFlagCloseSent : 0) | (close_received ? kFlagCloseReceived : 0) |
      std::min(idle_records, kIdleRecordsMax) << kIdleRecordsShift);
  header.limits = static_cast<uint8_t>(partial_bytes | fragment_code << kFragmentShift);
  std::copy_n(partial.begin(), partial_bytes, header.partial.begin());
  std::memcpy(to.data(), &header, sizeof(header));
  std::memcpy(to.data() + kSendCountOffset, &send.count, sizeof(send.count));
  std::memcpy(to.data() + kReceiveCountOffset, &receive.count, sizeof(receive.count));
  std::byte* material = to.data() + kMaterialOffset;
  std::copy_n(send.material.begin(), suite_info.material_bytes, material);
  std::copy_n(receive.material.begin(), suite_info.material_bytes,
              material + suite_info.material_bytes);
  return size;
}

Bytes SessionKeys::freeze() const {
  Bytes frozen(frozen_size());
  const Result<size_t> size = freeze(ByteSpan(frozen));
  DORMOUSE_CHECK(size && *size == frozen.size(), "frozen_size() is the size");
  return frozen;
}

Result<SessionKeys> SessionKeys::thaw(ByteView frozen) {
  if (frozen.size() < kMaterialOffset) return broken("too short");
  Header header{};
  std::memcpy(&header, frozen.data(), sizeof(header));
  const Result<const SuiteInfo*> info = check_header(header);
  if (!info) return std::unexpected(info.error());
  const SuiteInfo& suite_info = **info;
  if (frozen.size() != frozen_bytes(suite_info)) return broken("length does not fit the suite");
  SessionKeys keys;
  keys.suite = suite_info.suite;
  keys.client = (header.flags & kFlagClient) != 0;
  keys.nonce_high = (header.flags & kFlagNonceHigh) != 0;
  keys.close_sent = (header.flags & kFlagCloseSent) != 0;
  keys.close_received = (header.flags & kFlagCloseReceived) != 0;
  keys.idle_records = static_cast<uint8_t>(header.flags >> kIdleRecordsShift);
  keys.fragment_code = header.limits >> kFragmentShift & kFragmentMask;
  keys.partial_bytes = header.limits & kPartialMask;
  keys.partial = header.partial;
  keys.send.count = load_count(frozen.data() + kSendCountOffset);
  keys.receive.count = load_count(frozen.data() + kReceiveCountOffset);
  if (std::max(keys.send.count, keys.receive.count) > kRecordCountMax) {
    return broken("record counter out of range");
  }
  const std::byte* material = frozen.data() + kMaterialOffset;
  std::copy_n(material, suite_info.material_bytes, keys.send.material.begin());
  std::copy_n(material + suite_info.material_bytes, suite_info.material_bytes,
              keys.receive.material.begin());
  return keys;
}

Result<FrozenKeys> FrozenKeys::attach(ByteSpan frozen) {
  if (frozen.size() < kMaterialOffset) return broken("too short");
  Header header{};
  std::memcpy(&header, frozen.data(), sizeof(header));
  const Result<const SuiteInfo*> info = check_header(header);
  if (!info) return std::unexpected(info.error());
  if (frozen.size() < frozen_bytes(**info)) return broken("shorter than its suite needs");
  FrozenKeys keys(frozen.data(), *info);
  if (std::max(keys.send_count(), keys.receive_count()) > kRecordCountMax) {
    return broken("record counter out of range");
  }
  return keys;
}

uint64_t FrozenKeys::send_count() const { return load_count(base_ + kSendCountOffset); }
uint64_t FrozenKeys::receive_count() const { return load_count(base_ + kReceiveCountOffset); }

Result<uint64_t> FrozenKeys::advance(size_t offset, uint32_t records, uint64_t limit) {
  const uint64_t first = load_count(base_ + offset);
  if (first > limit || limit - first < records) {
    return fail(ErrorKind::kLimit, "these TLS keys have protected their share of records");
  }
  const uint64_t next = first + records;
  std::memcpy(base_ + offset, &next, sizeof(next));
  // The store must be in the shared memory before whatever the caller submits next; the other side
  // of that order is this process's death, not another processor.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return first;
}

Result<uint64_t> FrozenKeys::advance_send(uint32_t records) {
  return advance(kSendCountOffset, records,
                 info_->version == Version::kTls13 ? kParkedRecordsMax : kRecordCountMax);
}

Result<uint64_t> FrozenKeys::advance_receive(uint32_t records) {
  return advance(kReceiveCountOffset, records, kRecordCountMax);
}

}  // namespace dormouse::tls
