#pragma once
// Dialog: the client's side of IMAP for a sleeper: greeting, LOGIN, SELECT, a FETCH of headers,
// IDLE; later DONE, perhaps a command, and IDLE again. Some sessions sleep without IDLE: they poll
// with NOOP, or have asked for NOTIFY (RFC 5465). An engine: responses in, commands out.

#include <cstdint>
#include <string>
#include <string_view>

#include "loadtest/response_scanner.h"
#include "loadtest/session.h"
#include "loadtest/user_pattern.h"

namespace dormouse::loadtest {

struct DialogSettings {
  UserPattern user;
  UserPattern password;
  uint32_t first_user = 1;
  uint32_t users = 1;
  uint32_t together = 0;       // so many sessions in a row are one user's; 0: users take turns
  uint32_t fetch_headers = 0;  // of the newest messages, before the first IDLE; 0: no FETCH
  double poll = 0;             // this share of them does not IDLE, but says NOOP now and then
  double notify = 0;           // this share asks for NOTIFY instead of IDLE
  double compress = 0;         // this share of the sessions, evenly spread, asks for COMPRESS
  std::string mailbox = "INBOX";
  // Sent behind DONE; empty: FETCH 1 (FLAGS), or a NOOP in an empty mailbox.
  std::string command;
};

struct Heard {
  enum class What : uint8_t {
    kNothing,
    kCompressed,   // from here on both ways are deflated, `send` included
    kSelected,     // the session has its first message count
    kExists,       // `number`, after `before`
    kExpunge,      // a message went away
    kStillHere,    // the server's keepalive
    kDone,         // IDLE's tagged OK
    kCommandDone,  // the command's tagged OK
    kBye,          // after our LOGOUT
    kBroken,       // the dialog cannot go on; `reason`
  };
  What what = What::kNothing;
  uint32_t number = 0;
  uint32_t before = 0;
  bool asleep = false;  // and now it sleeps
  std::string reason = {};
};

class Dialog {
 public:
  // Borrows the settings.
  explicit Dialog(const DialogSettings& settings) : settings_(settings) {}

  uint32_t user_of(uint32_t session) const {
    return settings_.together == 0 ? session % settings_.users
                                   : session / settings_.together % settings_.users;
  }
  std::string user_name(uint32_t user) const;
  bool compresses(uint32_t session) const;

  // `session` is the index of `state`. Appends what to send next to `send`.
  Heard hear(const Response& response, uint32_t session, Session& state, std::string& send) const;
  enum class Kind : uint8_t { kIdler, kPoller, kNotifier };
  Kind kind_of(uint32_t session) const;

  // Only asleep. Who sleeps without IDLE says NOOP instead of DONE.
  void done(Session& state, std::string& send) const;
  void done_and_command(Session& state, std::string& send) const;
  void done_and_logout(Session& state, std::string& send) const;

 private:
  Heard hear_untagged(const Response& response, uint32_t session, Session& state,
                      std::string& send) const;
  Heard hear_tagged(const Response& response, uint32_t session, Session& state,
                    std::string& send) const;
  void select(Session& state, std::string& send) const;
  void login(uint32_t session, Session& state, std::string& send) const;
  void begin(Session& state, Phase phase, std::string_view command, std::string& send) const;
  // Goes to sleep, or asks for it.
  void rest(uint32_t session, Session& state, std::string& send, Heard& heard) const;

  const DialogSettings& settings_;
};

// An IMAP quoted string. kInvalid for what such a string cannot hold (CR, LF, NUL, 8-bit).
Result<std::string> quoted(std::string_view text);

}  // namespace dormouse::loadtest
