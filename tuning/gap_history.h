#pragma once
// Quiet times of a session ("gaps"): from one command that a sleeper must wake for to the next.
// What the den answers by itself (DONE, IDLE, NOOP, CHECK) is no end of a gap.
//
// A gap is kept by its order of magnitude, in 64 levels, each a factor of 1.18 longer than the one
// before: from 100 ms, below which it lies within a task of the client's, to an hour, twice as long
// as any session is awake in silence (RFC 3501 5.4).

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse::tuning {

inline constexpr size_t kGapLevels = 64;
inline constexpr uint64_t kGapFirstMs = 100;
inline constexpr uint64_t kGapLastMs = 3'600'000;  // where the last level begins; it has no end

size_t gap_level(uint64_t gap_ms);
// Where a level begins; of 0, whose gaps may be shorter, kGapFirstMs.
double level_begin_ms(size_t level);
// A gap of this level, on average, where within it all orders of magnitude are alike:
// (b - a) / ln(b / a).
double level_mean_ms(size_t level);

// What a session is doing while it is quiet: clients behave differently.
enum class Quiet : uint8_t {
  kIdle,   // in IDLE: the client said that it waits
  kOther,  // the next command is often near
};
inline constexpr size_t kQuiets = 2;

struct Gap {
  Quiet quiet = Quiet::kOther;
  uint8_t level = 0;
  bool operator==(const Gap&) const = default;
};

// The last gaps, newest first, a byte each.
class GapHistory {
 public:
  // As many as can be had for the bytes of a word: docs/tuning.md has what more of them would be
  // worth.
  static constexpr size_t kGapsMax = 8;

  void add(Gap gap);
  size_t size() const { return size_; }
  Gap operator[](size_t age) const { return gaps_[age]; }

  // One byte a gap: 1 for kOther, then six bits of level.
  std::string freeze() const;
  // Nothing where freeze() cannot have written it.
  static std::optional<GapHistory> thaw(std::string_view bytes);
  bool operator==(const GapHistory&) const = default;

 private:
  std::array<Gap, kGapsMax> gaps_{};
  size_t size_ = 0;
};

}  // namespace dormouse::tuning
