#pragma once
// How new connections are let in and shared out: what the settings ask for, brought together with
// what this machine allows. Made once, with the listeners; docs/ebpf.md.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ebpf/admission.h"
#include "ebpf/admission_filter.h"
#include "ebpf/flood_watch.h"
#include "ebpf/steering.h"
#include "io/result.h"
#include "master/listeners.h"
#include "master/settings.h"
#include "tuning/admission_governor.h"
#include "tuning/pressure_engine.h"

namespace dormouse::master {

// After a quiet time so many seconds' worth of connections are let in at once.
inline constexpr uint32_t kBurstSeconds = 1;

struct Admission {
  std::string_view mode = "off";                // what is in force: "bpf", "accept", "off"
  std::string without_bpf;                      // why not bpf, where "auto" wanted it
  std::optional<ebpf::AdmissionFilter> filter;  // bpf
  io::Fd page;                                  // accept: the logins read their rates here
  std::optional<ebpf::AdmissionControl> control;
  uint32_t shares = 1;  // who pace, each for itself: the kernel alone, or every login

  ebpf::AdmissionRates rates;  // wanted
  tuning::AdmissionGovernor governor;
  ebpf::FloodWatch flood;
  bool lifted = false;  // a flood: the rates wait until it is over

  // Takes effect at once. Without admission, nothing happens.
  void set_rates(const ebpf::AdmissionRates& fresh);
  // Twice a second, where pressure is measured: as many as let those who are here be served.
  void govern(const Settings& settings, tuning::Pressure level, const tuning::Readings& readings);
  // Once a second, where there is a filter: stands aside in a flood, and says so in the log.
  void watch_for_floods();
};

struct LoginSteering {
  std::string_view mode = "shared";  // "bpf", "hash", "shared"
  std::string without_bpf;
  std::unique_ptr<ebpf::Steering> steering;  // none: shared

  void set_ready(uint32_t process, bool ready) {
    if (steering) steering->set_ready(process, ready);
  }
};

// What the settings ask for: rate and burst are complete (complete_settings()).
ebpf::AdmissionRates rates_of(const Settings& settings);

// kUnsupported and the like only where the settings insist on bpf.
Result<Admission> make_admission(const Settings& settings, const std::vector<Listener>& listeners);
Result<LoginSteering> make_steering(const Settings& settings,
                                    const std::vector<Listener>& listeners);

// For the view.
std::string admission_view(const Admission& admission, const LoginSteering& steering);

}  // namespace dormouse::master
