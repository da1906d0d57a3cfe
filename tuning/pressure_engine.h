#pragma once
// PressureEngine: from what is measured to one level for the whole server. Pure: readings and times
// in, a change of level out. Who measures is tuning/pressure_reader.h; what the levels do is
// docs/pressure.md.
//
// Each reading has two thresholds. Above the first it says busy; above the second the worst that it
// may say. That is pressed for what only makes things slow (cpu, io, places at workers), critical
// for what can end the server or its sessions (memory, the queue): there, pressed begins half-way.
// The level is the highest that any reading says, with hysteresis: it rises once a reading has said
// so for rise_after_ms (memory at once, since a limit does not wait), by as many steps as needed;
// it falls one step at a time, each after nothing has asked for it for the calm time. That time is
// calm_after_ms, doubled (8 fold at most) each time the level rises again soon after it fell: what
// the measures had cured came back without them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tuning/pressure_level.h"

namespace dormouse::tuning {

// What is measured. Shares are in permille, kQueue in milliseconds.
enum class Reading : uint8_t {
  kMemory,       // in use and not to be had back, of the limit
  kMemoryStall,  // of time in which something waited for memory
  kCpuStall,     // of time in which something waited for a CPU
  kIoStall,      // of time in which everything waited for disks
  kWorkers,      // of the places at workers, taken
  kQueue,        // the longest wait of a client for a worker
};
inline constexpr size_t kReadings = 6;

struct ReadingKind {
  std::string_view name;  // in logs and settings
  std::string_view unit;
  Pressure worst;
  bool at_once;           // needs no rise_after_ms
  std::string_view text;  // to a client who is refused: "The server is short of memory"
};
const ReadingKind& kind_of(Reading reading);

struct Thresholds {
  uint32_t first = UINT32_MAX;
  uint32_t second = UINT32_MAX;
};

struct PressureSettings {
  std::array<Thresholds, kReadings> thresholds;
  uint64_t rise_after_ms = 2'000;
  uint64_t calm_after_ms = 15'000;
};

// Nothing where it cannot be measured: it says calm.
using Readings = std::array<std::optional<uint32_t>, kReadings>;

// What one reading says by itself.
Pressure said_by(Reading reading, uint32_t value, const Thresholds& thresholds);
// Above which it says at least `level`; UINT32_MAX where it never does.
uint32_t threshold_of(Reading reading, Pressure level, const Thresholds& thresholds);

struct PressureChange {
  Pressure from = Pressure::kCalm;
  Pressure to = Pressure::kCalm;
  // A rise: what asked for it. A fall: none.
  std::optional<Reading> cause;
  uint32_t value = 0;
  uint32_t threshold = 0;
};

class PressureEngine {
 public:
  // After a fall, a rise within so many calm times of it counts as the same trouble.
  static constexpr uint64_t kSoonCalmTimes = 2;
  static constexpr uint64_t kCalmFoldMax = 8;

  explicit PressureEngine(const PressureSettings& settings) : settings_(settings) {}
  void configure(const PressureSettings& settings) { settings_ = settings; }
  const PressureSettings& settings() const { return settings_; }

  // `now_ms` never goes back. To be called about twice a second.
  std::optional<PressureChange> sample(uint64_t now_ms, const Readings& readings);

  Pressure level() const { return level_; }
  // What asked for the present level last.
  std::optional<Reading> cause() const { return cause_; }
  const Readings& readings() const { return readings_; }
  // A fall takes so long now.
  uint64_t calm_ms() const { return settings_.calm_after_ms * calm_fold_; }
  // For the view: how often each level was entered from below or above, and the time spent there.
  uint64_t entered(Pressure level) const { return entered_[size_t(level)]; }
  uint64_t spent_ms(Pressure level) const { return spent_ms_[size_t(level)]; }

 private:
  static constexpr size_t kLevels = std::size(kPressures);

  void note_since(uint64_t now_ms);
  std::optional<PressureChange> rise(uint64_t now_ms);
  std::optional<PressureChange> fall(uint64_t now_ms);

  PressureSettings settings_;
  Readings readings_;
  Pressure level_ = Pressure::kCalm;
  std::optional<Reading> cause_;
  // Since when a reading has said at least a level, without a break.
  std::array<std::array<std::optional<uint64_t>, kLevels>, kReadings> since_ms_;
  std::optional<uint64_t> below_since_ms_;  // nothing has asked for the present level
  std::optional<uint64_t> fell_ms_;         // last
  uint64_t calm_fold_ = 1;
  std::optional<uint64_t> sampled_ms_;
  std::array<uint64_t, kLevels> entered_{};
  std::array<uint64_t, kLevels> spent_ms_{};
};

}  // namespace dormouse::tuning
