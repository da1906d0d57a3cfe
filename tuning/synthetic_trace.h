#pragma once
// Traces of invented clients, from a seed: the same one gives the same trace everywhere. What each
// kind does is told in docs/tuning.md; the figures are chosen, not measured: a trace of one's own
// (`dormouse trace`) is worth more.

#include <cstdint>
#include <string_view>

#include "tuning/trace.h"

namespace dormouse::tuning {

enum class Population : uint8_t { kPhones, kDesktops, kPollers, kWebmail, kMixed };
inline constexpr Population kPopulations[] = {Population::kPhones, Population::kDesktops,
                                              Population::kPollers, Population::kWebmail,
                                              Population::kMixed};
std::string_view name_of(Population population);

struct SyntheticTrace {
  Population population = Population::kMixed;
  uint32_t users = 400;  // of mixed: half phones, the others a third each
  uint32_t hours = 24;   // the first is midnight's
  uint64_t seed = 1;
};

Trace make_trace(const SyntheticTrace& wanted);

}  // namespace dormouse::tuning
