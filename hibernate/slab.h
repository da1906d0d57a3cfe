#pragma once
// Slab: the shared memory of a shard in which parked records lie. The master creates it (a memfd)
// and lends it to a den; when the den dies, the next one opens it and finds every record.
//
//   slab   = header page, slot table, arena
//   header = magic[8] version[4] slots[4] incarnation[4] session_counter[8]
//   slot   = one 8-byte word, stored at once: state[4 bits] | place[60 bits]
//            place = offset of the record's block in the arena, in units of kUnitBytes
//   arena  = pages of kPageBytes; the blocks of a page have one size class
//   block  = record (record.h), which begins with its own length and checksum
//
// The slot table is the truth: free lists and page classes are rebuilt from it. A record is written
// to a block nobody refers to and then published by one store to the slot, so a kill -9 at any
// instruction leaves the former or the new record, never a mixture. The den's own memory holds
// 8 bytes a page and nothing a record.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::hibernate {

enum class SlotState : uint8_t {
  kFree = 0,
  kAwake = 1,   // a socket, no record: its session lives in the den and a worker
  kParked = 2,  // a socket and a record
};

class Slab {
 public:
  static constexpr uint32_t kUnitBytes = 16;
  static constexpr uint32_t kPageBytes = 64 * 1024;
  // Classes: multiples of 16 to 1 KiB (a record is 150-450 bytes: at most 15 are wasted), then
  // doubling. A longer record than the last class does not park. (Long ones are those of clients
  // that have sent much under COMPRESS: up to 33 KiB of history.)
  static constexpr uint32_t kRecordBytesMax = kPageBytes;

  // Maps the memfd; an all-zero one is initialised for `slots`. kInvalid when it holds anything
  // else that does not fit. `memory` is closed or not as the caller likes: the mapping stays.
  static Result<Slab> open(const io::Fd& memory, uint32_t slots);
  // Bytes that a memfd for so many slots needs: sparse, only touched pages cost.
  static uint64_t bytes_for(uint32_t slots, uint32_t bytes_per_session);

  Slab(Slab&& other) noexcept;
  Slab& operator=(Slab&&) = delete;
  ~Slab();

  uint32_t slots() const { return slots_; }
  // Counts the processes that have opened it: 1 for the first.
  uint32_t incarnation() const;
  // Unique in the slab's life, across processes.
  uint64_t next_session_number();

  SlotState state(uint32_t slot) const;
  // The record's block (its whole class size), empty unless kParked.
  std::span<std::byte> block(uint32_t slot) const;

  // A free block for `bytes`, or an empty span when the arena is full or the record too long. It
  // belongs to nobody until published.
  std::span<std::byte> allocate(size_t bytes);
  // The slot now holds the record in `block` (from allocate()); what it held before is wiped and
  // freed.
  void publish(uint32_t slot, std::span<std::byte> block);
  // Gives back an allocated block that was not published.
  void discard(std::span<std::byte> block);
  // Without a record: kFree or kAwake. A record is wiped and freed.
  void set_state(uint32_t slot, SlotState state);

  // The last send to a parked slot that was about to be submitted, so that the next den can say it
  // again where the kernel never saw it; and what the record says once it is out. One is enough:
  // they are submitted one by one.
  struct Note {
    uint32_t slot = 0;
    uint32_t exists = 0;
    uint32_t pending = 0;
    std::array<std::byte, 16> counters{};  // TLS's two; zeros without TLS
    std::span<const std::byte> bytes;      // borrowed; in noted_send(), from the slab
  };
  // More is not noted, and neither is what was noted before.
  static constexpr size_t kNoteBytesMax = 3584;
  void note_send(const Note& note);
  std::optional<Note> noted_send() const;

  uint64_t used_bytes() const { return used_bytes_; }  // blocks in use, at their class size
  uint64_t touched_bytes() const;                      // pages with a block in use

 private:
  struct Page {
    uint16_t size_class = 0;  // 0: no blocks, free for any class
    uint16_t used = 0;
    int32_t next_partial = -1;  // -1: full; 0: stands in partial_ of its class
  };

  Slab() = default;
  void rebuild();
  void free_block(uint64_t place);
  uint64_t load_slot(uint32_t slot) const;
  void store_slot(uint32_t slot, uint64_t word);
  bool block_used(uint32_t page, uint32_t index) const;
  void mark(uint32_t page, uint32_t index, bool used);

  std::byte* base_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint32_t slots_ = 0;
  std::byte* arena_ = nullptr;
  std::vector<Page> pages_;
  std::vector<std::vector<uint64_t>> used_;     // a bit per block, per page; empty for a free page
  std::vector<std::vector<uint32_t>> partial_;  // per class: pages that may have room
  std::vector<uint32_t> free_pages_;
  uint64_t used_bytes_ = 0;
};

// The class that a record of `bytes` gets, and its block size; 0 and 0 when it is too long.
uint32_t size_class_of(size_t bytes);
uint32_t block_bytes_of(uint32_t size_class);

}  // namespace dormouse::hibernate
