// What a TLS handshake costs each side: the floor of a login. Run it twice at once for the
// two hardware threads of one core; the public-key operations alone are `openssl speed ecdsap256
// ecdhx25519`.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "tls/handshake.h"
#include "tls/self_signed.h"
#include "tls/server_context.h"

namespace dormouse::tls {
namespace {

using Clock = std::chrono::steady_clock;

// What a client keeps of a full handshake.
std::optional<ClientSession> first_session(const ServerContext& server_context,
                                           const ClientContext& awaiting_context) {
  Result<ClientHandshake> client = ClientHandshake::start(awaiting_context, "localhost", nullptr);
  Result<ServerHandshake> server = ServerHandshake::start(server_context);
  if (!client || !server) std::abort();
  Bytes to_server;
  Bytes to_client;
  client->feed({}, to_server);
  while (client->state() == HandshakeState::kNeedsMore) {
    if (server->state() == HandshakeState::kNeedsMore) server->feed(to_server, to_client);
    to_server.clear();
    client->feed(std::exchange(to_client, {}), to_server);
  }
  return client->session();
}

// Handshakes, until the server has the client's Finished and the client the server's.
// Counters: microseconds of each side per handshake.
void handshake(benchmark::State& state, bool resumed) {
  ServerSettings settings;
  Result<Certificate> certificate = make_self_signed({});
  Result<TicketKey> ticket_key = TicketKey::generate();
  if (!certificate || !ticket_key) std::abort();
  settings.certificates.push_back(std::move(*certificate));
  settings.ticket_key = std::move(*ticket_key);
  const Result<ServerContext> server_context = ServerContext::create(std::move(settings));
  ClientSettings client_settings;
  const Result<ClientContext> client_context = ClientContext::create(client_settings);
  client_settings.await_ticket = true;
  const Result<ClientContext> awaiting_context = ClientContext::create(client_settings);
  if (!server_context || !client_context || !awaiting_context) std::abort();
  std::optional<ClientSession> session;
  if (resumed) session = first_session(*server_context, *awaiting_context);
  Clock::duration of_client{};
  Clock::duration of_server{};
  for ([[maybe_unused]] auto _ : state) {
    Bytes to_server;
    Bytes to_client;
    auto before = Clock::now();
    Result<ClientHandshake> client =
        ClientHandshake::start(*client_context, "localhost", session ? &*session : nullptr);
    if (!client) std::abort();
    client->feed({}, to_server);
    auto after = Clock::now();
    of_client += after - before;
    Result<ServerHandshake> server = ServerHandshake::start(*server_context);
    if (!server) std::abort();
    server->feed(to_server, to_client);
    before = Clock::now();
    of_server += before - after;
    to_server.clear();
    client->feed(to_client, to_server);
    if (client->state() != HandshakeState::kDone || !client->finish()) std::abort();
    after = Clock::now();
    of_client += after - before;
    to_client.clear();
    server->feed(to_server, to_client);
    if (server->state() != HandshakeState::kDone) std::abort();
    const Result<HandshakeResult> result = server->finish();
    if (!result || result->resumed != resumed) std::abort();
    of_server += Clock::now() - after;
  }
  const auto per = [&](Clock::duration spent) {
    return benchmark::Counter(std::chrono::duration<double, std::micro>(spent).count(),
                              benchmark::Counter::kAvgIterations);
  };
  state.counters["client_us"] = per(of_client);
  state.counters["server_us"] = per(of_server);
}
BENCHMARK_CAPTURE(handshake, full, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(handshake, resumed, true)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dormouse::tls
