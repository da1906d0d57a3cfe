#include "hibernate/slab.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>

#include "hibernate/record.h"

namespace dormouse::hibernate {
namespace {

constexpr uint64_t kMagic = 0x31424c5345524d44;  // "DMRESLB1"
constexpr uint32_t kVersion = 3;                 // of the records in it too
constexpr size_t kHeaderBytes = 4096;

struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t slots;
  uint32_t incarnation;
  uint32_t reserved;
  uint64_t session_counter;
};

// Behind the header, in its page.
constexpr size_t kNoteOffset = 64;
struct NoteHead {
  uint32_t slot_plus_one;  // 0: nothing is noted, or it is being written
  uint32_t bytes;
  uint32_t exists;
  uint32_t pending;
  std::array<std::byte, 16> counters;
};
static_assert(sizeof(Header) <= kNoteOffset);
static_assert(kNoteOffset + sizeof(NoteHead) + Slab::kNoteBytesMax <= kHeaderBytes);

constexpr uint32_t kSmallStep = Slab::kUnitBytes;
constexpr uint32_t kSmallClasses = 1024 / kSmallStep;  // 16, 32 .. 1024
constexpr uint32_t kLargeClasses = 6;                  // 2, 4 .. 64 KiB
constexpr uint32_t kClasses = 1 + kSmallClasses + kLargeClasses;

size_t slot_table_bytes(uint32_t slots) {
  size_t bytes = size_t(slots) * sizeof(uint64_t);
  return (bytes + Slab::kPageBytes - 1) / Slab::kPageBytes * Slab::kPageBytes;
}

uint64_t make_word(SlotState state, uint64_t place) { return uint64_t(state) << 60 | place; }
SlotState state_of(uint64_t word) { return SlotState(word >> 60); }
uint64_t place_of(uint64_t word) { return word & ((uint64_t(1) << 60) - 1); }

}  // namespace

uint32_t size_class_of(size_t bytes) {
  if (bytes == 0 || bytes > Slab::kRecordBytesMax) return 0;
  if (bytes <= 1024) return uint32_t((bytes + kSmallStep - 1) / kSmallStep);
  return kSmallClasses + uint32_t(std::bit_width((bytes - 1) / 1024));
}

uint32_t block_bytes_of(uint32_t size_class) {
  if (size_class <= kSmallClasses) return size_class * kSmallStep;
  return 1024u << (size_class - kSmallClasses);
}

uint64_t Slab::bytes_for(uint32_t slots, uint32_t bytes_per_session) {
  uint64_t arena = uint64_t(slots) * bytes_per_session;
  // One page of every class may be begun; never less than that.
  arena = std::max<uint64_t>(arena, uint64_t(kClasses) * kPageBytes);
  arena = (arena + kPageBytes - 1) / kPageBytes * kPageBytes;
  return kHeaderBytes + slot_table_bytes(slots) + arena;
}

