#include "login/ending.h"

#include <fmt/format.h>

namespace dormouse::login {

Ending ending_of(const Error& why) {
  switch (why.kind) {
    case ErrorKind::kClosed:
      return Ending::kLeft;
    case ErrorKind::kTimeout:
      // Of TCP (ETIMEDOUT): nobody acknowledges any more. Else the clock of the whole login.
      return why.errno_value != 0 ? Ending::kLeft : Ending::kTimedOut;
    case ErrorKind::kCancelled:
      return Ending::kSentAway;
    case ErrorKind::kInvalid:
    case ErrorKind::kDenied:
    case ErrorKind::kLimit:
      return why.errno_value != 0 ? Ending::kTrouble : Ending::kDismissed;
    default:
      return Ending::kTrouble;
  }
}

std::string ending_text(const EndingCounts& counts) {
  constexpr std::array<std::string_view, kEndings> kNames = {"left", "dismissed", "timed_out",
                                                             "sent_away", "trouble"};
  std::string text;
  for (size_t i = 0; i < kEndings; ++i) {
    text += fmt::format("{}{}={}", i == 0 ? "" : " ", kNames[i], counts[i]);
  }
  return text;
}

}  // namespace dormouse::login
