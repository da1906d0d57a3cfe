#include "master/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

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

// A pace has no bursts to speak of: what comes in 20 ms.
constexpr uint32_t kPaceBurstsPerSecond = 50;

}  // namespace

ebpf::AdmissionRates Admission::served() const {
  ebpf::AdmissionRates all{.prefix_percent = rates.prefix_percent};
  if (!filter && mode != "off") all = rates;
  if (pace == 0 || (all.per_second != 0 && all.per_second <= pace)) return all;
  all.per_second = pace;
  all.burst = std::max(pace / kPaceBurstsPerSecond, 1u);
  return all;
}

void Admission::set_rates(const ebpf::AdmissionRates& fresh) {
  rates = fresh;
  if (filter_control) filter_control->set_rates(lifted ? ebpf::AdmissionRates{} : fresh);
  if (login_control) login_control->set_rates(served(), logins);
}

void Admission::set_pace(uint32_t per_second) {
  if (std::exchange(pace, per_second) != per_second) set_rates(rates);
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

ebpf::AdmissionRates rates_of(const Settings& settings) {
  const auto& admission = settings.wire.admission();
  return {.per_second = admission.rate(),
          .burst = admission.burst(),
          .prefix_percent = admission.prefix_percent()};
}

Result<Admission> make_admission(const Settings& settings, const std::vector<Listener>& listeners) {
  Admission admission;
  const std::string& wanted = settings.admission_mode;
  if (wanted == "auto" || wanted == "bpf") {
    if (auto filter = make_filter(listeners); filter) {
      admission.filter.emplace(std::move(*filter));
      auto control = ebpf::AdmissionControl::over(admission.filter->rates_fd());
      if (!control) return std::unexpected(control.error());
      admission.filter_control.emplace(std::move(*control));
    } else if (wanted == "bpf") {
      return fail(filter.error().kind, "admission.mode = \"bpf\": " + filter.error().message);
    } else {
      admission.without_bpf = filter.error().message;
    }
  }
  if (wanted != "off") admission.mode = admission.filter ? "bpf" : "accept";
  auto page = ebpf::make_page("dormouse-rates", sizeof(admission_rates));
  if (!page) return std::unexpected(page.error());
  admission.page = std::move(*page);
  admission.logins = settings.wire.login().processes();
  auto control = ebpf::AdmissionControl::over(admission.page.get());
  if (!control) return std::unexpected(control.error());
  admission.login_control.emplace(std::move(*control));
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
  if (admission.mode != "off") {
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
  fmt::format_to(std::back_inserter(text), " served={} pace={}", admission.served().per_second,
                 admission.pace);
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
