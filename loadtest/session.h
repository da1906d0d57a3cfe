#pragma once
// One client of the load tester. Asleep it is a Session (8 bytes), its frozen TLS keys (120 bytes,
// TLS only), what it has heard under COMPRESS (packed, COMPRESS only) and what the socket table
// keeps (3 bytes); awake it also has an Awake (fleet.h).

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dormouse::loadtest {

enum class Phase : uint8_t {
  kEmpty,            // not started yet
  kConnecting,       // TCP
  kGreeting,         // TLS handshake where there is one, then the server's first line
  kLogin,            // LOGIN was sent
  kCompress,         // COMPRESS was sent
  kSelect,           // SELECT was sent
  kFetch,            // FETCH of headers was sent
  kNotify,           // NOTIFY was sent
  kIdleAsked,        // IDLE was sent
  kIdle,             // the continuation came: asleep
  kQuiet,            // asleep without IDLE: polls now and then, or has NOTIFY
  kPoll,             // NOOP was sent
  kDone,             // DONE was sent
  kDoneThenCommand,  // DONE and a command behind it were sent
  kCommand,          // that command's answer is awaited
  kLogout,           // LOGOUT was sent
  kGone,             // closed, by either side
};

// Where somebody was, in the words of a report.
constexpr std::string_view phase_name(Phase phase) {
  constexpr std::string_view kNames[] = {
      "start", "connecting", "greeting", "login", "compress", "select",  "fetch",  "notify", "idle",
      "idle",  "quiet",      "poll",     "done",  "done",     "command", "logout", "end"};
  return kNames[static_cast<size_t>(phase)];
}

constexpr bool is_asleep(Phase phase) { return phase == Phase::kIdle || phase == Phase::kQuiet; }

struct Session {
  uint32_t exists = 0;  // message count last heard
  uint16_t tag = 0;     // number of the last command
  Phase phase = Phase::kEmpty;
  bool selected : 1 = false;  // its mailbox is open: it is owed what is delivered there
  bool settled : 1 = false;   // has been idle once: its end is a loss, not a failed login
};
static_assert(sizeof(Session) == 8, "what a sleeper costs; docs/load.md says so");

}  // namespace dormouse::loadtest
