#include "master/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "role/log.h"

namespace dormouse::master {
namespace {

Result<ebpf::AdmissionFilter> make_filter(const std::vector<Listener>& listeners) {
  auto filter = ebpf::AdmissionFilter::load();
  if (!filter) return filter;
  for (const Listener& listener : listeners) {
    for (const io::Fd& socket : listener.sockets) {
      if (auto done = filter->attach(socket.get()); !done) return std::unexpected(done.error());
    }
  }
  return filter;
}

// Sockets that all logins share have nothing to steer.
bool is_group(const Listener& listener) { return listener.sockets.size() > 1; }

Result<> attach_groups(ebpf::Steering& steering, const std::vector<Listener>& listeners) {
  for (const Listener& listener : listeners) {
    if (!is_group(listener)) continue;
    ebpf::SocketGroup group;
    for (const io::Fd& socket : listener.sockets) group.push_back(socket.get());
    if (auto done = steering.attach(group); !done) return done;
  }
  return {};
}

// Some connections log in later or never: an open-ended probe, a client that tries a second port.
constexpr uint32_t kConnectionsPerLogin = 2;

}  // namespace

void Admission::set_rates(const ebpf::AdmissionRates& fresh) {
  if (!control) return;
  rates = fresh;
  control->set_rates(lifted ? ebpf::AdmissionRates{} : fresh, shares);
}

void Admission::watch_for_floods() {
  if (!filter) return;
  const bool flooded = flood.look(filter->counters());
  if (flooded == lifted) return;
  lifted = flooded;
  set_rates(rates);
  if (flooded) {
    role::log_warning("syn-flood", {{"then", "admission stands aside, SYN cookies answer"}});
  } else {
    role::log_info("syn-flood-over");
  }
}

ebpf::AdmissionRates rates_of(const Settings& settings, tuning::Pressure level) {
  const auto& admission = settings.wire.admission();
  ebpf::AdmissionRates rates{.per_second = admission.rate(),
                             .burst = admission.burst(),
                             .prefix_percent = admission.prefix_percent()};
  uint32_t logins = settings.wire.pressure().logins_per_second();
  if (level < tuning::Pressure::kPressed || logins == 0) return rates;
  uint32_t bound = kConnectionsPerLogin * logins;
  rates.per_second = rates.per_second == 0 ? bound : std::min(rates.per_second, bound);
  rates.burst = std::clamp(rates.burst, 2u, std::max(2u, rates.per_second));
  return rates;
}

Result<Admission> make_admission(const Settings& settings, const std::vector<Listener>& listeners) {
  Admission admission;
  const std::string& wanted = settings.admission_mode;
  if (wanted == "off") return admission;
  if (wanted != "accept") {
    if (auto filter = make_filter(listeners); filter) {
      admission.filter.emplace(std::move(*filter));
    } else if (wanted == "bpf") {
      return fail(filter.error().kind, "admission.mode = \"bpf\": " + filter.error().message);
    } else {
      admission.without_bpf = filter.error().message;
    }
  }
  int page = -1;
  if (admission.filter) {
    admission.mode = "bpf";
    page = admission.filter->rates_fd();
  } else {
    auto made = ebpf::make_page("dormouse-rates", sizeof(admission_rates));
    if (!made) return std::unexpected(made.error());
    admission.mode = "accept";
    admission.page = std::move(*made);
    admission.shares = settings.wire.login().processes();
    page = admission.page.get();
  }
  auto control = ebpf::AdmissionControl::over(page);
  if (!control) return std::unexpected(control.error());
  admission.control.emplace(std::move(*control));
  admission.set_rates(rates_of(settings));
  return admission;
}

Result<LoginSteering> make_steering(const Settings& settings,
                                    const std::vector<Listener>& listeners) {
  LoginSteering made;
  const uint32_t processes = settings.wire.login().processes();
  const std::string& wanted = settings.steering;
  if (wanted == "shared" || processes == 1) return made;
  if (wanted != "hash") {
    auto steering = ebpf::make_bpf_steering(processes);
    Result<> attached;
    if (steering) attached = attach_groups(**steering, listeners);
    if (steering && attached) {
      made.mode = "bpf";
      made.steering = std::move(*steering);
      return made;
    }
    const Error& error = steering ? attached.error() : steering.error();
    if (wanted == "bpf") return fail(error.kind, "login.steering = \"bpf\": " + error.message);
    made.without_bpf = error.message;
  }
  made.mode = "hash";
  made.steering = ebpf::make_hash_steering(processes);
  if (auto attached = attach_groups(*made.steering, listeners); !attached) {
    return std::unexpected(attached.error());
  }
  return made;
}

std::string admission_view(const Admission& admission, const LoginSteering& steering) {
  std::string text = fmt::format("admission {}", admission.mode);
  if (!admission.without_bpf.empty()) text += fmt::format(" (no bpf: {})", admission.without_bpf);
  if (admission.control) {
    text += fmt::format(" rate={} burst={} prefix_percent={}", admission.rates.per_second,
                        admission.rates.burst, admission.rates.prefix_percent);
    if (admission.lifted) text += " lifted=syn-flood";
  }
  if (admission.filter) {
    const ebpf::AdmissionCounters counters = admission.filter->counters();
    for (unsigned verdict = 0; verdict < counters.size(); ++verdict) {
      fmt::format_to(std::back_inserter(text), " {}={}", ebpf::verdict_name(verdict),
                     counters[verdict]);
    }
  }
  text += fmt::format("\nsteering {}", steering.mode);
  if (!steering.without_bpf.empty()) text += fmt::format(" (no bpf: {})", steering.without_bpf);
  if (steering.mode == "bpf") {
    const ebpf::SteeringCounters counters = steering.steering->counters();
    for (unsigned verdict = 0; verdict < counters.size(); ++verdict) {
      fmt::format_to(std::back_inserter(text), " {}={}", ebpf::steering_verdict_name(verdict),
                     counters[verdict]);
    }
  }
  return text + "\n";
}

}  // namespace dormouse::master
