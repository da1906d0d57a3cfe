// The conversation before login, in the clear.

#include "login/connection.h"

#include "imap/syntax/base64.h"
#include "login/test_stage.h"

namespace dormouse::login::test {
namespace {

void allow_plaintext(Stage& stage) { stage.services.policy.plaintext_auth = true; }

io::Task<void> small_commands(Stage*, Client* client) {
  EXPECT_EQ(co_await client->line(),
            "* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE AUTH=PLAIN AUTH=LOGIN "
            "AUTH=SCRAM-SHA-256] ready\r\n");
  co_await client->send("a NOOP\r\nb ID (\"name\" \"x\")\r\nc SELECT INBOX\r\nd STARTTLS\r\n");
  EXPECT_EQ(co_await client->line(), "a OK Noop completed\r\n");
  EXPECT_EQ(co_await client->line(), "* ID (\"name\" \"Dormouse\")\r\n");
  EXPECT_EQ(co_await client->line(), "b OK ID completed\r\n");
  EXPECT_EQ(co_await client->line(), "c BAD Log in first\r\n");
  EXPECT_EQ(co_await client->line(), "d BAD STARTTLS is not available\r\n");
  co_await client->send("e LOGOUT\r\n");
  EXPECT_EQ(co_await client->rest(), "* BYE Logging out\r\ne OK Logout completed\r\n");
}
TEST(Connection, answers_what_may_be_asked_before_login) {
  perform(small_commands, allow_plaintext);
}

io::Task<void> log_in(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("i ID (\"name\" \"Test\" \"version\" \"1\")\r\n");
  co_await client->read_to("i OK ID completed\r\n");
  co_await client->send("t LOGIN anna secret\r\nu SELECT INBOX\r\n");
  co_await until_handed_over(stage);
  EXPECT_EQ(stage->handover->grant(), std::string(16, 'g'));
  EXPECT_EQ(stage->handover->tag(), "t");
  EXPECT_EQ(stage->handover->remote_address(), "192.0.2.7");
  EXPECT_EQ(stage->handover->remote_port(), 4711u);
  EXPECT_EQ(stage->handover->local_port(), 143u);
  EXPECT_EQ(stage->handover->tls(), "");
  EXPECT_EQ(stage->handover->pending_plain(), "u SELECT INBOX\r\n");
  EXPECT_EQ(stage->handover->pending_cipher(), "");
  EXPECT_EQ(stage->handover->client_id(), "name=Test; version=1");
  co_await until_done(stage);
  EXPECT_FALSE(stage->ended);
  // The socket is the den's alone: what it writes is all that comes.
  EXPECT_EQ(write(stage->handed_socket.get(), "t OK\r\n", 6), 6);
  stage->handed_socket.reset();
  EXPECT_EQ(co_await client->rest(), "t OK\r\n");
}
TEST(Connection, a_login_hands_over_all_that_was_read_and_says_nothing) {
  perform(log_in, allow_plaintext);
}

io::Task<void> refused_by_pressure(Stage* stage, Client* client) {
  co_await client->line();
  stage->services.pressure = tuning::Pressure::kCritical;
  stage->services.pressure_text = "The server is short of memory";
  co_await client->send("s LOGIN anna secret\r\n");
  EXPECT_EQ(co_await client->line(),
            "s NO [UNAVAILABLE] The server is short of memory, try again later\r\n");
  EXPECT_TRUE(stage->to_auth.empty()) << "nobody was asked about the password";
  stage->services.pressure = tuning::Pressure::kPressed;
  co_await client->send("t LOGIN anna secret\r\n");
  co_await until_handed_over(stage);
  EXPECT_EQ(stage->handover->tag(), "t");
}
TEST(Connection, a_login_that_pressure_refuses_is_told_why_and_may_be_tried_again) {
  perform(refused_by_pressure, [](Stage& stage) {
    stage.services.policy.plaintext_auth = true;
    stage.services.policy.refuse_logins = true;
  });
}

io::Task<void> paced(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("s LOGIN anna secret\r\n");
  EXPECT_EQ(co_await client->line(), "s NO [UNAVAILABLE] The server is busy, try again later\r\n");
  EXPECT_EQ(stage->services.counters.refused_logins, 1u);
}
TEST(Connection, a_login_whose_turn_would_come_too_late_is_told_at_once) {
  perform(paced, [](Stage& stage) {
    stage.services.policy.plaintext_auth = true;
    stage.services.logins.set_rate(0.001);
    stage.services.logins.take(stage.loop.now_ms(), 0);  // another's
  });
}

io::Task<void> literals(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("t LOGIN {4}\r\n");
  EXPECT_EQ(co_await client->line(), "+ OK\r\n");
  co_await client->send("anna {6+}\r\nsecret\r\n");
  co_await until_handed_over(stage);
  EXPECT_EQ(stage->handover->pending_plain(), "");
}
TEST(Connection, login_takes_literals_of_both_kinds) { perform(literals, allow_plaintext); }

io::Task<void> disabled(Stage* stage, Client* client) {
  const std::string greeting = co_await client->line();
  EXPECT_NE(greeting.find(" STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256]"), std::string::npos);
  co_await client->send("t LOGIN anna secret\r\nu AUTHENTICATE PLAIN\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 22), "t NO [PRIVACYREQUIRED]");
  EXPECT_EQ((co_await client->line()).substr(0, 22), "u NO [PRIVACYREQUIRED]");
  EXPECT_TRUE(stage->to_auth.empty());
}
TEST(Connection, no_password_without_tls_off_loopback) {
  perform(disabled, [](Stage& stage) { stage.with_certificate(); });
}

io::Task<void> on_loopback(Stage* stage, Client* client) {
  EXPECT_EQ((co_await client->line()).find("LOGINDISABLED"), std::string::npos);
  co_await client->send("t LOGIN anna secret\r\n");
  co_await until_handed_over(stage);
}
TEST(Connection, passwords_are_fine_on_loopback) {
  perform(on_loopback, [](Stage& stage) { stage.peer.loopback = true; });
}

io::Task<void> authenticate_plain(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a AUTHENTICATE PLAIN " + imap::base64_encode("\0anna\0wrong"s) + "\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 27), "a NO [AUTHENTICATIONFAILED]");
  co_await client->send("b authenticate plain " + imap::base64_encode("\0anna\0secret"s) + "\r\n");
  co_await until_handed_over(stage);
  EXPECT_EQ(stage->handover->tag(), "b");
  EXPECT_EQ(stage->to_auth.back().start().remote_address(), "192.0.2.7");
  EXPECT_FALSE(stage->to_auth.back().start().tls());
}
TEST(Connection, authenticate_with_an_initial_response) {
  perform(authenticate_plain, allow_plaintext);
}

io::Task<void> scram(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a AUTHENTICATE SCRAM-SHA-256\r\n");
  EXPECT_EQ(co_await client->line(), "+ \r\n");
  co_await client->send(imap::base64_encode("first") + "\r\n");
  EXPECT_EQ(co_await client->line(), "+ " + imap::base64_encode("server-first") + "\r\n");
  co_await client->send(imap::base64_encode("proof") + "\r\n");
  EXPECT_EQ(co_await client->line(), "+ " + imap::base64_encode("v=sig") + "\r\n");
  EXPECT_FALSE(stage->handover) << "the client has not accepted the server yet";
  co_await client->send("\r\nb NOOP\r\n");
  co_await until_handed_over(stage);
  EXPECT_EQ(stage->handover->tag(), "a");
  EXPECT_EQ(stage->handover->pending_plain(), "b NOOP\r\n");
}
TEST(Connection, scram_waits_for_the_client_to_accept_the_server) { perform(scram); }

io::Task<void> cancelled(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a AUTHENTICATE SCRAM-SHA-256\r\n");
  co_await client->line();
  co_await client->send("*\r\n");
  EXPECT_EQ(co_await client->line(), "a BAD Authentication cancelled\r\n");
  co_await client->send("b AUTHENTICATE SCRAM-SHA-256\r\n");
  co_await client->line();
  co_await client->send("!!!\r\nc NOOP\r\n");
  EXPECT_EQ(co_await client->line(), "b BAD Malformed base64\r\n");
  EXPECT_EQ(co_await client->line(), "c OK Noop completed\r\n");
  int aborts = 0;
  for (const auto& message : stage->to_auth) aborts += message.has_abort() ? 1 : 0;
  EXPECT_EQ(aborts, 2);
}
TEST(Connection, an_exchange_can_be_cancelled_and_auth_forgets_it) { perform(cancelled); }

io::Task<void> attempts(Stage* stage, Client* client) {
  co_await client->line();
  for (int i = 0; i < 3; ++i) {
    co_await client->send("a LOGIN anna wrong\r\n");
    EXPECT_EQ((co_await client->line()).substr(0, 27), "a NO [AUTHENTICATIONFAILED]");
  }
  EXPECT_EQ(co_await client->rest(), "* BYE Too many failed attempts\r\n");
  co_await until_done(stage);
  EXPECT_EQ(stage->ended->kind, ErrorKind::kDenied);
  EXPECT_EQ(stage->services.penalties.size(), 1u);
}
TEST(Connection, the_last_attempt_is_the_end) { perform(attempts, allow_plaintext); }

io::Task<void> auth_away(Stage* stage, Client* client) {
  co_await client->line();
  ::shutdown(stage->auth.fd(), SHUT_RDWR);  // a close alone would wait for the fake's poll
  while (stage->services.auth.linked()) (void)co_await stage->loop.sleep(1);
  co_await client->send("a LOGIN anna secret\r\nb NOOP\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 18), "a NO [UNAVAILABLE]");
  EXPECT_EQ(co_await client->line(), "b OK Noop completed\r\n");
}
io::Task<void> auth_dies(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a AUTHENTICATE SCRAM-SHA-256\r\n");
  co_await client->line();
  ::shutdown(stage->auth.fd(), SHUT_RDWR);  // a close alone would wait for the fake's poll
  co_await client->send(imap::base64_encode("first") + "\r\nb NOOP\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 18), "a NO [UNAVAILABLE]");
  EXPECT_EQ(co_await client->line(), "b OK Noop completed\r\n");
}
io::Task<void> den_away(Stage* stage, Client* client) {
  co_await client->line();
  ::shutdown(stage->den.fd(), SHUT_RDWR);
  co_await client->send("a LOGIN anna secret\r\nb NOOP\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 18), "a NO [UNAVAILABLE]");
  EXPECT_EQ(co_await client->line(), "b OK Noop completed\r\n");
}
// Both are started again while the client waits.
io::Task<void> come_back(Stage* stage, Client* client) {
  stage->services.auth.set_patience_ms(20'000);
  stage->services.dens.set_patience_ms(20'000);
  io::Scope scope(stage->loop, co_await io::current_scope());
  co_await client->line();
  ::shutdown(stage->auth.fd(), SHUT_RDWR);
  ::shutdown(stage->den.fd(), SHUT_RDWR);
  while (stage->services.auth.linked()) (void)co_await stage->loop.sleep(1);
  co_await client->send("a LOGIN anna secret\r\n");
  (void)co_await stage->loop.sleep(20);
  auto auth = io::Channel::pair();
  stage->auth = std::move(auth->first);
  scope.spawn(stage->services.auth.serve(std::move(auth->second)));
  scope.spawn(play_auth(stage));
  (void)co_await stage->loop.sleep(20);
  EXPECT_FALSE(stage->handover);
  auto den = io::Channel::pair();
  stage->den = std::move(den->first);
  scope.spawn(stage->services.dens.serve(0, std::move(den->second)));
  scope.spawn(play_den(stage));
  for (int i = 0; i < 2'000 && !stage->handover; ++i) (void)co_await stage->loop.sleep(1);
  EXPECT_TRUE(stage->handover);
  scope.cancel();
  co_await scope.join();
}
TEST(Connection, a_login_waits_for_an_auth_and_a_den_that_are_being_started) {
  perform(come_back, allow_plaintext);
}

TEST(Connection, without_auth_or_den_a_client_is_told_to_come_back) {
  perform(auth_away, allow_plaintext);
  perform(auth_dies, allow_plaintext);
  perform(den_away, allow_plaintext);
}

io::Task<void> full_den(Stage* stage, Client* client) {
  co_await client->line();
  wire::DenToLogin load;
  load.mutable_load()->set_sessions(100);
  load.mutable_load()->set_capacity(100);
  load.mutable_load()->set_accepting(true);
  EXPECT_TRUE(co_await wire::send(stage->loop, stage->den, load));
  co_await client->send("a LOGIN anna secret\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 18), "a NO [UNAVAILABLE]");
  EXPECT_FALSE(stage->handover);
}
TEST(Connection, a_full_den_is_given_nothing) { perform(full_den, allow_plaintext); }

io::Task<void> long_line(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a LOGIN " + std::string(20'000, 'x'));
  const std::string rest = co_await client->rest();
  EXPECT_NE(rest.find("BYE"), std::string::npos) << rest;
  co_await until_done(stage);
}
io::Task<void> long_literal(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a LOGIN {100000}\r\n");
  EXPECT_EQ((co_await client->line()).substr(0, 5), "a BAD") << "refused before it is sent";
  co_await client->send("b LOGIN {100000+}\r\nxxx");
  EXPECT_NE((co_await client->rest()).find("BYE"), std::string::npos);
  co_await until_done(stage);
}
TEST(Connection, long_lines_and_literals_cost_the_connection) {
  perform(long_line, allow_plaintext);
  perform(long_literal, allow_plaintext);
}

io::Task<void> browser(Stage* stage, Client* client) {
  co_await client->line();
  std::string request = "POST / HTTP/1.1\r\n";
  for (int i = 0; i < 20; ++i) request += "Header: a LOGIN anna secret\r\n";
  co_await client->send(request);
  const std::string rest = co_await client->rest();
  EXPECT_NE(rest.find("* BYE Too many bad commands\r\n"), std::string::npos) << rest;
  EXPECT_TRUE(stage->to_auth.empty());
}
TEST(Connection, other_protocols_do_not_get_far) { perform(browser, allow_plaintext); }

io::Task<void> chatter(Stage*, Client* client) {
  co_await client->line();
  std::string commands;
  for (unsigned i = 0; i <= kCommandsMax; ++i) commands += "a NOOP\r\n";
  co_await client->send(commands);
  EXPECT_NE((co_await client->rest()).find("* BYE Too many commands before login\r\n"),
            std::string::npos);
}
TEST(Connection, commands_before_login_are_counted) { perform(chatter); }

io::Task<void> slow(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a LOG");
  EXPECT_EQ(co_await client->rest(), "* BYE Login timed out\r\n");
  co_await until_done(stage);
  EXPECT_EQ(stage->ended->kind, ErrorKind::kTimeout);
}
TEST(Connection, time_to_log_in_is_bounded_in_all) {
  perform(slow, [](Stage& stage) { stage.services.policy.timeout_ms = 30; });
}

io::Task<void> bad_tag(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("\xff\xfe LOGIN anna secret\r\n" + std::string(65, 't') +
                        " LOGIN anna secret\r\nok NOOP\r\n");
  const std::string text = co_await client->read_to("ok OK Noop completed\r\n");
  EXPECT_NE(text.find("BAD"), std::string::npos);
  EXPECT_TRUE(stage->to_auth.empty()) << "such a tag fits no message";
}
TEST(Connection, a_tag_that_is_none_is_refused) { perform(bad_tag, allow_plaintext); }

io::Task<void> nul_in_login(Stage* stage, Client* client) {
  co_await client->line();
  co_await client->send("a LOGIN {11+}\r\nanna"s + "\0secret {1+}\r\nx\r\nb NOOP\r\n"s);
  co_await client->read_to("b OK Noop completed\r\n");
  EXPECT_FALSE(stage->handover);
}
TEST(Connection, nul_in_a_name_shifts_nothing) { perform(nul_in_login, allow_plaintext); }

}  // namespace
}  // namespace dormouse::login::test
