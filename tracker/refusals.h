#pragma once
// Why a session is refused: what the den is told, and how often it happened.

#include <array>
#include <cstddef>
#include <cstdint>

namespace dormouse::tracker {

enum class Refusal : uint8_t {
  kNoGrant,
  kUserLimit,
  kAddressLimit,
  kBadCookie,
  kAttempts,
  kQueueFull,
  kWaitedTooLong,
  kNoSuchUser,
  kLookupFailed,
};
inline constexpr size_t kRefusals = 9;

struct RefusalText {
  const char* name;  // in the view
  bool permanent;
  const char* response_code;  // RFC 5530
  const char* text;
};

inline constexpr std::array<RefusalText, kRefusals> kRefusalTexts = {{
    {"no-grant", true, "UNAVAILABLE", "The login has expired, try again"},
    {"user-limit", true, "LIMIT", "Too many sessions of this user"},
    {"address-limit", true, "LIMIT", "Too many sessions from this address"},
    {"bad-cookie", true, "AUTHORIZATIONFAILED", "This session is no longer valid"},
    {"attempts", true, "UNAVAILABLE", "The session failed repeatedly"},
    {"queue-full", false, "UNAVAILABLE", "The server is busy"},
    {"waited-too-long", false, "UNAVAILABLE", "The server is busy"},
    {"no-such-user", true, "AUTHORIZATIONFAILED", "This account is gone"},
    {"lookup-failed", false, "UNAVAILABLE", "The user database is not available"},
}};

class Refusals {
 public:
  const RefusalText& count(Refusal why) {
    ++counts_[size_t(why)];
    return kRefusalTexts[size_t(why)];
  }
  uint64_t of(Refusal why) const { return counts_[size_t(why)]; }

 private:
  std::array<uint64_t, kRefusals> counts_{};
};

}  // namespace dormouse::tracker
