#pragma once
// The texts that a den answers for a parked session. The worker answers the same commands with the
// same texts, so a client cannot tell who spoke (RFC 3501 6.1.2, 6.1.3; RFC 2177).

#include <string_view>

namespace dormouse::wire {

inline constexpr std::string_view kIdleContinuation = "+ idling\r\n";
inline constexpr std::string_view kIdleCompleted = "OK Idle completed.";
inline constexpr std::string_view kNoopCompleted = "OK NOOP completed.";
inline constexpr std::string_view kCheckCompleted = "OK Check completed.";
inline constexpr std::string_view kLogoutBye = "* BYE Logging out\r\n";
inline constexpr std::string_view kLogoutCompleted = "OK Logout completed.";
inline constexpr std::string_view kKeepalive = "* OK Still here\r\n";

}  // namespace dormouse::wire
