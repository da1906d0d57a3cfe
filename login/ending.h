#pragma once
// Ending: how a stranger's connection ended that was not handed over. Each that was accepted is
// handed over, ends so, or is one of those counted apart (gave up while it was held, refused,
// dropped), so that an operator, and a test, can tell where every one of them has gone.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "io/result.h"

namespace dormouse::login {

enum class Ending : uint8_t {
  kLeft,       // the client closed, reset, or logged out
  kDismissed,  // by us: its TLS or IMAP was wrong, or it came to a bound
  kTimedOut,
  kSentAway,  // to make room, or because this process ends
  kTrouble,   // the kernel's or our own; never the client's fault
};
constexpr size_t kEndings = 5;

using EndingCounts = std::array<uint64_t, kEndings>;

// `why` is what Connection::run() failed with.
Ending ending_of(const Error& why);
// "left=1 dismissed=0 ...", in the order above.
std::string ending_text(const EndingCounts& counts);

}  // namespace dormouse::login
