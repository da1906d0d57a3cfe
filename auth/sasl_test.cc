#include "auth/sasl.h"

#include <gtest/gtest.h>

#include "auth/limits.h"
#include "auth/scram_server.h"

namespace dormouse::auth {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

TEST(Plain, user_and_password_are_taken_apart) {
  auto login = parse_plain("\0anna\0sec ret"sv);
  ASSERT_TRUE(login);
  EXPECT_EQ(login->user, "anna");
  EXPECT_EQ(login->password.view(), "sec ret");
  EXPECT_TRUE(parse_plain("anna\0anna\0x"sv));
}

TEST(Plain, what_is_no_plain_message_is_refused) {
  EXPECT_FALSE(parse_plain(""));
  EXPECT_FALSE(parse_plain("\0anna"sv));
  EXPECT_FALSE(parse_plain("\0\0x"sv));
  EXPECT_FALSE(parse_plain("\0anna\0x\0y"sv));
  EXPECT_FALSE(parse_plain("root\0anna\0x"sv)) << "nobody acts for another";
  EXPECT_FALSE(parse_plain("\0an\nna\0x"sv));
  EXPECT_FALSE(parse_plain("\0anna\0"s + std::string(kPasswordBytesMax + 1, 'x')));
  EXPECT_FALSE(parse_plain("\0"s + std::string(kUserBytesMax + 1, 'a') + "\0x"s));
}

TEST(Login, asks_for_the_user_then_for_the_password) {
  PasswordExchange exchange(Mechanism::kLogin);
  auto first = exchange.begin(std::nullopt);
  EXPECT_EQ(first.kind, PasswordExchange::Kind::kChallenge);
  EXPECT_EQ(first.text, "Username:");
  EXPECT_EQ(exchange.respond("anna").text, "Password:");
  auto last = exchange.respond("secret");
  ASSERT_EQ(last.kind, PasswordExchange::Kind::kCheck);
  EXPECT_EQ(last.login.user, "anna");
  EXPECT_EQ(last.login.password.view(), "secret");
}

TEST(Login, an_initial_response_is_the_user) {
  PasswordExchange exchange(Mechanism::kLogin);
  EXPECT_EQ(exchange.begin("anna").text, "Password:");
}

class Scram : public testing::Test {
 protected:
  void SetUp() override {
    auto library = ScramLibrary::create();
    ASSERT_TRUE(library);
    library_ = *std::move(library);
    ASSERT_EQ(gsasl_init(&client_library_), GSASL_OK);
    auto key = DecoyKey::create("fixed");
    ASSERT_TRUE(key);
    key_ = *key;
  }
  void TearDown() override {
    if (client_library_ != nullptr) gsasl_done(client_library_);
  }
  void users(std::string text) {
    auto directory = UserDirectory::parse(std::move(text), {.home = "/h/%u"});
    ASSERT_TRUE(directory);
    directory_ = *directory;
  }

  struct Run {
    ScramServer::Outcome outcome = ScramServer::Outcome::kMalformed;
    bool client_content = false;  // the client has verified the server's signature
    std::string server_first;
  };
  // libgsasl's client against our server.
  Run run(const char* user, const char* password, const char* authzid = nullptr) {
    Run run;
    Gsasl_session* client = nullptr;
    EXPECT_EQ(gsasl_client_start(client_library_, "SCRAM-SHA-256", &client), GSASL_OK);
    gsasl_property_set(client, GSASL_AUTHID, user);
    gsasl_property_set(client, GSASL_PASSWORD, password);
    if (authzid != nullptr) gsasl_property_set(client, GSASL_AUTHZID, authzid);
    auto server = ScramServer::start(*library_, [this](std::string_view name) {
      return scram_secret_of(*directory_, *key_, name);
    });
    EXPECT_TRUE(server);
    std::string to_client;
    while (true) {
      char* bytes = nullptr;
      size_t length = 0;
      const int result = gsasl_step(client, to_client.data(), to_client.size(), &bytes, &length);
      const std::string to_server(bytes == nullptr ? "" : bytes, length);
      gsasl_free(bytes);
      if (result == GSASL_OK) run.client_content = true;
      if (result != GSASL_NEEDS_MORE || run.outcome == ScramServer::Outcome::kDone) break;
      run.outcome = (*server)->step(to_server, to_client);
      if (run.server_first.empty()) run.server_first = to_client;
      if (run.outcome != ScramServer::Outcome::kChallenge &&
          run.outcome != ScramServer::Outcome::kDone) {
        break;
      }
    }
    gsasl_finish(client);
    return run;
  }

