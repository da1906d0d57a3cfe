#include "master/pressure_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "role/log.h"

namespace dormouse::master {

using tuning::Pressure;
using tuning::Reading;

namespace {

// Some connections log in later or never: an open-ended probe, a client that tries a second port.
constexpr uint32_t kConnectionsPerLogin = 2;

// 0: none.
uint32_t lesser_bound(uint32_t one, uint32_t other) {
  if (one == 0 || other == 0) return one + other;
  return std::min(one, other);
}

}  // namespace

tuning::PressureSettings pressure_settings(const wire::Settings::Pressure& from) {
  auto percent = [](uint32_t first, uint32_t second) {
    return tuning::Thresholds{first * 10, second * 10};
  };
  tuning::PressureSettings to;
  auto& at = to.thresholds;
  at[size_t(Reading::kMemory)] =
      percent(from.memory_busy_percent(), from.memory_critical_percent());
  at[size_t(Reading::kMemoryStall)] =
      percent(from.memory_stall_busy_percent(), from.memory_stall_critical_percent());
  at[size_t(Reading::kCpuStall)] =
      percent(from.cpu_stall_busy_percent(), from.cpu_stall_pressed_percent());
  at[size_t(Reading::kIoStall)] =
      percent(from.io_stall_busy_percent(), from.io_stall_pressed_percent());
  at[size_t(Reading::kWorkers)] =
      percent(from.workers_busy_percent(), from.workers_pressed_percent());
  at[size_t(Reading::kQueue)] = {from.queue_busy_ms(), from.queue_critical_ms()};
  to.rise_after_ms = from.rise_after_ms();
  to.calm_after_ms = from.calm_after_ms();
  return to;
}

tuning::LoginPaceSettings pace_settings(const wire::Settings::Pressure& from) {
  // A handshake, a login and what a client does at first take 3 ms of a CPU (docs/costs.md): it
  // bounds nothing but the first moment of a storm.
  constexpr double kLoginsPerCpu = 500;
  // A single login every 20 ms is in nobody's way.
  constexpr double kLeast = 50;
  unsigned cpus = std::max(std::thread::hardware_concurrency(), 1u);
  return {.goal_ms = from.enabled() ? from.wake_goal_ms() : 0,
          .least = kLeast,
          .most = kLoginsPerCpu * cpus};
}

PressureKeeper::PressureKeeper(io::Loop& loop, const wire::Settings::Pressure& settings, Tell tell,
                               tuning::PressureReader reader)
    : loop_(loop),
      stirred_(loop),
      enabled_(settings.enabled()),
      tell_(std::move(tell)),
      reader_(std::move(reader)),
      engine_(pressure_settings(settings)),
      pressed_per_second_(kConnectionsPerLogin * settings.logins_per_second()),
      login_pace_(pace_settings(settings)) {
  tell_pace();
}

void PressureKeeper::configure(const wire::Settings::Pressure& settings) {
  engine_.configure(pressure_settings(settings));
  pressed_per_second_ = kConnectionsPerLogin * settings.logins_per_second();
  login_pace_.configure(pace_settings(settings));
  bool changed = std::exchange(enabled_, settings.enabled()) != settings.enabled();
  if (changed && !enabled_ && engine_.level() != Pressure::kCalm) {
    engine_ = tuning::PressureEngine(engine_.settings());
    tell_.level(Pressure::kCalm, "");
  }
  if (!enabled_) {
    pressed_pace_ = {};
    pressed_bound_ = 0;
  }
  tell_pace();
}

void PressureKeeper::tell_pace() {
  uint32_t pace = lesser_bound(login_pace_.per_second(), pressed_bound_);
  if (std::exchange(told_pace_, pace) != pace) tell_.pace(pace);
}

io::Task<void> PressureKeeper::keep() {
  if (enabled_) role::log_info("pressure-measured", {{"memory", reader_.describe()}});
  while (true) {
    auto stirred = co_await io::wait(&stirred_, look_ms());
    if (!stirred && stirred.error().kind != ErrorKind::kTimeout) co_return;
    stirred_.clear();
    look();
  }
}

// The tracker says how it is as long as anybody is awake.
bool PressureKeeper::anybody_awake() const {
  return strained_ms_ != 0 && loop_.now_ms() - strained_ms_ <= kStrainMs;
}

uint64_t PressureKeeper::look_ms() const {
  if (!enabled_) return kDisabledLookMs;
  if (anybody_awake()) return kAwakeLookMs;
  return engine_.level() == Pressure::kCalm ? kQuietLookMs : kLookMs;
}

void PressureKeeper::strain(const wire::RoleToMaster::Strain& strain) {
  if (!anybody_awake()) stirred_.set();
  strained_ms_ = loop_.now_ms();
  // Several since the last look: the longest wait. None: what was said last still holds.
  uint32_t queue_ms = strain.queue_ms();
  if (!std::exchange(looked_, false)) queue_ms = std::max(queue_ms, strain_.queue_ms());
  strain_ = strain;
  strain_.set_queue_ms(queue_ms);
  std::optional<uint32_t> late_ms;
  if (strain.probed()) late_ms = strain.late_ms();
  login_pace_.sample(loop_.now_ms(), late_ms, strain.opened());
  tell_pace();
}

void PressureKeeper::look() {
  if (!enabled_) return;
  uint64_t now_ms = loop_.now_ms();
  tuning::Readings readings;
  reader_.read(now_ms, readings, engine_.level() >= Pressure::kPressed);
  if (reader_.wants_write_back()) tell_.write_back();
  // All our own roles would be in it.
  if (loop_.sleeps_as_iowait()) readings[size_t(Reading::kIoStall)].reset();
  for (const std::string& complaint : reader_.take_complaints()) {
    role::log_warning("pressure-not-measured", {{"what", complaint}});
  }
  if (anybody_awake()) {
    readings[size_t(Reading::kWorkers)] = strain_.places_permille();
    readings[size_t(Reading::kQueue)] = strain_.queue_ms();
  }
  if (!anybody_awake()) login_pace_.rest();
  looked_ = true;
  auto change = engine_.sample(now_ms, readings);
  pressed_bound_ = pressed_pace_.per_second(now_ms, engine_.level(), pressed_per_second_);
  tell_pace();
  if (change) note(*change);
}

void PressureKeeper::note(const tuning::PressureChange& change) {
  auto cause = engine_.cause();
  std::string text = cause ? std::string(tuning::kind_of(*cause).text) : "";
  if (change.cause) {
    role::log_warning("pressure", {{"level", tuning::name_of(change.to)},
                                   {"was", tuning::name_of(change.from)},
                                   {"reading", tuning::kind_of(*change.cause).name},
                                   {"value", change.value},
                                   {"threshold", change.threshold},
                                   {"unit", tuning::kind_of(*change.cause).unit}});
  } else {
    role::log_info("pressure", {{"level", tuning::name_of(change.to)},
                                {"was", tuning::name_of(change.from)},
                                {"calm_ms", engine_.calm_ms()}});
  }
  tell_.level(change.to, text);
}

std::string PressureKeeper::view() const {
  if (!enabled_) return "pressure off\n";
  std::string text = fmt::format(
      "pressure level={} cause={} calm_ms={}", tuning::name_of(engine_.level()),
      engine_.cause() ? tuning::kind_of(*engine_.cause()).name : "-", engine_.calm_ms());
  for (size_t i = 0; i < tuning::kReadings; ++i) {
    const auto& value = engine_.readings()[i];
    const auto& kind = tuning::kind_of(Reading(i));
    fmt::format_to(std::back_inserter(text), " {}_{}={}", kind.name, kind.unit,
                   value ? fmt::format("{}", *value) : "-");
  }
  fmt::format_to(std::back_inserter(text), " unwritten_permille={}", reader_.unwritten_permille());
  text += "\npressure";
  for (Pressure level : tuning::kPressures) {
    fmt::format_to(std::back_inserter(text), " entered_{0}={1} spent_{0}_ms={2}",
                   tuning::name_of(level), engine_.entered(level), engine_.spent_ms(level));
  }
  fmt::format_to(std::back_inserter(text),
                 "\nlogin_pace goal_ms={} per_second={} served={} late={} pressed_per_second={}",
                 login_pace_.settings().goal_ms, login_pace_.per_second(), login_pace_.served(),
                 login_pace_.late(), pressed_bound_);
  return text + "\n";
}

}  // namespace dormouse::master
