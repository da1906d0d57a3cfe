#pragma once
// Connection: the conversation with one stranger, from the greeting to the handing over. One
// coroutine; what it awaits is bounded in time by its caller.
//
// login proves nothing itself: it carries SASL messages to auth and, once auth has granted, the
// socket, the TLS keys and every byte already read to a den. From then on it never writes to the
// socket again: the worker answers the LOGIN.

#include <cstdint>
#include <string>
#include <string_view>

#include "imap/syntax/command.h"
#include "imap/syntax/command_reader.h"
#include "io/fd.h"
#include "io/secret.h"
#include "login/peer_address.h"
#include "login/replies.h"
#include "login/services.h"
#include "login/transport.h"

namespace dormouse::login {

class Connection {
 public:
  // `services` is borrowed.
  Connection(Services& services, io::Fd socket, PeerAddress peer, uint16_t local_port,
             bool implicit_tls);

  // Ends when the connection was handed over (no error) or is to be closed; the error says why.
  io::Task<Result<void>> run();
  // Instead of run(): over TLS, "* BYE" and why.
  io::Task<Result<void>> refuse();
  // After run(): "* BYE text", if there is still somebody to say it to.
  void bye(std::string_view text);

  // A password or a socket is on its way: not the moment to drop the connection for another.
  bool busy() const { return busy_; }
  const PeerAddress& peer() const { return peer_; }

 private:
  // What a command came to.
  enum class Next : uint8_t { kGoOn, kHandedOver };
  struct Attempt {
    std::string tag;
    std::string mechanism;
    std::optional<io::Secret> response;
    bool is_login = false;  // LOGIN: there is no challenge
  };

  Standing standing() const;
  // The next command or line; untagged trouble is dealt with. text() holds until the next call.
  io::Task<Result<imap::CommandReader::Event>> next_event();
  void drop_last();
  Result<> note_bad();
  void say(std::string_view tag, std::string_view text);
  io::Task<Result<void>> flush();

  io::Task<Result<Next>> command();
  io::Task<Result<Next>> dispatch(imap::Command command);
  io::Task<Result<Next>> start_tls(std::string tag);
  Result<> refuse_insecure(std::string_view tag);
  io::Task<Result<Next>> attempt(Attempt attempt);
  io::Task<Result<AuthAnswer>> exchange(AuthClient::Exchange* exchange, Attempt* attempt);
  // The client's response to a challenge, decoded; nullopt when it cancelled or made no sense, and
  // was told so.
  io::Task<Result<std::optional<io::Secret>>> ask(std::string_view challenge,
                                                  const std::string& tag);
  // By pressure. False: it is refused and told so.
  io::Task<Result<bool>> wait_for_turn(std::string tag);
  io::Task<Result<Next>> failed(std::string tag, AuthAnswer answer);
  io::Task<Result<Next>> hand_over(std::string tag, AuthAnswer granted, std::string mechanism);

  Services& services_;
  Transport transport_;
  PeerAddress peer_;
  imap::CommandReader reader_;
  std::string out_;  // answers not yet sent: they wait until we must wait
  std::string client_id_;
  size_t last_bytes_ = 0;  // of transport_.plain(): what reader_.text() may point into
  unsigned commands_ = 0;
  unsigned bad_commands_ = 0;
  unsigned failures_ = 0;
  uint16_t local_port_;
  bool implicit_tls_;
  bool busy_ = false;
  bool silent_ = false;  // handed over, or closed: nothing more to be said
};

}  // namespace dormouse::login
