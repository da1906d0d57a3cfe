#include "auth/password_scheme.h"

#include <argon2.h>
#include <gtest/gtest.h>

#include "auth/scram_secret.h"
#include "imap/syntax/base64.h"

namespace dormouse::auth {
namespace {

PasswordCheck check(std::string_view stored, std::string_view password) {
  auto split = split_stored(stored, Scheme::kCrypt);
  EXPECT_TRUE(split);
  return split ? check_password(*split, password) : PasswordCheck::kUnusable;
}

void expect_only(std::string_view stored, std::string_view password) {
  EXPECT_EQ(check(stored, password), PasswordCheck::kMatch) << stored;
  EXPECT_EQ(check(stored, std::string(password) + "x"), PasswordCheck::kMismatch) << stored;
  EXPECT_EQ(check(stored, ""), PasswordCheck::kMismatch) << stored;
}

TEST(PasswordScheme, plain) {
  expect_only("{PLAIN}secret", "secret");
  expect_only("{cleartext}sec:ret", "sec:ret");
}

TEST(PasswordScheme, sha512_crypt_of_the_specification) {
  // Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", test vectors.
  const std::string hash =
      "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJu"
      "esI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
  expect_only("{SHA512-CRYPT}" + hash, "Hello world!");
  expect_only("{CRYPT}" + hash, "Hello world!");
  expect_only(hash, "Hello world!");
  EXPECT_EQ(check("{BLF-CRYPT}" + hash, "Hello world!"), PasswordCheck::kUnusable);
}

TEST(PasswordScheme, bcrypt_of_the_openwall_test_suite) {
  expect_only("{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U");
}

TEST(PasswordScheme, yescrypt) {
  const std::string hash = "$y$j8T$saltsalt$MXbdvaeI0rWvmFzsdotkaHLVWCX/uAFos1nl7I2PdQ9";
  expect_only("{YESCRYPT}" + hash, "secret");
  expect_only("{CRYPT}" + hash, "secret");
}

TEST(PasswordScheme, argon2_of_either_kind) {
  for (auto [type, name] : {std::pair(Argon2_id, "{ARGON2ID}"), std::pair(Argon2_i, "{ARGON2I}")}) {
    char encoded[128];
    ASSERT_EQ(argon2_hash(2, 64, 1, "secret", 6, "saltsalt", 8, nullptr, 32, encoded,
                          sizeof encoded, type, ARGON2_VERSION_13),
              ARGON2_OK);
    expect_only(std::string(name) + encoded, "secret");
  }
  EXPECT_EQ(check("{ARGON2ID}$argon2i$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$AAAA", "x"),
            PasswordCheck::kUnusable);
}

TEST(PasswordScheme, scram_of_rfc_7677) {
  // The example's user "user", password "pencil": the keys follow from salt and count.
  const std::string salt = *imap::base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  auto secret = ScramSecret::derive("pencil", salt, 4096);
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->format(),
            "4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  expect_only("{SCRAM-SHA-256}" + secret->format(), "pencil");
}

TEST(PasswordScheme, scram_data_that_is_broken_is_unusable) {
  EXPECT_FALSE(ScramSecret::parse(""));
  EXPECT_FALSE(ScramSecret::parse("4096,AAAA"));
  EXPECT_FALSE(ScramSecret::parse("1,AAAA,AAAA,AAAA"));
  EXPECT_FALSE(ScramSecret::parse("4096,AAAA,AAAA,AAAA"));
  EXPECT_FALSE(ScramSecret::parse("99999999999,AAAA,AAAA,AAAA"));
  EXPECT_EQ(check("{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA", "x"), PasswordCheck::kUnusable);
}

TEST(PasswordScheme, saslprep_makes_different_spellings_one) {
  // U+00AA is "a" after NFKC; U+00AD is mapped to nothing (RFC 4013 3).
  auto prepared = ScramSecret::derive("\xc2\xaa", "salt", 4096);
  ASSERT_TRUE(prepared);
  EXPECT_TRUE(prepared->matches("a"));
  EXPECT_FALSE(ScramSecret::derive("\x07", "salt", 4096)) << "a control is forbidden";
  EXPECT_FALSE(ScramSecret::derive("\xff", "salt", 4096)) << "no UTF-8";
}

TEST(PasswordScheme, nothing_fits_an_empty_secret) {
  EXPECT_EQ(check("", ""), PasswordCheck::kMismatch);
  EXPECT_EQ(check("{PLAIN}", ""), PasswordCheck::kMismatch);
  EXPECT_EQ(check("*", "*"), PasswordCheck::kUnusable);
}

TEST(PasswordScheme, unknown_names_are_refused) {
  EXPECT_FALSE(split_stored("{ROT13}x", Scheme::kCrypt));
  EXPECT_FALSE(split_stored("{PLAIN", Scheme::kCrypt));
  EXPECT_FALSE(find_scheme(""));
}

TEST(PasswordScheme, a_password_with_nul_or_too_long_fits_nothing) {
  EXPECT_EQ(check("{PLAIN}secret", std::string_view("secret\0x", 8)), PasswordCheck::kMismatch);
  EXPECT_EQ(check("$6$saltstring$x", std::string(600, 'a')), PasswordCheck::kMismatch);
}

}  // namespace
}  // namespace dormouse::auth
