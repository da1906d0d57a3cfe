// The record engine against OpenSSL's, in memory: each suite, the engine as server and as client.

#include <openssl/err.h>

#include "tls/test_support.h"

namespace dormouse::tls {
namespace {

struct Case {
  Suite suite;
  bool engine_is_client;
};

class Interop : public testing::TestWithParam<Case> {
 protected:
  using OpensslPeer = test::OpensslPeer;

  Interop()
      : crypto_(test::make_crypto()),
        server_context_(test::server_context()),
        client_context_(test::client_context(test::only(GetParam().suite))) {}

  // Handshakes; afterwards engine() and peer() talk.
  void connect(uint8_t fragment_code = 0) {
    const bool engine_is_client = GetParam().engine_is_client;
    peer_.emplace(engine_is_client ? server_context_.native() : client_context_.native(),
                  !engine_is_client);
    Result<HandshakeResult> result = fail(ErrorKind::kInvalid, "not run");
    if (engine_is_client) {
      Result<ClientHandshake> ours = ClientHandshake::start(client_context_, "localhost");
      ASSERT_TRUE(ours);
      Bytes hello;
      ours->feed({}, hello);
      peer_->give(hello);
      test::run(*ours, *peer_);
      ASSERT_EQ(ours->state(), HandshakeState::kDone) << ours->failure();
      result = ours->finish();
    } else {
      if (fragment_code != 0) SSL_set_tlsext_max_fragment_length(peer_->ssl(), fragment_code);
      Result<ServerHandshake> ours = ServerHandshake::start(server_context_);
      ASSERT_TRUE(ours);
      test::run(*ours, *peer_);
      ASSERT_EQ(ours->state(), HandshakeState::kDone) << ours->failure();
      result = ours->finish();
    }
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->keys.suite, GetParam().suite);
    EXPECT_EQ(SSL_is_init_finished(peer_->ssl()), 1);
    engine_.emplace(crypto_, std::move(result->keys));
    receive(result->unread);  // tickets
  }

  bool tls13() const {
    return find_suite(static_cast<uint8_t>(GetParam().suite))->version == Version::kTls13;
  }
  RecordEngine& engine() { return *engine_; }
  OpensslPeer& peer() { return *peer_; }
  Bytes send(ByteView plain) {
    Bytes output;
    const Result<> sealed = engine().seal(plain, output);
    EXPECT_TRUE(sealed);
    return output;
  }
  // What the engine makes of the peer's bytes; its answers go to the peer.
  Bytes receive(ByteView sealed) {
    Bytes output;
    Bytes plain = test::open_all(engine(), Bytes(sealed.begin(), sealed.end()), output, &last_);
    if (!output.empty()) peer().give(output);
    return plain;
  }
  void expect_both_ways(size_t size) {
    const Bytes data = test::pattern(size);
    EXPECT_EQ(receive(peer().write(data)), data);
    EXPECT_EQ(peer().read(send(data)), data);
  }

