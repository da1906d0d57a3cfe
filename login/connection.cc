#include "login/connection.h"

#include <fmt/format.h>

#include <utility>

#include "imap/syntax/base64.h"
#include "imap/syntax/parser.h"
#include "role/log.h"

namespace dormouse::login {

using Event = imap::CommandReader::Event;

Connection::Connection(Services& services, io::Fd socket, PeerAddress peer, uint16_t local_port,
                       bool implicit_tls)
    : services_(services),
      transport_(services.loop, services.transport, std::move(socket)),
      peer_(std::move(peer)),
      reader_(imap::kStrangerLimits),
      local_port_(local_port),
      implicit_tls_(implicit_tls) {}

Standing Connection::standing() const {
  return {.tls = transport_.tls(),
          .starttls = !transport_.tls() && services_.transport.context != nullptr,
          .loopback = peer_.loopback};
}

void Connection::say(std::string_view tag, std::string_view text) {
  out_ += tag;
  out_ += ' ';
  out_ += text;
  out_ += "\r\n";
}

io::Task<Result<void>> Connection::flush() {
  if (out_.empty()) co_return co_await transport_.flush();
  const std::string text = std::exchange(out_, {});
  co_return co_await transport_.write(text);
}

void Connection::bye(std::string_view text) {
  // Before the handshake of an "imaps" connection there is no language to say it in.
  if (silent_ || (implicit_tls_ && !transport_.tls())) return;
  silent_ = true;
  say("*", fmt::format("BYE {}", one_line(text)));
  transport_.write_last(out_);
}

io::Task<Result<void>> Connection::run() {
  if (implicit_tls_) {
    Result<void> secured = co_await transport_.start_tls();
    auto& counters = services_.counters;
    ++(!secured               ? counters.handshakes_failed
       : transport_.resumed() ? counters.handshakes_resumed
                              : counters.handshakes);
    if (!secured) co_return secured;
  }
  say("*", fmt::format("OK [CAPABILITY {}] {}", capabilities(services_.policy, standing()),
                       services_.policy.greeting));
  while (true) {
    Result<Next> next = co_await command();
    if (!next) {
      // What was answered is still said; what the client does not take at once it does not get.
      if (!out_.empty()) transport_.write_last(std::exchange(out_, {}));
      co_return std::unexpected(next.error());
    }
    if (*next == Next::kHandedOver) co_return Result<void>();
  }
}

io::Task<Result<void>> Connection::refuse() {
  Result<void> secured = co_await transport_.start_tls();
  if (!secured) co_return secured;
  bye(refusal(services_.pressure_text));
  co_return Result<void>();
}

void Connection::drop_last() {
  reader_.release();
  transport_.consume(std::exchange(last_bytes_, 0));
}

Result<> Connection::note_bad() {
  if (++bad_commands_ < kBadCommandsMax) return {};
  say("*", "BYE Too many bad commands");
  silent_ = true;
  return fail(ErrorKind::kInvalid, "too many bad commands");
}

io::Task<Result<Event>> Connection::next_event() {
  drop_last();
  while (true) {
    if (transport_.plain().empty()) {
      if (Result<void> flushed = co_await flush(); !flushed) {
        co_return std::unexpected(flushed.error());
      }
      Result<void> read = co_await transport_.read();
      if (!read) co_return std::unexpected(read.error());
    }
    const auto step = reader_.feed(transport_.plain());
    last_bytes_ = step.consumed_bytes;
    switch (step.event) {
      case Event::kMoreInput:
        transport_.consume(std::exchange(last_bytes_, 0));
        break;
      case Event::kContinuation:
        transport_.consume(std::exchange(last_bytes_, 0));
        out_ += "+ OK\r\n";
        break;
      case Event::kRefused:
        say(reader_.refusal_tag(),
            fmt::format("{} {}", reader_.refusal_is_no() ? "NO" : "BAD", reader_.refusal()));
        transport_.consume(std::exchange(last_bytes_, 0));
        if (auto noted = note_bad(); !noted) co_return std::unexpected(noted.error());
        break;
      case Event::kFatal:
        say("*", fmt::format("BYE {}", reader_.refusal()));
        silent_ = true;
        co_return fail(ErrorKind::kInvalid, std::string(reader_.refusal()));
      default:
        co_return step.event;
    }
  }
}

io::Task<Result<Connection::Next>> Connection::command() {
  Result<Event> event = co_await next_event();
  if (!event) co_return std::unexpected(event.error());
  if (++commands_ > kCommandsMax) {
    say("*", "BYE Too many commands before login");
    silent_ = true;
    co_return fail(ErrorKind::kLimit, "too many commands");
  }
  imap::ParseResult parsed = imap::parse_command(reader_.text());
  io::wipe_view(reader_.text());  // LOGIN's password
  drop_last();
  if (!parsed) {
    const imap::ParseError& error = parsed.error();
    say(error.tag, fmt::format("{} {}", error.no ? "NO" : "BAD", error.text));
    if (auto noted = note_bad(); !noted) co_return std::unexpected(noted.error());
    co_return Next::kGoOn;
  }
  co_return co_await dispatch(*std::move(parsed));
}

io::Task<Result<Connection::Next>> Connection::dispatch(imap::Command command) {
  const std::string& tag = command.tag;
  if (command.as<imap::Capability>()) {
    say("*", "CAPABILITY " + capabilities(services_.policy, standing()));
    say(tag, "OK Capability completed");
  } else if (command.as<imap::Noop>()) {
    say(tag, "OK Noop completed");
  } else if (const auto* id = command.as<imap::Id>()) {
    client_id_ = client_id_text(*id);
    say("*", "ID (\"name\" \"Dormouse\")");
    say(tag, "OK ID completed");
  } else if (command.as<imap::Logout>()) {
    say("*", "BYE Logging out");
    say(tag, "OK Logout completed");
    silent_ = true;
    co_return fail(ErrorKind::kClosed, "logout");
  } else if (command.as<imap::Starttls>()) {
    co_return co_await start_tls(std::move(command.tag));
  } else if (auto* login = std::get_if<imap::Login>(&command.arguments)) {
    Attempt attempt{.tag = std::move(command.tag), .mechanism = "PLAIN", .response = {}};
    attempt.is_login = true;
    // As PLAIN (RFC 4616). An IMAP string holds no NUL, so nothing can shift in it.
    std::string message;
    message.reserve(2 + login->user.size() + login->password.size());
    message.append(1, '\0').append(login->user).append(1, '\0').append(login->password);
    io::wipe(login->password);
    attempt.response.emplace(std::move(message));
    co_return co_await this->attempt(std::move(attempt));
  } else if (auto* authenticate = std::get_if<imap::Authenticate>(&command.arguments)) {
    Attempt attempt{.tag = std::move(command.tag),
                    .mechanism = std::move(authenticate->mechanism),
                    .response = {}};
    if (authenticate->initial_response) {
      attempt.response.emplace(std::move(*authenticate->initial_response));
    }
    co_return co_await this->attempt(std::move(attempt));
  } else {
    say(tag, "BAD Log in first");
  }
  co_return Next::kGoOn;
}

io::Task<Result<Connection::Next>> Connection::start_tls(std::string tag) {
  if (transport_.tls()) {
    say(tag, "BAD TLS is active already");
    co_return Next::kGoOn;
  }
  if (!standing().starttls) {
    say(tag, "BAD STARTTLS is not available");
    co_return Next::kGoOn;
  }
  // Whoever sits between could have put commands behind STARTTLS, to be run as if they had come
  // under TLS. No honest client sends anything before the answer (RFC 3501 6.2.1).
  if (!transport_.plain().empty()) {
    say("*", "BYE Data behind STARTTLS");
    silent_ = true;
    co_return fail(ErrorKind::kInvalid, "data behind STARTTLS");
  }
  say(tag, "OK Begin TLS negotiation now");
  if (Result<void> flushed = co_await flush(); !flushed) {
    co_return std::unexpected(flushed.error());
  }
  Result<void> secured = co_await transport_.start_tls();
  auto& counters = services_.counters;
  ++(!secured               ? counters.handshakes_failed
     : transport_.resumed() ? counters.handshakes_resumed
                            : counters.handshakes);
  if (!secured) {
    silent_ = true;
    co_return std::unexpected(secured.error());
  }
  client_id_.clear();  // what was said in the clear may have been anyone's
  co_return Next::kGoOn;
}

}  // namespace dormouse::login
