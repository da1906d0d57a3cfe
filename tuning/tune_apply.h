#pragma once
// Carries a TuneReport out: sets the running kernel's values and writes them down for the next
// boot. Never lowers anything, and says everything that it did.
//
//   <root>/proc/sys/...                                     now
//   <root>/etc/sysctl.d/60-dormouse.conf                    at every boot
//   <root>/etc/systemd/system/dormouse.service.d/tune.conf  at every start of the unit

#include <string>
#include <vector>

#include "tuning/tune_advice.h"

namespace dormouse::tuning {

struct TuneDone {
  std::vector<std::string> lines;     // "net.core.somaxconn = 65535: set"
  std::vector<std::string> failures;  // the same, with the reason
};

// What is short or tight and can be set. Files are replaced in one piece; what an earlier run wrote
// and this one does not need is kept.
TuneDone apply_tuning(const TuneReport& report, const std::string& root);

}  // namespace dormouse::tuning
