#pragma once
// What a worker has learnt of kinds of clients: how long they are quiet. A new session starts with
// the habits of the clients that call themselves the same (ID, RFC 2971; 0: say nothing), until it
// has a history of its own. Nothing of a user is in it.

#include <array>
#include <cstdint>
#include <unordered_map>

#include "tuning/gap_history.h"

namespace dormouse::tuning {

// How likely each level is, of any sum.
using GapShares = std::array<double, kGapLevels>;

// What kind of gap was before: a user who reads, or a program in the middle of something, is soon
// back again; one that was away mostly looks for what is new and goes.
enum class Before : uint8_t { kShort, kLong, kNothing };
inline constexpr size_t kBefores = 3;
// Where "long" begins: people's pauses between two mails are shorter.
inline constexpr uint64_t kLongGapMs = 60'000;
Before before(const GapHistory& history, size_t age);

class ClientHabits {
 public:
  // Kinds remembered: mail programs by name and version are some dozens. A client that invents
  // names costs only the memory of kinds that nobody uses (the least seen is forgotten): 1.5 KiB
  // each.
  static constexpr size_t kKindsMax = 256;
  // Gaps of a kind that count: a full sum is halved, so it is the last thousands.
  static constexpr uint32_t kGapsMax = 4'096;

  // What came after history's newest gap.
  void add(uint64_t client_id, const GapHistory& history, Gap gap);
  // Of the next gap.
  GapShares prior(uint64_t client_id, Quiet quiet, Before before) const;
  size_t kinds() const { return kinds_.size(); }

 private:
  struct Counts {
    std::array<uint32_t, kGapLevels> of{};
    uint32_t sum = 0;
  };
  struct Kind {
    std::array<std::array<Counts, kBefores>, kQuiets> counts;
    uint64_t gaps = 0;
  };
  std::unordered_map<uint64_t, Kind> kinds_;
};

// For clients of which nothing is known yet (docs/tuning.md).
const GapShares& default_prior(Quiet quiet, Before before);

}  // namespace dormouse::tuning
