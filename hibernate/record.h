#pragma once
// The parked record: all that is kept of a sleeping connection, in one block of the slab.
//
//   record   = fixed streams? tls user address tag state directories input compress
//   fixed    = session[8] cookie[16] checksum[4] parked_at_s[4] looked_at_s[4] exists[4] mode[1]
//              flags[1] pending[1] tls_bytes[1] tag_bytes[1] shape[1] port[2] user_bytes[2]
//              state_bytes[2] directory_bytes[2] sending_bytes[2]
//   shape    = bytes of the address, and 128 where streams follow
//   streams  = input_bytes[2] compress_bytes[2]; absent where both are 0, as for most sleepers
//   mode     = wire::WorkerToDen::Parked::Mode
//   tls      = tls::SessionKeys frozen; its two counters are advanced in place
//   address  = 4 or 16 bytes, network order
//   state    = wire/session_state.proto, opaque here
//   directories = what the watch keys by, to subscribe again: the first as size[1] bytes, the
//              others as shared[1] size[1] bytes, the first `shared` bytes being those of the one
//              before (the two directories of a mailbox differ in the last 8 of 20 bytes)
//   input    = client bytes, decrypted and inflated, that no worker has answered yet
//   compress = compress::InflateStream frozen; empty: the connection does not compress
//
// The checksum (FNV-1a, 32 bits: it finds torn and stray writes, not malice) covers everything
// behind it but `mode`, `flags`, `parked_at_s`, `exists`, `pending`, `sending_bytes` and the two
// TLS counters, which change in place.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "wire/relay.pb.h"
#include "wire/validate.h"

namespace dormouse::hibernate {

using ParkedMode = wire::WorkerToDen::Parked::Mode;

// A client's address as bytes: 4, 16, or none.
struct Address {
  std::array<std::byte, 16> bytes{};
  uint8_t size = 0;
  uint16_t port = 0;

  static Address parse(const std::string& text, uint16_t port);
  std::string text() const;
  uint64_t hash() const;  // of the address without the port: keepalives of one device align
};

// The parts of a record, owned: what a den builds a record from, and what it holds while a session
// is awake.
struct RecordParts {
  uint64_t session = 0;
  std::array<std::byte, 16> cookie{};
  uint32_t parked_at_s = 0;
  // CLOCK_MONOTONIC, in whole seconds: a worker's last look at the mailbox ended before the second
  // after this one was over.
  uint32_t looked_at_s = 0;
  // Messages the client has been told of; as the state says, plus what the den announced.
  uint32_t exists = 0;
  // Messages that came since and wait to be told, because nothing may be pushed outside IDLE.
  uint8_t pending = 0;
  bool announces = false;  // the den may say EXISTS by itself (relay.proto, Parked.announces)
  bool pushes = false;     // refreshed outside IDLE too (relay.proto, Parked.pushes)
  ParkedMode mode = wire::WorkerToDen::Parked::AUTHENTICATED;
  // The den may answer small talk, and the keys below are what it needs.
  bool small_talk = true;
  bool selected = false;       // what DONE leads back to: SELECTED, else AUTHENTICATED
  bool sending = false;        // its bytes may be half sent
  bool held = false;           // something that only this process knows is needed to go on
  bool changed = false;        // a change of the mailbox waits to be reported
  std::vector<std::byte> tls;  // frozen keys; empty: no TLS
  std::string user;
  Address address;
  std::string idle_tag;
  std::string state;
  std::vector<std::string> directories;
  std::string input;
  std::vector<std::byte> compress;  // frozen input stream; empty: no COMPRESS
};

inline constexpr size_t kUserBytesMax = wire::kMaxUserBytes;
inline constexpr size_t kTagBytesMax = 64;
inline constexpr size_t kDirectoryBytesMax = 255;
inline constexpr size_t kInputBytesMax = 8 * 1024;
// One byte; a mailbox that gets more between two commands of its client has a worker look at it.
inline constexpr uint32_t kPendingMax = 255;

// Flags that change in place.
inline constexpr uint8_t kFlagSmallTalk = 1;
// Bytes of this session are on their way: sending_bytes in one send, after which the record is
// exact. Only the ring's completion tells whether they are out.
inline constexpr uint8_t kFlagSending = 2;
inline constexpr uint8_t kFlagChanged = 4;   // its mailbox changed since the state was made
inline constexpr uint8_t kFlagSelected = 8;  // what DONE leads back to: SELECTED or AUTHENTICATED
inline constexpr uint8_t kFlagAnnounces = 16;
inline constexpr uint8_t kFlagPushes = 32;
// The den holds a part of the stream (half a TLS record or deflate block, bytes that a worker may
// have seen), or the connection is ending: another den cannot go on with this record.
inline constexpr uint8_t kFlagHeld = 64;

// Length of the record at the front of `bytes`; 0 when that cannot be one. Checks no checksum.
size_t record_bytes(std::span<const std::byte> bytes);
// Bytes that encode() will write; 0 when a part is over its bound.
size_t encoded_bytes(const RecordParts& parts);
// Writes the record to the front of `to` (encoded_bytes() at least).
void encode(const RecordParts& parts, std::span<std::byte> to);

// A record where it lies. Borrows the block.
class RecordView {
 public:
  // kInvalid: length, checksum or a part is wrong.
  static Result<RecordView> attach(std::span<std::byte> block);
  // Without the checksum: for blocks that this process has checked or written.
  static RecordView trusted(std::span<std::byte> block) { return RecordView(block); }

  uint64_t session() const;
  std::span<const std::byte, 16> cookie() const;
  ParkedMode mode() const;
  void set_mode(ParkedMode mode);
  uint8_t flags() const;
  void set_flag(uint8_t flag, bool on);
  bool flag(uint8_t flag_bit) const { return (flags() & flag_bit) != 0; }
  // Changes are told without being asked for: in IDLE, and always with NOTIFY.
  bool pushed() const { return mode() == wire::WorkerToDen::Parked::IDLE || flag(kFlagPushes); }
  uint32_t parked_at_s() const;
  void set_parked_at_s(uint32_t seconds);
  uint32_t looked_at_s() const;
  uint32_t exists() const;
  void set_exists(uint32_t messages);
  uint32_t pending() const;
  void set_pending(uint32_t messages);  // at most kPendingMax
  // Of the send under way; 0: not one send, or too long to be told.
  uint16_t sending_bytes() const;
  void set_sending_bytes(size_t bytes);
  std::span<std::byte> tls() const;
  // TLS's two counters, wherever frozen keys lie; zeros without TLS.
  static std::array<std::byte, 16> counters_of(std::span<const std::byte> keys);
  void set_counters(const std::array<std::byte, 16>& counters);
  std::string_view user() const;
  Address address() const;
  std::string_view idle_tag() const;
  std::string_view state() const;
  std::string_view input() const;
  std::span<const std::byte> compress() const;
  std::vector<std::string> directories() const;
  // All of it, owned.
  RecordParts parts() const;
  size_t bytes() const;

 private:
  explicit RecordView(std::span<std::byte> block) : block_(block) {}
  std::string_view part(size_t which) const;
  bool valid() const;

  std::span<std::byte> block_;
};

}  // namespace dormouse::hibernate
