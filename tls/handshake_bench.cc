// What a full TLS handshake costs each side: the floor of a login. Run it twice at once for the
// two hardware threads of one core; the public-key operations alone are `openssl speed ecdsap256
// ecdhx25519`.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>

#include "tls/handshake.h"
#include "tls/self_signed.h"
#include "tls/server_context.h"

namespace dormouse::tls {
namespace {

using Clock = std::chrono::steady_clock;

// Full handshakes, until the server has the client's Finished and the client the server's.
// Counters: microseconds of each side per handshake.
void full_handshake(benchmark::State& state) {
  ServerSettings settings;
  Result<Certificate> certificate = make_self_signed({});
  Result<TicketKey> ticket_key = TicketKey::generate();
  if (!certificate || !ticket_key) std::abort();
  settings.certificates.push_back(std::move(*certificate));
  settings.ticket_key = std::move(*ticket_key);
  const Result<ServerContext> server_context = ServerContext::create(std::move(settings));
  const Result<ClientContext> client_context = ClientContext::create({});
  if (!server_context || !client_context) std::abort();
  Clock::duration of_client{};
  Clock::duration of_server{};
  for ([[maybe_unused]] auto _ : state) {
    Bytes to_server;
    Bytes to_client;
    auto before = Clock::now();
    Result<ClientHandshake> client = ClientHandshake::start(*client_context, "localhost", nullptr);
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
    if (server->state() != HandshakeState::kDone || !server->finish()) std::abort();
    of_server += Clock::now() - after;
  }
  const auto per = [&](Clock::duration spent) {
    return benchmark::Counter(std::chrono::duration<double, std::micro>(spent).count(),
                              benchmark::Counter::kAvgIterations);
  };
  state.counters["client_us"] = per(of_client);
  state.counters["server_us"] = per(of_server);
}
BENCHMARK(full_handshake)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dormouse::tls