  RecordCrypto crypto_;
  ServerContext server_context_;
  ClientContext client_context_;
  std::optional<OpensslPeer> peer_;
  std::optional<RecordEngine> engine_;
  Opened last_;
};

class InteropTls13 : public Interop {};
class InteropServer : public Interop {};
class InteropTls12Server : public Interop {};

TEST_P(Interop, DataOfAnySizePassesBothWays) {
  connect();
  for (const size_t size : {1U, 30U, 16383U, 16384U, 16385U, 1'000'000U}) expect_both_ways(size);
  EXPECT_EQ(last_.event, OpenEvent::kNeedMore);
}

TEST_P(Interop, SessionMayBeFrozenBetweenAnyTwoRecords) {
  connect();
  for (int i = 0; i < 20; ++i) {
    const Bytes frozen = engine().keys().freeze();
    Result<SessionKeys> keys = SessionKeys::thaw(frozen);
    ASSERT_TRUE(keys) << keys.error().message;
    engine_.emplace(crypto_, std::move(*keys));
    if (tls13() && i == 7) {
      ASSERT_EQ(SSL_key_update(peer().ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    }
    if (i % 2 == 0) {
      EXPECT_EQ(receive(peer().write(test::pattern(100))), test::pattern(100));
    } else {
      EXPECT_EQ(peer().read(send(test::pattern(100))), test::pattern(100));
    }
  }
}

TEST_P(Interop, ParkedKeysSealWithoutAnEngine) {
  connect();
  Bytes slot(kFrozenBytesMax);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(engine().freeze(slot));
    Bytes sealed;
    ASSERT_TRUE(seal_frozen(crypto_, slot, as_bytes("* OK Still here\r\n"), sealed));
    EXPECT_EQ(as_text(peer().read(sealed)), "* OK Still here\r\n");
    Result<FrozenKeys> frozen = FrozenKeys::attach(slot);
    ASSERT_TRUE(frozen);
    engine_.emplace(crypto_, std::move(*frozen->thaw()));
    expect_both_ways(10);
  }
}

TEST_P(InteropTls13, KeyUpdatesOfThePeerAreFollowed) {
  connect();
  for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    ASSERT_EQ(SSL_key_update(peer().ssl(), kind), 1);
    EXPECT_FALSE(kind == SSL_KEY_UPDATE_REQUESTED && engine().keys().send.count == 0);
    EXPECT_EQ(receive(peer().write(test::pattern(50))), test::pattern(50));
    EXPECT_TRUE(engine().rekeyed());
    // The answer to a request has begun a new generation of our own keys.
    if (kind == SSL_KEY_UPDATE_REQUESTED) EXPECT_EQ(engine().keys().send.count, 0U);
    expect_both_ways(50);
  }
}

TEST_P(InteropTls13, OwnKeyUpdatesAreUnderstoodAndAnswered) {
  connect();
  for (const bool request : {false, true}) {
    expect_both_ways(50);
    const uint64_t received = engine().keys().receive.count;
    Bytes output;
    ASSERT_TRUE(engine().update_keys(request, output));
    EXPECT_TRUE(peer().read(output).empty());
    expect_both_ways(50);
    // Asked, OpenSSL has changed its keys too: its counter began again.
    EXPECT_EQ(engine().keys().receive.count < received, request);
  }
}

TEST_P(Interop, CloseNotifyPassesBothWays) {
  connect();
  expect_both_ways(10);
  EXPECT_EQ(SSL_shutdown(peer().ssl()), 0);
  receive(peer().take());
  EXPECT_EQ(last_.event, OpenEvent::kCloseNotify);
  Bytes output;
  engine().close(output);
  EXPECT_FALSE(output.empty());
  int error = 0;
  peer().read(output, &error);
  EXPECT_EQ(error, SSL_ERROR_ZERO_RETURN);
  EXPECT_EQ(SSL_get_shutdown(peer().ssl()), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

TEST_P(Interop, FatalAlertOfThePeerEndsTheSession) {
  connect();
  Bytes sealed = send(test::pattern(10));
  sealed.back() ^= std::byte{1};
  int error = 0;
  peer().read(sealed, &error);
  ASSERT_EQ(error, SSL_ERROR_SSL);
  receive(peer().take());
  EXPECT_EQ(last_.event, OpenEvent::kAlert);
  EXPECT_EQ(last_.alert, static_cast<uint8_t>(Alert::kBadRecordMac));
  Bytes output;
  EXPECT_FALSE(engine().seal(test::pattern(1), output));
  Bytes slot(kFrozenBytesMax);
  EXPECT_FALSE(engine().freeze(slot));
  ERR_clear_error();
}

TEST_P(Interop, DamagedRecordIsRefusedWithAnAlertThatThePeerReads) {
  connect();
  Bytes sealed = peer().write(test::pattern(10));
  sealed.back() ^= std::byte{1};
  Bytes output;
  test::open_all(engine(), sealed, output, &last_);
  EXPECT_EQ(last_.event, OpenEvent::kFailed);
  int error = 0;
  peer().read(output, &error);
  EXPECT_EQ(error, SSL_ERROR_SSL);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
  ERR_clear_error();
}

TEST_P(InteropTls12Server, RenegotiationIsRefusedWithAWarning) {
  connect();
  SSL_clear_options(peer().ssl(), SSL_OP_NO_RENEGOTIATION);
  ASSERT_EQ(SSL_renegotiate(peer().ssl()), 1);
  SSL_do_handshake(peer().ssl());
  Bytes output;
  test::open_all(engine(), peer().take(), output, &last_);
  EXPECT_EQ(last_.event, OpenEvent::kNeedMore);
  EXPECT_FALSE(engine().failed());
  peer().give(output);
  EXPECT_NE(SSL_do_handshake(peer().ssl()), 1);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
  ERR_clear_error();
}

TEST_P(InteropServer, NegotiatedFragmentLengthIsKeptFrozenAndThawed) {
  connect(TLSEXT_max_fragment_length_512);
  Result<SessionKeys> keys = SessionKeys::thaw(engine().keys().freeze());
  ASSERT_TRUE(keys);
  engine_.emplace(crypto_, std::move(*keys));
  EXPECT_EQ(engine().keys().fragment_bytes_max(), 512U);
  expect_both_ways(2000);  // OpenSSL refuses longer records than it asked for
}

template <class Predicate>
std::vector<Case> cases(Predicate wanted) {
  std::vector<Case> found;
  for (const SuiteInfo& info : kSuites) {
    for (const bool engine_is_client : {false, true}) {
      if (wanted(info.version, engine_is_client)) found.push_back({info.suite, engine_is_client});
    }
  }
  return found;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return test::suite_test_name(info.param.suite) +
         (info.param.engine_is_client ? "Client" : "Server");
}

INSTANTIATE_TEST_SUITE_P(EachSuite, Interop,
                         testing::ValuesIn(cases([](Version, bool) { return true; })), case_name);
INSTANTIATE_TEST_SUITE_P(EachSuite, InteropTls13,
                         testing::ValuesIn(cases([](Version version, bool) {
                           return version == Version::kTls13;
                         })),
                         case_name);
INSTANTIATE_TEST_SUITE_P(EachSuite, InteropServer,
                         testing::ValuesIn(cases([](Version, bool client) { return !client; })),
                         case_name);
INSTANTIATE_TEST_SUITE_P(EachSuite, InteropTls12Server,
                         testing::ValuesIn(cases([](Version version, bool client) {
                           return version == Version::kTls12 && !client;
                         })),
                         case_name);

}  // namespace
}  // namespace dormouse::tls
