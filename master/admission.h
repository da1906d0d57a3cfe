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
  std::optional<ebpf::AdmissionControl> filter_control;
  // How fast the logins serve what has come: by pressure, by the sleepers' wakes, and by the rates
  // above where the kernel does not see to them. Each login paces its part.
  io::Fd page;
  std::optional<ebpf::AdmissionControl> login_control;
  uint32_t logins = 1;

  ebpf::AdmissionRates rates;  // wanted
  uint32_t pace = 0;           // connections a second that pressure and sleepers allow; 0: no bound
  ebpf::FloodWatch flood;
  bool lifted = false;  // a flood: the rates wait until it is over

  // These take effect at once.
  void set_rates(const ebpf::AdmissionRates& fresh);
  void set_pace(uint32_t per_second);
  // What the logins together serve a second at the most.
  ebpf::AdmissionRates served() const;
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
