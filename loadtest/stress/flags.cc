#include "loadtest/stress/flags.h"

namespace dormouse::loadtest::stress {

FlagList read_flags(const Value& list) {
  FlagList flags;
  for (const Value& flag : list.list) {
    for (size_t i = 0; i < kTrackedFlags.size(); ++i) {
      if (flag.is_atom(kTrackedFlags[i])) flags.tracked |= uint8_t(1 << i);
    }
    if (flag.is_atom("\\Deleted")) flags.deleted = true;
    if (!flag.text.starts_with('\\')) flags.keywords.push_back(to_upper(flag.text));
  }
  return flags;
}

std::string write_flags(uint8_t bits) {
  std::string text;
  for (size_t i = 0; i < kTrackedFlags.size(); ++i) {
    if ((bits >> i & 1) == 0) continue;
    if (!text.empty()) text += ' ';
    text += kTrackedFlags[i];
  }
  return text;
}

}  // namespace dormouse::loadtest::stress
