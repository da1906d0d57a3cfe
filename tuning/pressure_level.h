#pragma once
// How hard the server is pressed, as everything that bends under load sees it. Who decides the
// level measures; who is given one (the park policy, the den, login) is a pure function of it.

#include <cstdint>
#include <string_view>

namespace dormouse::tuning {

// Ordered: a higher level never asks for less saving than a lower one.
enum class Pressure : uint8_t { kCalm, kBusy, kPressed, kCritical };

inline constexpr Pressure kPressures[] = {Pressure::kCalm, Pressure::kBusy, Pressure::kPressed,
                                          Pressure::kCritical};

// "calm", "busy", "pressed", "critical", for logs, views and metrics.
std::string_view name_of(Pressure level);

}  // namespace dormouse::tuning
