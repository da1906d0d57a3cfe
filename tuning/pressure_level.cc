#include "tuning/pressure_level.h"

namespace dormouse::tuning {

std::string_view name_of(Pressure level) {
  switch (level) {
    case Pressure::kCalm:
      return "calm";
    case Pressure::kBusy:
      return "busy";
    case Pressure::kPressed:
      return "pressed";
    case Pressure::kCritical:
      return "critical";
  }
  return "unknown";
}

}  // namespace dormouse::tuning
