// Handshakes: our server and client against OpenSSL and against each other; what they leave behind.

#include "tls/handshake.h"

#include <openssl/err.h>

#include <fstream>

#include "tls/test_support.h"

namespace dormouse::tls {
namespace {

using test::certificate;
using test::client_context;
using test::OpensslPeer;
using test::server_context;

TicketKey ticket_key(int seed) {
  TicketKey key;
  for (size_t i = 0; i < TicketKey::kBytes; ++i) key.bytes[i] = static_cast<std::byte>(i + seed);
  return key;
}

ServerSettings with_tickets(int seed, unsigned tickets = 2) {
  ServerSettings settings;
  settings.ticket_key = ticket_key(seed);
  settings.tickets_per_session = tickets;
  return settings;
}

struct Both {
  HandshakeResult server;
  HandshakeResult client;
  std::optional<ClientSession> session;
};

// Runs both of our sides to their results.
void connect(const ServerContext& server_side, const ClientContext& client_side, Both& both,
             const ClientSession* resume = nullptr, const std::string& name = "localhost") {
  Result<ServerHandshake> server = ServerHandshake::start(server_side);
  Result<ClientHandshake> client = ClientHandshake::start(client_side, name, resume);
  ASSERT_TRUE(server && client);
  Bytes late;
  ASSERT_TRUE(test::run(*server, *client, &late))
      << server->failure() << " / " << client->failure();
  both.session = client->session();
  Result<HandshakeResult> server_result = server->finish();
  Result<HandshakeResult> client_result = client->finish();
  ASSERT_TRUE(server_result && client_result);
  both.server = std::move(*server_result);
  both.client = std::move(*client_result);
  append(both.client.unread, late);
}

// Data passes both ways between the engines of both results.
void expect_talk(Both& both) {
  RecordCrypto crypto = test::make_crypto();
  RecordEngine server(crypto, std::move(both.server.keys));
  RecordEngine client(crypto, std::move(both.client.keys));
  Bytes answers;
  EXPECT_TRUE(test::open_all(client, both.client.unread, answers).empty()) << "tickets only";
  for (int i = 0; i < 2; ++i) {
    Bytes sealed;
    ASSERT_TRUE(server.seal(test::pattern(100), sealed));
    EXPECT_EQ(test::open_all(client, sealed, answers), test::pattern(100));
    sealed.clear();
    ASSERT_TRUE(client.seal(test::pattern(50), sealed));
    EXPECT_EQ(test::open_all(server, sealed, answers), test::pattern(50));
  }
  EXPECT_TRUE(answers.empty());
}

class EachVersion : public testing::TestWithParam<Version> {
 protected:
  ClientSettings client(bool await_ticket = false) const {
    ClientSettings settings;
    settings.version_min = settings.version_max = GetParam();
    settings.await_ticket = await_ticket;
    return settings;
  }
};
INSTANTIATE_TEST_SUITE_P(Handshake, EachVersion, testing::Values(Version::kTls12, Version::kTls13),
                         [](const testing::TestParamInfo<Version>& info) {
                           return info.param == Version::kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(EachVersion, EcdsaAndRsaCertificatesServe) {
  for (const KeyKind kind : {KeyKind::kEcdsaP256, KeyKind::kRsa2048}) {
    ServerSettings settings;
    settings.certificates.push_back(certificate(kind));
    Both both;
    connect(server_context(std::move(settings)), client_context(client()), both);
    EXPECT_EQ(both.server.server_name, "localhost");
    EXPECT_EQ(both.server.suite_name, both.client.suite_name);
    EXPECT_FALSE(both.server.resumed);
    expect_talk(both);
  }
}

TEST_P(EachVersion, SslObjectsLiveOnlyDuringTheHandshake) {
  const int64_t before = live_ssl_objects();
  const ServerContext context = server_context();
  const ClientContext peer = client_context(client());
  Both both;
  connect(context, peer, both);
  EXPECT_EQ(live_ssl_objects(), before);
  {
    const Result<ServerHandshake> abandoned = ServerHandshake::start(context);
    EXPECT_EQ(live_ssl_objects(), before + 1);
  }
  EXPECT_EQ(live_ssl_objects(), before);
}

TEST_P(EachVersion, InputMayComeByteByByte) {
  const ServerContext context = server_context(with_tickets(1));
  const ClientContext client_side = client_context(client());
  OpensslPeer peer(client_side.native(), true);
  Result<ServerHandshake> server = ServerHandshake::start(context);
  ASSERT_TRUE(server);
  for (int round = 0; round < 5 && server->state() == HandshakeState::kNeedsMore; ++round) {
    SSL_do_handshake(peer.ssl());
    for (const std::byte byte : peer.take()) {
      Bytes output;
      server->feed(ByteView(&byte, 1), output);
      peer.give(output);
    }
  }
  ASSERT_EQ(server->state(), HandshakeState::kDone) << server->failure();
  EXPECT_TRUE(server->finish());
}

TEST_P(EachVersion, BytesBehindTheHandshakeAreHandedOver) {
  const ServerContext context = server_context(with_tickets(1));
  const ClientContext client_side = client_context(client());
  OpensslPeer peer(client_side.native(), true);
  Result<ServerHandshake> server = ServerHandshake::start(context);
  ASSERT_TRUE(server);
  // The client's last flight and its first commands come in one piece, the last cut short. In TLS
  // 1.2 it must wait for the server's Finished, so there what comes behind is part of a record.
  Bytes flight;
  while (SSL_do_handshake(peer.ssl()) != 1) {
    Bytes output;
    const Bytes input = peer.take();
    if (SSL_in_init(peer.ssl()) == 1 && input.empty()) break;
    server->feed(input, output);
    peer.give(output);
    if (server->state() == HandshakeState::kDone) break;
  }
  SSL_do_handshake(peer.ssl());
  flight = peer.take();
  const Bytes commands = peer.write(test::pattern(40000));
  append(flight, commands);
  const Bytes cut(flight.end() - 10, flight.end());
  flight.resize(flight.size() - 10);
  Bytes output;
  if (server->state() == HandshakeState::kNeedsMore) {
    server->feed(flight, output);
    flight.clear();
  }
  ASSERT_EQ(server->state(), HandshakeState::kDone) << server->failure();
  Result<HandshakeResult> result = server->finish();
  ASSERT_TRUE(result);
  append(result->unread, flight);
  append(result->unread, cut);
  EXPECT_EQ(result->unread, commands);
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, std::move(result->keys));
  EXPECT_EQ(test::open_all(engine, result->unread, output), test::pattern(40000));
}

TEST_P(EachVersion, SessionIsResumedByAnotherProcessWithTheSameTicketKey) {
  const ServerContext first = server_context(with_tickets(1));
  const ServerContext second = server_context(with_tickets(1));  // another certificate, even
  const ClientContext client_side = client_context(client(true));
  Both both;
  connect(first, client_side, both);
  ASSERT_TRUE(both.session);
  EXPECT_FALSE(both.client.resumed);
  expect_talk(both);
  const std::optional<ClientSession> session = std::move(both.session);
  connect(second, client_side, both, &*session);
  EXPECT_TRUE(both.client.resumed);
  EXPECT_TRUE(both.server.resumed);
  expect_talk(both);
}

TEST_P(EachVersion, OneSessionIsResumedManyTimes) {
  const ServerContext context = server_context(with_tickets(1));
  const ClientContext client_side = client_context(client(true));
  Both both;
  connect(context, client_side, both);
  ASSERT_TRUE(both.session);
  const std::optional<ClientSession> session = std::move(both.session);
  for (int round = 0; round < 3; ++round) {
    connect(context, client_side, both, &*session);
    EXPECT_TRUE(both.server.resumed) << round;
  }
}

TEST_P(EachVersion, TicketOfAnUnknownKeyMeansAFullHandshake) {
  const ClientContext client_side = client_context(client(true));
  Both both;
  connect(server_context(with_tickets(1)), client_side, both);
  ASSERT_TRUE(both.session);
  const std::optional<ClientSession> session = std::move(both.session);
  connect(server_context(with_tickets(100)), client_side, both, &*session);
  EXPECT_FALSE(both.server.resumed);
  expect_talk(both);
}

TEST_P(EachVersion, PreviousTicketKeyIsAcceptedOlderOnesAreNot) {
  ServerContext context = server_context(with_tickets(1));
  const ClientContext client_side = client_context(client(true));
  Both both;
  connect(context, client_side, both);
  ASSERT_TRUE(both.session);
  const std::optional<ClientSession> session = std::move(both.session);
  ASSERT_TRUE(context.rotate_ticket_key(ticket_key(100)));
  connect(context, client_side, both, &*session);
  EXPECT_TRUE(both.server.resumed);
  EXPECT_TRUE(both.session) << "renewed";
  expect_talk(both);
  ASSERT_TRUE(context.rotate_ticket_key(ticket_key(200)));
  connect(context, client_side, both, &*session);
  EXPECT_FALSE(both.server.resumed);
}

TEST_P(EachVersion, WithoutATicketKeyNothingIsResumed) {
  ServerContext context = server_context();
  const ClientContext client_side = client_context(client());
  Both both;
  connect(context, client_side, both);
  if (both.session) {  // TLS 1.2 has a session id, which no cache knows
    const std::optional<ClientSession> session = std::move(both.session);
    connect(context, client_side, both, &*session);
    EXPECT_FALSE(both.server.resumed);
  }
  expect_talk(both);
  EXPECT_FALSE(context.rotate_ticket_key(ticket_key(1)));
}

TEST(Handshake, TicketRecordsAreCountedNotAssumed) {
  for (const unsigned tickets : {0U, 1U, 2U, 5U}) {
    Both both;
    connect(server_context(with_tickets(1, tickets)), client_context(), both);
    EXPECT_EQ(both.server.keys.send.count, tickets);
    EXPECT_EQ(both.server.keys.receive.count, 0U);
    EXPECT_EQ(both.client.keys.send.count, 0U);
    expect_talk(both);
  }
}

TEST(Handshake, ClientThatWaitsForATicketLosesNoData) {
  const ServerContext context = server_context(with_tickets(1, 1));
  ClientSettings settings;
  settings.await_ticket = true;
  Result<ServerHandshake> server = ServerHandshake::start(context);
  const ClientContext client_side = client_context(settings);
  Result<ClientHandshake> client = ClientHandshake::start(client_side, "");
  ASSERT_TRUE(server && client);
  Bytes to_client;
  for (int i = 0; i < 2; ++i) {
    Bytes to_server;
    client->feed(to_client, to_server);
    to_client.clear();
    server->feed(to_server, to_client);
  }
  ASSERT_EQ(server->state(), HandshakeState::kDone);
  EXPECT_EQ(client->state(), HandshakeState::kNeedsMore);
  // The ticket record and the greeting arrive together.
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, std::move(server->finish()->keys));
  ASSERT_TRUE(engine.seal(as_bytes("* OK ready"), to_client));
  Bytes nothing;
  ASSERT_EQ(client->feed(to_client, nothing), HandshakeState::kDone);
  EXPECT_TRUE(client->session());
  Result<HandshakeResult> result = client->finish();
  ASSERT_TRUE(result);
  RecordEngine client_engine(crypto, std::move(result->keys));
  EXPECT_EQ(as_text(test::open_all(client_engine, result->unread, nothing)), "* OK ready");
}

TEST(Handshake, CertificateFollowsTheServerName) {
  ServerSettings settings;
  settings.certificates.push_back(certificate(KeyKind::kEcdsaP256, {"default.test"}));
  settings.certificates.push_back(certificate(KeyKind::kEcdsaP256, {"mail.test", "imap.test"}));
  settings.certificates.push_back(certificate(KeyKind::kRsa2048, {"*.wild.test"}));
  settings.certificates.push_back(certificate(KeyKind::kEcdsaP256, {"*.wild.test"}));
  settings.ticket_key = ticket_key(1);
  const ServerContext context = server_context(std::move(settings));
  const ClientContext client_side = client_context();
  const std::pair<std::string, std::string> expectations[] = {{"", "default.test"},
                                                              {"unknown.test", "default.test"},
                                                              {"default.test", "default.test"},
                                                              {"imap.test", "mail.test"},
                                                              {"MAIL.test", "mail.test"},
                                                              {"a.wild.test", "*.wild.test"},
                                                              {"a.b.wild.test", "default.test"},
                                                              {"wild.test", "default.test"}};
  for (const auto& [asked, expected] : expectations) {
    OpensslPeer peer(client_side.native(), true);
    if (!asked.empty()) SSL_set_tlsext_host_name(peer.ssl(), asked.c_str());
    Result<ServerHandshake> server = ServerHandshake::start(context);
    ASSERT_TRUE(server);
    test::run(*server, peer);
    ASSERT_EQ(server->state(), HandshakeState::kDone) << server->failure();
    const Result<HandshakeResult> result = server->finish();
    ASSERT_TRUE(result) << "keys are revealed under each certificate";
    EXPECT_EQ(result->server_name, asked);
    const X509Ptr shown(SSL_get1_peer_certificate(peer.ssl()));
    std::array<char, 100> name{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(shown.get()), NID_commonName, name.data(),
                              name.size());
    EXPECT_EQ(std::string(name.data()), expected) << asked;
  }
}

TEST(Handshake, HandshakeOutlivesItsContext) {
  std::optional<ServerContext> context(server_context(with_tickets(1)));
  Result<ServerHandshake> server = ServerHandshake::start(*context);
  const ClientContext client_side = client_context();
  Result<ClientHandshake> client = ClientHandshake::start(client_side, "localhost");
  context.reset();
  EXPECT_TRUE(test::run(*server, *client));
}

TEST(Handshake, ClientVerifiesAgainstItsRoots) {
  const std::string ca_path = testing::TempDir() + "dormouse_ca.pem";
  const Certificate trusted = certificate(KeyKind::kEcdsaP256, {"localhost", "127.0.0.1"});
  std::ofstream(ca_path) << trusted.chain_pem;
  ClientSettings client;
  client.ca_path = ca_path;
  const ClientContext client_side = client_context(client);
  ServerSettings settings;
  settings.certificates.push_back(trusted);
  const ServerContext good = server_context(std::move(settings));
  const ServerContext bad = server_context();
  const auto connects = [&](const ServerContext& context, const std::string& name) {
    Result<ServerHandshake> server = ServerHandshake::start(context);
    Result<ClientHandshake> handshake = ClientHandshake::start(client_side, name);
    return test::run(*server, *handshake);
  };
  EXPECT_TRUE(connects(good, "localhost"));
  EXPECT_TRUE(connects(good, "127.0.0.1"));
  EXPECT_FALSE(connects(good, "other.test"));
  EXPECT_FALSE(connects(good, "127.0.0.2"));
  EXPECT_FALSE(connects(bad, "localhost"));
  std::remove(ca_path.c_str());
}

TEST(Handshake, PlainTextFailsWithAReason) {
  const ServerContext context = server_context();
  for (const std::string_view text : {"a1 LOGIN user password\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
    Result<ServerHandshake> server = ServerHandshake::start(context);
    Bytes output;
    EXPECT_EQ(server->feed(as_bytes(text), output), HandshakeState::kFailed);
    EXPECT_FALSE(server->failure().empty());
  }
}

TEST(Handshake, VersionsOutsideTheSettingsAreRefusedWithAnAlert) {
  ServerSettings settings;
  settings.version_min = Version::kTls13;
  const ServerContext context = server_context(std::move(settings));
  ClientSettings old;
  old.version_max = Version::kTls12;
  const ClientContext client_side = client_context(old);
  Result<ClientHandshake> client = ClientHandshake::start(client_side, "");
  Result<ServerHandshake> server = ServerHandshake::start(context);
  Bytes hello;
  client->feed({}, hello);
  Bytes output;
  EXPECT_EQ(server->feed(hello, output), HandshakeState::kFailed);
  const Bytes alert = {std::byte{21}, std::byte{3}, std::byte{3}, std::byte{0},
                       std::byte{2},  std::byte{2}, std::byte{70}};  // fatal protocol_version
  ASSERT_EQ(output.size(), alert.size());
  EXPECT_EQ(Bytes(output.begin() + 3, output.end()), Bytes(alert.begin() + 3, alert.end()));
  Bytes nothing;
  EXPECT_EQ(client->feed(output, nothing), HandshakeState::kFailed);
  EXPECT_NE(client->failure().find("alert"), std::string_view::npos) << client->failure();
}

TEST(Handshake, EndlessHandshakeIsBounded) {
  const ServerContext context = server_context();
  Result<ServerHandshake> server = ServerHandshake::start(context);
  // Records of handshake messages that never end: a ClientHello that says it has 2^17 bytes.
  Bytes first = test::bytes_of_hex("16 03 01 40 00 01 01 ff ff 03 03");
  first.resize(5 + 16384);
  Bytes next = test::bytes_of_hex("16 03 01 40 00");
  next.resize(5 + 16384);
  Bytes output;
  server->feed(first, output);
  for (int i = 0; i < 100 && server->state() == HandshakeState::kNeedsMore; ++i) {
    server->feed(next, output);
  }
  EXPECT_EQ(server->state(), HandshakeState::kFailed);
}

TEST(ServerContext, BrokenCertificatesAreRefusedWithTheirPlace) {
  const Certificate good = certificate();
  Certificate other_key = good;
  other_key.key_pem = certificate().key_pem;
  Certificate no_key = good;
  no_key.key_pem = "nothing";
  Certificate no_chain = good;
  no_chain.chain_pem = "";
  Certificate damaged = good;
  damaged.chain_pem += "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
  for (const Certificate& bad : {other_key, no_key, no_chain, damaged}) {
    ServerSettings settings;
    settings.certificates = {good, bad};
    settings.certificates[1].names = {"second.test"};
    const Result<ServerContext> context = ServerContext::create(std::move(settings));
    ASSERT_FALSE(context);
    EXPECT_EQ(context.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(context.error().message.find("certificate 2"), std::string::npos)
        << context.error().message;
  }
  EXPECT_FALSE(ServerContext::create(ServerSettings()));
}

TEST(TicketKey, IsEightyBytesAndRandom) {
  EXPECT_FALSE(TicketKey::from(Bytes(79)));
  EXPECT_TRUE(TicketKey::from(Bytes(80)));
  const Result<TicketKey> first = TicketKey::generate();
  const Result<TicketKey> second = TicketKey::generate();
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->bytes, second->bytes);
}

}  // namespace
}  // namespace dormouse::tls
