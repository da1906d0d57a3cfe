// The conversation under TLS: STARTTLS and implicit, and what is handed over.

#include "login/certificates.h"
#include "login/test_stage.h"

namespace dormouse::login::test {
namespace {

void with_starttls(Stage& stage) { stage.with_certificate(); }
void with_implicit_tls(Stage& stage) {
  stage.with_certificate();
  stage.implicit_tls = true;
}

tls::ClientContext client_context(tls::Version version = tls::Version::kTls13) {
  auto context = tls::ClientContext::create(
      {.ca_path = "", .version_min = version, .version_max = version, .only_suite = {}});
  EXPECT_TRUE(context);
  return *std::move(context);
}

// The den's side of a handed over session answers, and the client understands.
io::Task<void> expect_session(Stage* stage, Client* client) {
  co_await until_handed_over(stage);
  auto keys = tls::SessionKeys::thaw(tls::as_bytes(stage->handover->tls()));
  EXPECT_TRUE(keys);
  auto crypto = Stage::make_crypto();
  tls::RecordEngine engine(crypto, *std::move(keys));
  // What was read already, then what the client says now.
  std::string plain = stage->handover->pending_plain();
  tls::Bytes cipher, answer;
  tls::append(cipher, tls::as_bytes(stage->handover->pending_cipher()));
  co_await client->send("z NOOP\r\n");
  while (plain.find("z NOOP\r\n") == std::string::npos) {
    auto opened = engine.open(cipher, answer);
    if (opened.event == tls::OpenEvent::kNeedMore) {
      std::byte more[4096];
      ssize_t got = ::recv(stage->handed_socket.get(), more, sizeof more, 0);
      if (got < 0 && errno == EAGAIN) {
        (void)co_await stage->loop.sleep(1);
        continue;
      }
      EXPECT_GT(got, 0);
      if (got <= 0) co_return;
      tls::append(cipher, tls::ByteView(more, size_t(got)));
      continue;
    }
    EXPECT_EQ(opened.event, tls::OpenEvent::kData);
    if (opened.event != tls::OpenEvent::kData) co_return;
    plain.append(tls::as_text(opened.data));
    cipher.erase(cipher.begin(), cipher.begin() + ptrdiff_t(opened.consumed_bytes));
  }
  EXPECT_EQ(plain, "u SELECT INBOX\r\nv NOOP\r\nz NOOP\r\n");
  EXPECT_TRUE(engine.seal(tls::as_bytes("t OK welcome\r\n"), answer));
  EXPECT_EQ(::send(stage->handed_socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
            ssize_t(answer.size()));
  EXPECT_EQ(co_await client->line(), "t OK welcome\r\n");
}

template <tls::Version version>
io::Task<void> starttls(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("i ID (\"name\" \"forged\")\r\na STARTTLS\r\n");
  co_await client->read_to("a OK Begin TLS negotiation now\r\n");
  const auto context = client_context(version);
  EXPECT_TRUE(co_await client->start_tls(&context));
  co_await client->send("b CAPABILITY\r\n");
  const std::string text = co_await client->read_to("b OK Capability completed\r\n");
  EXPECT_NE(text.find("AUTH=PLAIN"), std::string::npos);
  EXPECT_EQ(text.find("STARTTLS"), std::string::npos);
  co_await client->send("c STARTTLS\r\n");
  EXPECT_EQ(co_await client->line(), "c BAD TLS is active already\r\n");
  // One record that holds more than the LOGIN, and one behind it.
  co_await client->send("t LOGIN anna secret\r\nu SELECT INBOX\r\n");
  co_await client->send("v NOOP\r\n");
  co_await expect_session(stage, client);
  EXPECT_EQ(stage->handover->client_id(), "") << "what was said in the clear is forgotten";
  EXPECT_TRUE(stage->to_auth.front().start().tls());
}
TEST(LoginTls, starttls_then_login_hands_over_keys_and_every_byte) {
  perform(starttls<tls::Version::kTls13>, with_starttls);
  perform(starttls<tls::Version::kTls12>, with_starttls);
  EXPECT_EQ(tls::live_ssl_objects(), 0);
}

io::Task<void> implicit(Stage* stage, Client* client) {
  const auto context = client_context();
  EXPECT_TRUE(co_await client->start_tls(&context));
  EXPECT_EQ((co_await client->line()).substr(0, 5), "* OK ");
  EXPECT_EQ(tls::live_ssl_objects(), 0) << "OpenSSL is gone once the handshake is over";
  co_await client->send("t LOGIN anna secret\r\nu SELECT INBOX\r\n");
  co_await client->send("v NOOP\r\n");
  co_await expect_session(stage, client);
}
TEST(LoginTls, implicit_tls_greets_inside) { perform(implicit, with_implicit_tls); }

io::Task<void> injection(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a STARTTLS\r\nb LOGIN anna secret\r\n");
  EXPECT_EQ(co_await client->rest(), "* BYE Data behind STARTTLS\r\n");
  EXPECT_TRUE(stage->to_auth.empty());
}
TEST(LoginTls, plaintext_behind_starttls_is_never_a_command) { perform(injection, with_starttls); }

io::Task<void> injection_later(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a STARTTLS\r\n");
  co_await client->read_to("a OK Begin TLS negotiation now\r\n");
  co_await client->send("b LOGIN anna secret\r\n");
  const std::string rest = co_await client->rest();
  EXPECT_EQ(rest.find("OK"), std::string::npos);
  EXPECT_EQ(rest.find("BYE"), std::string::npos) << "nothing in the clear any more";
  EXPECT_TRUE(stage->to_auth.empty());
  co_await until_done(stage);
  EXPECT_EQ(stage->services.counters.handshakes_failed, 1u);
}
TEST(LoginTls, plaintext_in_place_of_a_handshake_ends_the_connection) {
  perform(injection_later, with_starttls);
}

io::Task<void> silent(Stage* stage, Client*) {
  (void)co_await stage->loop.sleep(5);
  EXPECT_EQ(tls::live_ssl_objects(), 0);
}
TEST(LoginTls, who_connects_and_says_nothing_costs_no_ssl_object) {
  perform(silent, with_implicit_tls);
}

io::Task<void> bad_record(Stage* stage, Client* client) {
  const auto context = client_context();
  EXPECT_TRUE(co_await client->start_tls(&context));
  co_await client->line();
  tls::Bytes forged(64, std::byte{0x17});
  forged[1] = forged[2] = std::byte{0x03};
  forged[3] = std::byte{0};
  forged[4] = std::byte{59};
  co_await client->send_raw(std::move(forged));
  co_await client->rest();
  co_await until_done(stage);
  EXPECT_EQ(stage->ended->kind, ErrorKind::kInvalid);
}
TEST(LoginTls, a_forged_record_ends_the_connection) { perform(bad_record, with_implicit_tls); }

TEST(Certificates, chain_and_key_are_taken_apart) {
  auto made = tls::make_self_signed({});
  ASSERT_TRUE(made);
  auto split = split_pem(made->chain_pem + made->key_pem);
  ASSERT_TRUE(split);
  EXPECT_EQ(split->chain_pem, made->chain_pem);
  EXPECT_EQ(split->key_pem, made->key_pem);
  EXPECT_FALSE(split_pem(made->chain_pem));
  EXPECT_FALSE(split_pem(made->key_pem));
  EXPECT_FALSE(split_pem("-----BEGIN CERTIFICATE-----\n"));
}

io::Task<void> refused(Stage*, Client* client) {
  auto context = client_context();
  EXPECT_TRUE(co_await client->start_tls(&context));
  EXPECT_EQ(co_await client->rest(), "* BYE [UNAVAILABLE] The server is busy, try again later\r\n");
}
TEST(LoginTls, one_that_pressure_refuses_hears_why_under_tls) {
  perform(refused, [](Stage& stage) {
    with_implicit_tls(stage);
    stage.refuse = true;
  });
}

}  // namespace
}  // namespace dormouse::login::test
