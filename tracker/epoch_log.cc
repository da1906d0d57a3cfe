#include "tracker/epoch_log.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "tracker/little_endian.h"
#include "wire/validate.h"

namespace dormouse::tracker {
namespace {

constexpr std::string_view kMagic = "DMEPOCH1";
constexpr size_t kHeadBytes = 4096;  // both superblocks, and the halves begin on a page
constexpr size_t kSuperblockStride = 64;
constexpr size_t kSuperblockBytes = 8 + 8 + 4 + 4;
constexpr size_t kRecordHeadBytes = 4 + 2 + 4;

uint32_t crc_of(std::string_view bytes) {
  return uint32_t(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), uInt(bytes.size())));
}

}  // namespace

Result<EpochLog> EpochLog::open(io::Fd file, size_t half_bytes) {
  EpochLog log;
  log.half_bytes_ = half_bytes;
  log.file_bytes_ = kHeadBytes + 2 * half_bytes;
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return fail_errno(errno, "stat of the epoch log");
  if (size_t(info.st_size) < log.file_bytes_ &&
      ftruncate(file.get(), off_t(log.file_bytes_)) != 0) {
    return fail_errno(errno, "making room for the epoch log");
  }
  void* base = mmap(nullptr, log.file_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (base == MAP_FAILED) return fail_errno(errno, "mapping the epoch log");
  log.base_ = static_cast<char*>(base);
  if (log.load_superblock()) {
    log.load_records();
  } else {
    log.was_damaged_ = info.st_size > 0 && std::any_of(log.base_, log.base_ + kHeadBytes,
                                                       [](char c) { return c != 0; });
    std::memset(log.base_, 0, kHeadBytes);
    std::memset(log.half(), 0, std::min(kRecordHeadBytes, half_bytes));
    log.write_superblock();
  }
  return log;
}

EpochLog::EpochLog(EpochLog&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      file_bytes_(other.file_bytes_),
      half_bytes_(other.half_bytes_),
      sequence_(other.sequence_),
      current_half_(other.current_half_),
      used_bytes_(other.used_bytes_),
      was_damaged_(other.was_damaged_),
      epochs_(std::move(other.epochs_)) {}

EpochLog::~EpochLog() {
  if (base_ != nullptr) munmap(base_, file_bytes_);
}

char* EpochLog::half() const { return base_ + kHeadBytes + current_half_ * half_bytes_; }

bool EpochLog::load_superblock() {
  bool found = false;
  for (size_t i = 0; i < 2; ++i) {
    const char* block = base_ + i * kSuperblockStride;
    std::string_view body(block, kSuperblockBytes - 4);
    if (!body.starts_with(kMagic) || read_le(block + 20, 4) != crc_of(body)) continue;
    uint64_t sequence = read_le(block + 8, 8);
    uint64_t which = read_le(block + 16, 4);
    if (which > 1 || (found && sequence <= sequence_)) continue;
    found = true;
    sequence_ = sequence;
    current_half_ = uint32_t(which);
  }
  return found;
}

void EpochLog::write_superblock() {
  ++sequence_;
  std::string block(kMagic);
  append_u64(block, sequence_);
  append_u32(block, current_half_);
  append_u32(block, crc_of(block));
  // What the superblock points at is written before it: a killed writer leaves the old one valid.
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(base_ + (sequence_ % 2) * kSuperblockStride, block.data(), block.size());
}

void EpochLog::load_records() {
  const char* records = half();
  used_bytes_ = 0;
  while (half_bytes_ - used_bytes_ > kRecordHeadBytes) {
    const char* record = records + used_bytes_;
    size_t length = size_t(read_le(record + 4, 2));
    if (length == 0 || length > wire::kMaxUserBytes ||
        length > half_bytes_ - used_bytes_ - kRecordHeadBytes) {
      return;
    }
    std::string_view body(record + 4, kRecordHeadBytes - 4 + length);
    if (read_le(record, 4) != crc_of(body)) return;
    epochs_[std::string(record + kRecordHeadBytes, length)] = uint32_t(read_le(record + 6, 4));
    used_bytes_ += kRecordHeadBytes + length;
  }
}

uint32_t EpochLog::epoch(std::string_view user) const {
  auto found = epochs_.find(user);
  return found == epochs_.end() ? 0 : found->second;
}

bool EpochLog::append(std::string_view user, uint32_t epoch) {
  if (half_bytes_ - used_bytes_ < kRecordHeadBytes + user.size()) return false;
  std::string body;
  body.push_back(char(user.size()));
  body.push_back(char(user.size() >> 8));
  append_u32(body, epoch);
  body.append(user);
  std::string crc;
  append_u32(crc, crc_of(body));
  char* record = half() + used_bytes_;
  used_bytes_ += 4 + body.size();
  // The next record must not look valid (a remainder of an older use of this half).
  size_t clear = std::min(kRecordHeadBytes, half_bytes_ - used_bytes_);
  std::memset(half() + used_bytes_, 0, clear);
  std::memcpy(record + 4, body.data(), body.size());
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(record, crc.data(), crc.size());
  return true;
}

bool EpochLog::compact() {
  size_t needed = 0;
  for (const auto& [user, epoch] : epochs_) needed += kRecordHeadBytes + user.size();
  // Copying for less than a quarter of new room would make every later kick a copy of the log.
  if (needed > half_bytes_ - half_bytes_ / 4) return false;
  current_half_ ^= 1;
  used_bytes_ = 0;
  for (const auto& [user, epoch] : epochs_) append(user, epoch);
  write_superblock();
  return true;
}

Result<uint32_t> EpochLog::raise(std::string_view user) {
  DORMOUSE_CHECK(!user.empty() && user.size() <= wire::kMaxUserBytes, "a user's name is validated");
  auto [entry, fresh] = epochs_.try_emplace(std::string(user), 0);
  uint32_t epoch = ++entry->second;
  if (append(user, epoch) || compact()) return epoch;
  return fail(ErrorKind::kNoSpace,
              fmt::format("the epoch log holds {} users and is full", epochs_.size()));
}

}  // namespace dormouse::tracker