  std::unique_ptr<ScramLibrary> library_;
  Gsasl* client_library_ = nullptr;
  std::optional<DecoyKey> key_;
  std::shared_ptr<const UserDirectory> directory_;
};

std::string salt_of(const std::string& server_first) {
  const size_t at = server_first.find(",s=");
  return server_first.substr(at);
}

TEST_F(Scram, a_plain_stored_password_works) {
  users("anna:{PLAIN}pencil\n");
  auto right = run("anna", "pencil");
  EXPECT_EQ(right.outcome, ScramServer::Outcome::kDone);
  EXPECT_TRUE(right.client_content);
  EXPECT_EQ(run("ANNA", "pencil").outcome, ScramServer::Outcome::kDone);
  EXPECT_EQ(run("anna", "pencils").outcome, ScramServer::Outcome::kMismatch);
}

TEST_F(Scram, a_scram_stored_password_works) {
  auto secret = ScramSecret::derive("pencil", "some salt", 5000);
  users("anna:{SCRAM-SHA-256}" + secret->format() + "\n");
  auto right = run("anna", "pencil");
  EXPECT_EQ(right.outcome, ScramServer::Outcome::kDone);
  EXPECT_TRUE(right.client_content);
  EXPECT_EQ(run("anna", "").outcome, ScramServer::Outcome::kMismatch);
}

TEST_F(Scram, an_unknown_user_goes_the_same_course_to_a_mismatch) {
  auto secret = ScramSecret::derive("pencil", "0123456789", 5000);
  users("anna:{SCRAM-SHA-256}" + secret->format() + "\nben:$6$x$y\n");
  for (const char* user : {"nobody", "ben"}) {
    auto first = run(user, "pencil");
    auto again = run(user, "other");
    EXPECT_EQ(first.outcome, ScramServer::Outcome::kMismatch);
    EXPECT_EQ(salt_of(first.server_first), salt_of(again.server_first)) << "stable";
    EXPECT_NE(first.server_first.find(",i=5000"), std::string::npos) << "as the others have";
    EXPECT_EQ(salt_of(first.server_first).size(), salt_of(run("anna", "x").server_first).size());
  }
  EXPECT_NE(salt_of(run("nobody", "x").server_first), salt_of(run("nobodi", "x").server_first));
}

TEST_F(Scram, nobody_acts_for_another) {
  users("anna:{PLAIN}pencil\n");
  EXPECT_EQ(run("anna", "pencil", "root").outcome, ScramServer::Outcome::kMalformed);
  EXPECT_EQ(run("anna", "pencil", "anna").outcome, ScramServer::Outcome::kDone);
}

TEST_F(Scram, garbage_is_malformed) {
  users("anna:{PLAIN}pencil\n");
  for (std::string_view garbage :
       {""sv, "n,,"sv, "p=tls-unique,,n=anna,r=x"sv, "n,,n=anna\0,r=x"sv, "\xff\xff"sv}) {
    auto server = ScramServer::start(*library_, [this](std::string_view name) {
      return scram_secret_of(*directory_, *key_, name);
    });
    std::string output;
    EXPECT_EQ((*server)->step(garbage, output), ScramServer::Outcome::kMalformed) << garbage;
  }
}

}  // namespace
}  // namespace dormouse::auth
