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

}  // namespace

LoginServer::LoginServer(role::Process& process, tls::RecordCrypto crypto)
    : process_(process), services_(process.loop(), std::move(crypto)), watching_(process.loop()) {}

Result<std::unique_ptr<LoginServer>> LoginServer::create(role::Process& process) {
  auto crypto = tls::RecordCrypto::create();
  if (!crypto) return std::unexpected(crypto.error());
  std::unique_ptr<LoginServer> server(new LoginServer(process, *std::move(crypto)));
  server->services_.policy = Policy::from(process.settings());
  if (auto taken = server->take_certificates(); !taken) return std::unexpected(taken.error());
  if (auto taken = server->take_listeners(); !taken) return std::unexpected(taken.error());
  if (auto taken = server->take_admission(); !taken) return std::unexpected(taken.error());
  return server;
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
  services_.policy = Policy::from(process_.settings());
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
    if (refuse(arrival.socket, arrival.implicit_tls)) {
      process_.scope().spawn(
          refuse_in_tls(std::move(arrival.socket), std::move(arrival.peer), arrival.local_port));
    }
    return;
  }
  if (!admit(arrival.peer, arrival.socket, arrival.implicit_tls)) return;
  process_.scope().spawn(serve(std::move(arrival.socket), std::move(arrival.peer),
                               arrival.local_port, arrival.implicit_tls));
}

// The server is pressed too hard for one more. True: it must shake hands to be told so.
bool LoginServer::refuse(const io::Fd& socket, bool implicit_tls) {
  if (implicit_tls && refusing_ < kRefusalsMax) {
    ++refusing_;
    ++services_.counters.refused_connections;
    return true;
  }
  if (implicit_tls) {
    ++services_.counters.dropped_connections;
    return false;
  }
  ++services_.counters.refused_connections;
  const std::string text = fmt::format("* BYE {}\r\n", refusal(services_.pressure_text));
  (void)::send(socket.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return false;
}

io::Task<void> LoginServer::refuse_in_tls(io::Fd socket, PeerAddress peer, uint16_t local_port) {
  Connection connection(services_, std::move(socket), std::move(peer), local_port, true);
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

bool LoginServer::admit(const PeerAddress& peer, const io::Fd& socket, bool implicit_tls) {
  uint32_t& from_there = per_address_[peer.key];
  const uint32_t bound = services_.policy.max_connections_per_address;
  if (bound != 0 && from_there >= bound) {
    ++services_.counters.refused_address;
    constexpr std::string_view kText = "* BYE Too many connections from your address\r\n";
    if (!implicit_tls) {
      (void)::send(socket.get(), kText.data(), kText.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return false;
  }
  ++from_there;
  if (services_.policy.max_connections != 0 && open_.size() >= services_.policy.max_connections) {
    if (auto oldest = evictable(); oldest != open_.end()) {
      ++services_.counters.evicted;
      close(oldest->first, "Too many connections");
    }
  }
  return true;
}

bool LoginServer::has_room() {
  const uint32_t bound = services_.policy.max_connections;
  return bound == 0 || open_.size() < bound || evictable() != open_.end();
}

// Who has said nothing useful for longest goes first; otherwise a few slow strangers could shut
// everybody out.
LoginServer::OpenConnections::iterator LoginServer::evictable() {
  const uint64_t now_ms = process_.loop().now_ms();
  const uint64_t old_ms =
      std::min<uint64_t>(kEvictAfterMs, services_.policy.timeout_ms / kEvictPartOfTimeout);
  unsigned seen = 0;
  for (auto at = open_.begin(); at != open_.end() && ++seen <= kEvictScanMax; ++at) {
    if (now_ms - at->second.since_ms < old_ms) break;  // and the others are younger
    if (!at->second.connection->busy() && !at->second.scope->cancelled()) return at;
  }
  return open_.end();
}

void LoginServer::close(uint64_t serial, std::string last_word) {
  Open& open = open_.at(serial);
  open.last_word = std::move(last_word);
  open.scope->cancel();
}

io::Task<void> LoginServer::serve(io::Fd socket, PeerAddress peer, uint16_t local_port,
                                  bool implicit_tls) {
  const AddressKey key = peer.key;
  Connection connection(services_, std::move(socket), std::move(peer), local_port, implicit_tls);
  io::Scope scope(process_.loop(), co_await io::current_scope());
  const uint64_t serial = next_serial_++;
  open_[serial] = {.connection = &connection,
                   .scope = &scope,
                   .since_ms = process_.loop().now_ms(),
                   .last_word = {}};
  tell_queue(false);
  if (draining_) scope.cancel();
  Result<void> result =
      co_await scope.run(io::with_timeout(services_.policy.timeout_ms, connection.run()));
  if (!result) {
    const Error& error = result.error();
    if (error.kind == ErrorKind::kTimeout) {
      ++services_.counters.timed_out;
      connection.bye("Login timed out");
    } else if (error.kind == ErrorKind::kCancelled) {
      connection.bye(open_[serial].last_word.empty() ? "Server shutting down"
                                                     : open_[serial].last_word);
    }
    role::log_debug("closed", {{"address", connection.peer().text}, {"reason", error.message}});
  }
  open_.erase(serial);
  tell_queue(false);
  auto count = per_address_.find(key);
  if (--count->second == 0) per_address_.erase(count);
  if (open_.empty() && all_closed_) all_closed_->set();
}

void LoginServer::drain(uint32_t /*grace_ms*/, const std::string& text) {
  if (draining_) return;
  draining_ = true;
  if (accepting_ != nullptr) accepting_->cancel();
  give_up_held();
  all_closed_ = std::make_unique<io::Event>(process_.loop());
  for (auto& [serial, open] : open_) close(serial, text);
  process_.scope().spawn(finish_drain());
}

// A cancelled connection says its BYE without waiting, so this takes one turn of the loop or two.
io::Task<void> LoginServer::finish_drain() {
  if (!open_.empty()) (void)co_await all_closed_->wait();
  process_.drained();
}

std::string LoginServer::view() {
  const Counters& c = services_.counters;
  return fmt::format(
             "login: connections={} addresses={} authenticating={} auth={} ssl_objects={}\n"
             "  accepted={} handed_over={} failed_attempts={} timed_out={} evicted={} gave_up={} "
             "refused_address={} penalties={}\n"
             "  handshakes={} resumed={} failed={}\n"
             "  pressure={} refused_connections={} dropped_connections={} refused_logins={} "
             "paced_logins={}\n",
             open_.size(), per_address_.size(), services_.auth.exchanges(),
             services_.auth.linked() ? "linked" : "away", tls::live_ssl_objects(), c.accepted,
             c.handed_over, c.failed_attempts, c.timed_out, c.evicted, c.gave_up, c.refused_address,
             services_.penalties.size(), c.handshakes, c.handshakes_resumed, c.handshakes_failed,
             tuning::name_of(services_.pressure), c.refused_connections, c.dropped_connections,
             c.refused_logins, c.paced_logins) +
         pacing_view() + services_.dens.view();
}

}  // namespace dormouse::login
