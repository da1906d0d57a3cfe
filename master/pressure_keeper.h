#pragma once
// PressureKeeper: measures how hard the server is pressed, four times a second while anybody is
// awake, and when the level changes says so in the log and to every role (docs/pressure.md). In the
// master, since it is in no sandbox, sees what the cgroup of all roles has, and has a channel to
// each of them. What only the tracker knows (the queue, the places at workers) comes as Strain.

#include <array>
#include <functional>
#include <optional>
#include <string>

#include "io/loop.h"
#include "tuning/login_pace.h"
#include "tuning/pressed_pace.h"
#include "tuning/pressure_engine.h"
#include "tuning/pressure_reader.h"
#include "wire/control.pb.h"
#include "wire/settings.pb.h"

namespace dormouse::master {

tuning::PressureSettings pressure_settings(const wire::Settings::Pressure& settings);

class PressureKeeper {
 public:
  // While nobody is awake, and all is calm: whoever wakes or comes makes it look at once.
  static constexpr uint64_t kQuietLookMs = 2'000;
  // While nobody is awake.
  static constexpr uint64_t kLookMs = 500;
  // Often enough that a limit is not reached between two looks: 150 new users a second take 80 MiB
  // a second in the first moment (their sessions, and their indexes that nobody has written yet).
  static constexpr uint64_t kAwakeLookMs = 250;
  // Until a reload enables it.
  static constexpr uint64_t kDisabledLookMs = 5'000;
  // A tracker that says nothing more (it is being restarted) is not believed for longer.
  static constexpr uint64_t kStrainMs = 2'000;

  struct Tell {
    std::function<void(tuning::Pressure level, const std::string& text)> level;
    // New connections a second that may be served, the lesser of what the level (with what follows
    // it) and the sleepers' wakes allow; 0: no bound. Told at the start and when it changes.
    std::function<void(uint32_t per_second)> pace;
    // Memory that is short is full of file pages that nobody has written yet.
    std::function<void()> write_back;
  };
  PressureKeeper(io::Loop& loop, const wire::Settings::Pressure& settings, Tell tell,
                 tuning::PressureReader reader = tuning::PressureReader());

  // Runs until its scope is cancelled.
  io::Task<void> keep();
  // One look. keep() calls it.
  void look();
  void strain(const wire::RoleToMaster::Strain& strain);
  void configure(const wire::Settings::Pressure& settings);
  std::string view() const;
  tuning::Pressure level() const { return engine_.level(); }

 private:
  bool anybody_awake() const;
  uint64_t look_ms() const;
  void note(const tuning::PressureChange& change);
  void tell_pace();

  io::Loop& loop_;
  io::Event stirred_;  // somebody is awake, after nobody was
  bool enabled_;
  Tell tell_;
  tuning::PressureReader reader_;
  tuning::PressureEngine engine_;
  tuning::PressedPace pressed_pace_;
  uint32_t pressed_per_second_;  // wanted while pressed
  uint32_t pressed_bound_ = 0;   // in force; 0: none
  tuning::LoginPace login_pace_;
  std::optional<uint32_t> told_pace_;
  wire::RoleToMaster::Strain strain_;
  bool looked_ = true;        // at strain_
  uint64_t strained_ms_ = 0;  // when the tracker said something last; 0: never
};

}  // namespace dormouse::master
