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
#include "tuning/pressure_level.h"

namespace dormouse::master {

struct Admission {
  std::string_view mode = "off";                // what is in force: "bpf", "accept", "off"
  std::string without_bpf;                      // why not bpf, where "auto" wanted it
  std::optional<ebpf::AdmissionFilter> filter;  // bpf
  io::Fd page;                                  // accept: the logins read their rates here
  std::optional<ebpf::AdmissionControl> control;
  uint32_t shares = 1;  // who pace, each for itself: the kernel alone, or every login

  ebpf::AdmissionRates rates;  // wanted
  ebpf::FloodWatch flood;
  bool lifted = false;  // a flood: the rates wait until it is over

  // Takes effect at once. Without admission, nothing happens.
  void set_rates(const ebpf::AdmissionRates& fresh);
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

// What the settings ask for: rate and burst are complete (complete_settings()). From pressed on no
// more are let in than logins may take (pressure.logins_per_second): who waits before the accept
// costs nothing here. Not fewer when critical, so that a refusal is heard soon.
ebpf::AdmissionRates rates_of(const Settings& settings,
                              tuning::Pressure level = tuning::Pressure::kCalm);

// kUnsupported and the like only where the settings insist on bpf.
Result<Admission> make_admission(const Settings& settings, const std::vector<Listener>& listeners);
Result<LoginSteering> make_steering(const Settings& settings,
                                    const std::vector<Listener>& listeners);

// For the view.
std::string admission_view(const Admission& admission, const LoginSteering& steering);

}  // namespace dormouse::master
