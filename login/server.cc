#include "login/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ebpf/admission_filter.h"
#include "login/certificates.h"
#include "login/listen.h"
#include "role/log.h"

namespace dormouse::login {
namespace {

using wire::MasterToRole;

// After running out of descriptors or memory: long enough for some connection to end.
constexpr uint64_t kAcceptPauseMs = 100;

// To a connection that speaks no TLS and is not served: one line, taken or not.
void say_bye(const io::Fd& socket, std::string_view text) {
  const std::string line = fmt::format("* BYE {}\r\n", text);
  (void)::send(socket.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// What a stranger does is not worth a line; what failed here is.
void log_end(const Connection& connection, Ending ending, const Error& why) {
  const bool trouble = ending == Ending::kTrouble;
  role::log(trouble ? role::LogLevel::kWarning : role::LogLevel::kDebug,
            trouble ? "connection-failed" : "closed",
            {{"address", connection.peer().text}, {"reason", why.message}});
}

}  // namespace

// The conversation with one stranger, as the bounds see it.
struct LoginServer::Served final : OpenConnections::Guest {
  Served(Connection& its_connection, io::Scope& its_scope)
      : connection(its_connection), scope(its_scope) {}
  bool may_leave() const override { return !connection.busy() && !scope.cancelled(); }
  void leave(std::string text) override {
    last_word = std::move(text);
    scope.cancel();
  }

  Connection& connection;
  io::Scope& scope;
  std::string last_word = "Server shutting down";
};

LoginServer::LoginServer(role::Process& process, tls::RecordCrypto crypto)
    : process_(process), services_(process.loop(), std::move(crypto)), watching_(process.loop()) {}

Result<std::unique_ptr<LoginServer>> LoginServer::create(role::Process& process) {
  auto crypto = tls::RecordCrypto::create();
  if (!crypto) return std::unexpected(crypto.error());
  std::unique_ptr<LoginServer> server(new LoginServer(process, *std::move(crypto)));
  server->take_policy();
  if (auto taken = server->take_certificates(); !taken) return std::unexpected(taken.error());
  if (auto taken = server->take_listeners(); !taken) return std::unexpected(taken.error());
  if (auto taken = server->take_admission(); !taken) return std::unexpected(taken.error());
  return server;
}

void LoginServer::take_policy() {
  const Policy& policy = services_.policy = Policy::from(process_.settings());
  open_.set_bounds(
      {.in_all = policy.max_connections,
       .per_address = policy.max_connections_per_address,
       .old_ms = std::min<uint64_t>(kEvictAfterMs, policy.timeout_ms / kEvictPartOfTimeout),
       .young = std::max(policy.max_connections / kYoungPart, kYoungLeast),
       .young_ms = kYoungMs});
}

Result<> LoginServer::take_listeners() {
  for (role::Resource& resource : process_.take_resources(MasterToRole::Resource::LISTENER)) {
    const bool implicit_tls = resource.message.name() == "imaps";
    if (implicit_tls && !services_.transport.context) {
      return fail(ErrorKind::kInvalid, "a listener \"imaps\" without a certificate");
    }
    for (io::Fd& socket : resource.fds) {
      if (auto prepared = prepare_listener(socket.get()); !prepared) return prepared;
      auto listener = std::make_unique<Listener>();
      listener->port = listener_port(socket.get());
      listener->implicit_tls = implicit_tls;
      listener->socket = std::move(socket);
      listeners_.push_back(std::move(listener));
    }
  }
  if (listeners_.empty()) return fail(ErrorKind::kInvalid, "no listener was given");
  return {};
}

Result<> LoginServer::take_certificates() {
  auto resources = process_.take_resources(MasterToRole::Resource::CERTIFICATE);
  // At a reload that brings none, those of before stay.
  if (resources.empty() && services_.transport.context) return {};
  auto context = make_context(std::move(resources), process_.settings().tls(),
                              process_.start_message().secret());
  if (!context) return std::unexpected(context.error());
  services_.transport.context = *std::move(context);
  return {};
}

Result<> LoginServer::start() {
  process_.scope().spawn(accept_everywhere());
  return {};
}

io::Task<void> LoginServer::accept_everywhere() {
  io::Scope scope(process_.loop(), co_await io::current_scope());
  accepting_ = &scope;
  if (draining_) scope.cancel();
  for (const auto& listener : listeners_) scope.spawn(accept_all(listener.get()));
  if (rates_) scope.spawn(watch_arrivals());
  co_await scope.join();
  accepting_ = nullptr;
}

void LoginServer::link(role::Link link) {
  if (link.peer == wire::AUTH) {
    process_.scope().spawn(services_.auth.serve(std::move(link.channel)));
  } else if (link.peer == wire::DEN) {
    process_.scope().spawn(services_.dens.serve(link.index, std::move(link.channel)));
  }
}

void LoginServer::reload() {
  take_policy();
  pace();
  if (auto taken = take_certificates(); !taken) {
    // The former certificates stay: a wrong one must not end the service.
    role::log_error("reload-failed", {{"what", "certificates"}, {"reason", taken.error().message}});
  }
}

io::Task<void> LoginServer::accept_all(const Listener* listener) {
  while (true) {
    // Of all processes that wait, one is woken.
    auto ready = co_await process_.loop().poll(listener->socket.get(), POLLIN | EPOLLEXCLUSIVE);
    if (!ready) co_return;
    int error = 0;
    unsigned taken = 0;
    while (taken < kAcceptBatch && may_accept() && accept_one(*listener, error)) ++taken;
    const bool room = may_accept();
    tell_queue(taken < kAcceptBatch && room && error == 0);
    if (error == 0 && room) continue;
    if (error == 0) {
      if (!co_await process_.loop().sleep(kHeldPauseMs)) co_return;
      continue;
    }
    role::log_error("accept-failed", {{"reason", fail_errno(error, "accept").error().message}});
    if (!co_await process_.loop().sleep(kAcceptPauseMs)) co_return;
  }
}

bool LoginServer::accept_one(const Listener& listener, int& error) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  io::Fd socket(::accept4(listener.socket.get(), reinterpret_cast<sockaddr*>(&address), &length,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    // What ended between its arrival and now is no trouble of ours (accept(2)).
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) error = errno;
    return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
  }
  ++services_.counters.accepted;
  if (filtered_) ebpf::detach_filter(socket.get());
  arrived({.socket = std::move(socket),
           .peer = PeerAddress::from(address),
           .local_port = listener.port,
           .implicit_tls = listener.implicit_tls});
  return true;
}

void LoginServer::welcome(Arrival arrival) {
  if (services_.refuses()) {
    if (refuse(arrival)) process_.scope().spawn(refuse_in_tls(std::move(arrival)));
    return;
  }
  if (!admit(arrival)) return;
  const uint64_t number = open_.enter(arrival.peer.key, process_.loop().now_ms());
  process_.scope().spawn(serve(std::move(arrival), number));
}

// The server is pressed too hard for one more. True: it must shake hands to be told so.
bool LoginServer::refuse(const Arrival& arrival) {
  if (arrival.implicit_tls && refusing_ < kRefusalsMax) {
    ++refusing_;
    ++services_.counters.refused_connections;
    return true;
  }
  if (arrival.implicit_tls) {
    ++services_.counters.dropped_connections;
    return false;
  }
  ++services_.counters.refused_connections;
  say_bye(arrival.socket, refusal(services_.pressure_text));
  return false;
}

io::Task<void> LoginServer::refuse_in_tls(Arrival arrival) {
  Connection connection(services_, std::move(arrival.socket), std::move(arrival.peer),
                        arrival.local_port, true);
  // Whether it took the word or not is its own affair.
  [[maybe_unused]] auto told = co_await io::with_timeout(kRefusalMs, connection.refuse());
  --refusing_;
}

void LoginServer::pressure(tuning::Pressure level, const std::string& text) {
  services_.pressure = level;
  services_.pressure_text = text;
  pace();
}

void LoginServer::pace() {
  bool pressed = services_.pressure >= tuning::Pressure::kPressed;
  services_.logins.set_rate(pressed ? services_.policy.logins_per_second : 0);
}

bool LoginServer::admit(const Arrival& arrival) {
  if (open_.is_full(arrival.peer.key)) {
    ++services_.counters.refused_address;
    if (!arrival.implicit_tls) say_bye(arrival.socket, "Too many connections from your address");
    return false;
  }
  if (open_.make_room(process_.loop().now_ms())) ++services_.counters.evicted;
  return true;
}

io::Task<void> LoginServer::serve(Arrival arrival, uint64_t number) {
  Connection connection(services_, std::move(arrival.socket), std::move(arrival.peer),
                        arrival.local_port, arrival.implicit_tls);
  io::Scope scope(process_.loop(), co_await io::current_scope());
  Served served(connection, scope);
  open_.seat(number, served);
  tell_queue(false);
  if (draining_) scope.cancel();
  Result<void> result =
      co_await scope.run(io::with_timeout(services_.policy.timeout_ms, connection.run()));
  if (!result) {
    const Error& error = result.error();
    const Ending ending = ending_of(error);
    ++services_.counters.ended[size_t(ending)];
    if (ending == Ending::kTimedOut) connection.bye("Login timed out");
    if (ending == Ending::kSentAway) connection.bye(served.last_word);
    log_end(connection, ending, error);
  }
  open_.remove(number);
  tell_queue(false);
  if (open_.size() == 0 && all_closed_) all_closed_->set();
}

void LoginServer::drain(uint32_t /*grace_ms*/, const std::string& text) {
  if (draining_) return;
  draining_ = true;
  if (accepting_ != nullptr) accepting_->cancel();
  give_up_held();
  all_closed_ = std::make_unique<io::Event>(process_.loop());
  open_.all_leave(text);
  process_.scope().spawn(finish_drain());
}

// A cancelled connection says its BYE without waiting, so this takes one turn of the loop or two.
io::Task<void> LoginServer::finish_drain() {
  if (open_.size() != 0) (void)co_await all_closed_->wait();
  process_.drained();
}

std::string LoginServer::view() {
  const Counters& c = services_.counters;
  return fmt::format(
             "login: connections={} addresses={} authenticating={} auth={} ssl_objects={} "
             "in_hand={}\n"
             "  accepted={} handed_over={} failed_attempts={} evicted={} gave_up={} "
             "refused_address={} penalties={}\n"
             "  ended {}\n"
             "  handshakes={} resumed={} failed={}\n"
             "  pressure={} refused_connections={} dropped_connections={} refused_logins={} "
             "paced_logins={}\n",
             open_.size(), open_.addresses(), services_.auth.exchanges(),
             services_.auth.linked() ? "linked" : "away", tls::live_ssl_objects(),
             open_.young(process_.loop().now_ms()), c.accepted, c.handed_over, c.failed_attempts,
             c.evicted, gate_.gave_up(), c.refused_address, services_.penalties.size(),
             ending_text(c.ended), c.handshakes, c.handshakes_resumed, c.handshakes_failed,
             tuning::name_of(services_.pressure), c.refused_connections, c.dropped_connections,
             c.refused_logins, c.paced_logins) +
         pacing_view() + services_.dens.view();
}

}  // namespace dormouse::login
