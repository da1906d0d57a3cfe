#pragma once
// EpochLog: the users' epochs, in memory that the master owns (a memfd), so that a kick outlives
// the tracker that was told of it. A user that was never kicked has epoch 0 and costs nothing.
//
//   file    = superblock superblock (64 bytes each, zero padded to one page) half half
//   superblock = "DMEPOCH1" sequence(8) half(4) crc(4)      ; the higher valid sequence counts
//   half    = *record                                       ; half_bytes long
//   record  = crc(4) length(2) epoch(4) user                ; length: bytes of user, 1..320
//
// Numbers are little endian; crc is the CRC-32 (zlib's) of everything in its structure but itself.
// A half is valid up to the first record that is not: a writer that dies half-way loses only the
// record it was writing. When a half is full, the newest record of each user is written to the
// other half, and then a superblock that points there. The file is mapped, not written, so a
// tracker in its sandbox needs no system call for it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::tracker {

class EpochLog {
 public:
  // 16 MiB: some 500,000 kicked users with names of 20 bytes. Untouched pages cost nothing.
  static constexpr size_t kHalfBytes = 16 << 20;

  // Takes up what a former tracker wrote; makes an empty file large enough. A file with no valid
  // superblock is started anew, which `was_damaged` tells when it was not empty.
  static Result<EpochLog> open(io::Fd file, size_t half_bytes = kHalfBytes);
  EpochLog(EpochLog&& other) noexcept;
  EpochLog& operator=(EpochLog&&) = delete;
  ~EpochLog();

  uint32_t epoch(std::string_view user) const;
  // Raises the user's epoch; it is kept when this returns. kNoSpace: the log is full of users;
  // then the epoch is raised for this process's life only.
  Result<uint32_t> raise(std::string_view user);

  size_t users() const { return epochs_.size(); }
  bool was_damaged() const { return was_damaged_; }

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  EpochLog() = default;
  bool load_superblock();
  void write_superblock();
  void load_records();
  bool append(std::string_view user, uint32_t epoch);
  bool compact();
  char* half() const;

  char* base_ = nullptr;
  size_t file_bytes_ = 0;
  size_t half_bytes_ = 0;
  uint64_t sequence_ = 0;
  uint32_t current_half_ = 0;
  size_t used_bytes_ = 0;
  bool was_damaged_ = false;
  std::unordered_map<std::string, uint32_t, TextHash, std::equal_to<>> epochs_;
};

}  // namespace dormouse::tracker