Result<Slab> Slab::open(const io::Fd& memory, uint32_t slots) {
  struct stat info{};
  if (fstat(memory.get(), &info) != 0) return fail_errno(errno, "fstat of a slab");
  size_t fixed = kHeaderBytes + slot_table_bytes(slots);
  if (size_t(info.st_size) < fixed + kPageBytes) {
    return fail(ErrorKind::kInvalid,
                fmt::format("a slab of {} bytes for {} slots", info.st_size, slots));
  }
  Slab slab;
  slab.mapped_bytes_ = size_t(info.st_size);
  void* base =
      mmap(nullptr, slab.mapped_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (base == MAP_FAILED) return fail_errno(errno, "mapping a slab");
  slab.base_ = static_cast<std::byte*>(base);
  // Keys lie here: not into core dumps. (It is shared memory: mlock is the operator's choice, since
  // it charges every page; without swap nothing leaves memory.)
  madvise(base, slab.mapped_bytes_, MADV_DONTDUMP);

  auto* header = reinterpret_cast<Header*>(slab.base_);
  if (header->magic == 0) {
    header->version = kVersion;
    header->slots = slots;
    header->magic = kMagic;
  } else if (header->magic != kMagic || header->version != kVersion || header->slots != slots) {
    return fail(ErrorKind::kInvalid,
                fmt::format("a slab of version {} with {} slots; expected version {} with {}",
                            header->version, header->slots, kVersion, slots));
  }
  ++header->incarnation;
  slab.slots_ = slots;
  slab.arena_ = slab.base_ + fixed;
  slab.pages_.resize((slab.mapped_bytes_ - fixed) / kPageBytes);
  slab.used_.resize(slab.pages_.size());
  slab.partial_.resize(kClasses);
  slab.rebuild();
  return slab;
}

Slab::Slab(Slab&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      mapped_bytes_(other.mapped_bytes_),
      slots_(other.slots_),
      arena_(other.arena_),
      pages_(std::move(other.pages_)),
      used_(std::move(other.used_)),
      partial_(std::move(other.partial_)),
      free_pages_(std::move(other.free_pages_)),
      used_bytes_(other.used_bytes_) {}

Slab::~Slab() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
}

uint32_t Slab::incarnation() const { return reinterpret_cast<const Header*>(base_)->incarnation; }

uint64_t Slab::next_session_number() { return ++reinterpret_cast<Header*>(base_)->session_counter; }

void Slab::note_send(const Note& note) {
  auto* head = reinterpret_cast<NoteHead*>(base_ + kNoteOffset);
  std::atomic_ref<uint32_t> valid(head->slot_plus_one);
  valid.store(0, std::memory_order_seq_cst);
  if (note.bytes.size() > kNoteBytesMax) return;
  head->bytes = uint32_t(note.bytes.size());
  head->exists = note.exists;
  head->pending = note.pending;
  head->counters = note.counters;
  std::memcpy(base_ + kNoteOffset + sizeof *head, note.bytes.data(), note.bytes.size());
  valid.store(note.slot + 1, std::memory_order_seq_cst);
}

std::optional<Slab::Note> Slab::noted_send() const {
  const auto* head = reinterpret_cast<const NoteHead*>(base_ + kNoteOffset);
  if (head->slot_plus_one == 0 || head->bytes > kNoteBytesMax) return std::nullopt;
  return Note{.slot = head->slot_plus_one - 1,
              .exists = head->exists,
              .pending = head->pending,
              .counters = head->counters,
              .bytes = {base_ + kNoteOffset + sizeof *head, head->bytes}};
}

uint64_t Slab::load_slot(uint32_t slot) const {
  auto* table = reinterpret_cast<uint64_t*>(base_ + kHeaderBytes);
  return std::atomic_ref<uint64_t>(table[slot]).load(std::memory_order_acquire);
}

void Slab::store_slot(uint32_t slot, uint64_t word) {
  auto* table = reinterpret_cast<uint64_t*>(base_ + kHeaderBytes);
  std::atomic_ref<uint64_t>(table[slot]).store(word, std::memory_order_release);
}

bool Slab::block_used(uint32_t page, uint32_t index) const {
  return (used_[page][index / 64] >> (index % 64) & 1) != 0;
}

void Slab::mark(uint32_t page, uint32_t index, bool used) {
  uint64_t bit = uint64_t(1) << (index % 64);
  if (used) {
    used_[page][index / 64] |= bit;
  } else {
    used_[page][index / 64] &= ~bit;
  }
}

void Slab::rebuild() {
  for (uint32_t slot = 0; slot < slots_; ++slot) {
    uint64_t word = load_slot(slot);
    if (state_of(word) != SlotState::kParked) continue;
    uint64_t offset = place_of(word) * kUnitBytes;
    uint64_t page = offset / kPageBytes;
    uint32_t size_class = 0;
    if (page < pages_.size()) {
      auto rest = std::span(arena_ + offset, kPageBytes - offset % kPageBytes);
      size_class = size_class_of(record_bytes(rest));
    }
    uint32_t block = block_bytes_of(size_class);
    bool fits = size_class != 0 && offset % kPageBytes % block == 0 &&
                offset % kPageBytes + block <= kPageBytes &&
                (pages_[page].size_class == 0 || pages_[page].size_class == size_class);
    // A record that makes no sense costs its own connection: the den closes an awake slot that it
    // does not know.
    if (!fits) {
      store_slot(slot, make_word(SlotState::kAwake, 0));
      continue;
    }
    if (pages_[page].size_class == 0) {
      pages_[page].size_class = uint16_t(size_class);
      used_[page].assign((kPageBytes / block + 63) / 64, 0);
    }
    auto index = uint32_t(offset % kPageBytes / block);
    if (block_used(uint32_t(page), index)) {
      store_slot(slot, make_word(SlotState::kAwake, 0));
      continue;
    }
    mark(uint32_t(page), index, true);
    ++pages_[page].used;
    used_bytes_ += block;
  }
  for (uint32_t page = uint32_t(pages_.size()); page-- > 0;) {
    if (pages_[page].size_class == 0) {
      free_pages_.push_back(page);
    } else if (pages_[page].used < kPageBytes / block_bytes_of(pages_[page].size_class)) {
      pages_[page].next_partial = 0;
      partial_[pages_[page].size_class].push_back(page);
    }
  }
}

SlotState Slab::state(uint32_t slot) const { return state_of(load_slot(slot)); }

std::span<std::byte> Slab::block(uint32_t slot) const {
  uint64_t word = load_slot(slot);
  if (state_of(word) != SlotState::kParked) return {};
  uint64_t offset = place_of(word) * kUnitBytes;
  return {arena_ + offset, block_bytes_of(pages_[offset / kPageBytes].size_class)};
}

std::span<std::byte> Slab::allocate(size_t bytes) {
  uint32_t size_class = size_class_of(bytes);
  if (size_class == 0) return {};
  uint32_t block = block_bytes_of(size_class);
  uint32_t blocks = kPageBytes / block;
  auto& partial = partial_[size_class];
  if (partial.empty()) {
    if (free_pages_.empty()) return {};
    uint32_t page = free_pages_.back();
    free_pages_.pop_back();
    pages_[page] = Page{.size_class = uint16_t(size_class), .used = 0, .next_partial = 0};
    used_[page].assign((blocks + 63) / 64, 0);
    partial.push_back(page);
  }
  uint32_t page = partial.back();
  uint32_t index = 0;
  for (size_t word = 0; word < used_[page].size(); ++word) {
    if (~used_[page][word] == 0) continue;
    index = uint32_t(word * 64) + uint32_t(std::countr_one(used_[page][word]));
    break;
  }
  DORMOUSE_CHECK(index < blocks, "a partial page has a free block");
  mark(page, index, true);
  used_bytes_ += block;
  if (++pages_[page].used == blocks) {
    partial.pop_back();
    pages_[page].next_partial = -1;
  }
  return {arena_ + size_t(page) * kPageBytes + size_t(index) * block, block};
}

void Slab::free_block(uint64_t place) {
  uint64_t offset = place * kUnitBytes;
  auto page = uint32_t(offset / kPageBytes);
  uint32_t size_class = pages_[page].size_class;
  uint32_t block = block_bytes_of(size_class);
  OPENSSL_cleanse(arena_ + offset, block);
  mark(page, uint32_t(offset % kPageBytes / block), false);
  used_bytes_ -= block;
  auto& partial = partial_[size_class];
  if (pages_[page].next_partial < 0) {
    pages_[page].next_partial = 0;
    partial.push_back(page);
  }
  // An empty page goes back to the system, unless it is the one its class would use next.
  if (--pages_[page].used == 0 && partial.size() > 1) {
    std::erase(partial, page);
    pages_[page] = Page{};
    used_[page] = {};
    free_pages_.push_back(page);
    madvise(arena_ + size_t(page) * kPageBytes, kPageBytes, MADV_REMOVE);
  }
}

void Slab::publish(uint32_t slot, std::span<std::byte> block) {
  uint64_t former = load_slot(slot);
  uint64_t place = uint64_t(block.data() - arena_) / kUnitBytes;
  store_slot(slot, make_word(SlotState::kParked, place));
  if (state_of(former) == SlotState::kParked) free_block(place_of(former));
}

void Slab::discard(std::span<std::byte> block) {
  free_block(uint64_t(block.data() - arena_) / kUnitBytes);
}

void Slab::set_state(uint32_t slot, SlotState state) {
  DORMOUSE_CHECK(state != SlotState::kParked, "a record is published, not declared");
  uint64_t former = load_slot(slot);
  store_slot(slot, make_word(state, 0));
  if (state_of(former) == SlotState::kParked) free_block(place_of(former));
}

uint64_t Slab::touched_bytes() const {
  return (pages_.size() - free_pages_.size()) * uint64_t(kPageBytes);
}

}  // namespace dormouse::hibernate
