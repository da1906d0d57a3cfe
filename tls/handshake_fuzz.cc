// Handshakes fed with hostile bytes. The first byte: its top bit chooses our client instead of our
// server, the rest the size of the pieces.

#include <cstdint>

#include "tls/handshake.h"
#include "tls/self_signed.h"

namespace {

using namespace dormouse::tls;  // NOLINT(google-build-using-namespace)

struct Contexts {
  ServerContext server;
  ClientContext client;

  static Contexts make() {
    dormouse::Result<Certificate> certificate = make_self_signed({});
    DORMOUSE_CHECK(certificate, "a certificate");
    ServerSettings settings;
    settings.certificates.push_back(std::move(*certificate));
    settings.ticket_key = TicketKey();
    dormouse::Result<ServerContext> server = ServerContext::create(std::move(settings));
    ClientSettings client_settings;
    client_settings.await_ticket = true;
    dormouse::Result<ClientContext> client = ClientContext::create(client_settings);
    DORMOUSE_CHECK(server && client, "contexts");
    return {std::move(*server), std::move(*client)};
  }
};

template <class Handshake>
void feed(Handshake& handshake, ByteView input, size_t piece_bytes) {
  Bytes output;
  while (!input.empty() && handshake.state() == HandshakeState::kNeedsMore) {
    const size_t take = std::min(piece_bytes, input.size());
    handshake.feed(input.first(take), output);
    input = input.subspan(take);
  }
  DORMOUSE_CHECK(handshake.state() != HandshakeState::kFailed || !handshake.failure().empty(),
                 "a failure has its reason");
  DORMOUSE_CHECK(handshake.state() != HandshakeState::kDone, "nobody guesses a Finished");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Contexts contexts = Contexts::make();
  if (size == 0) return 0;
  const ByteView input = std::as_bytes(std::span(data, size)).subspan(1);
  const size_t piece_bytes = size_t{1} << (data[0] % 16);
  if ((data[0] & 0x80) == 0) {
    dormouse::Result<ServerHandshake> server = ServerHandshake::start(contexts.server);
    DORMOUSE_CHECK(server, "a handshake starts");
    feed(*server, input, piece_bytes);
  } else {
    dormouse::Result<ClientHandshake> client = ClientHandshake::start(contexts.client, "localhost");
    DORMOUSE_CHECK(client, "a handshake starts");
    Bytes hello;
    client->feed({}, hello);
    feed(*client, input, piece_bytes);
  }
  DORMOUSE_CHECK(live_ssl_objects() == 0, "no SSL object is left");
  return 0;
}
