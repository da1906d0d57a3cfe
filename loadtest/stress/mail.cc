#include "loadtest/stress/mail.h"

#include <fmt/format.h>

#include <array>

#include "loadtest/stress/random.h"
#include "loadtest/stress/value.h"

namespace dormouse::loadtest::stress {
namespace {

constexpr std::string_view kField = "\r\nX-Dormouse-Load: ";
// Lines as mail programs write them (RFC 5322 2.1.1 recommends 78 at most).
constexpr size_t kLineBytes = 76;

}  // namespace

std::string mail_subject(const MailIdentity& identity) {
  return fmt::format("load {} of run {}", identity.serial, identity.seed);
}

std::string mail_header(const MailIdentity& identity) {
  return fmt::format(
      "From: Load Tester <load@dormouse.invalid>\r\nTo: <stress{}@dormouse.invalid>\r\n"
      "Subject: {}\r\nDate: Thu, 1 Jan 2026 00:{:02}:{:02} +0000\r\n"
      "Message-ID: <{}.{}@dormouse.invalid>\r\nMIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=us-ascii{}{} {} {}\r\n\r\n",
      identity.serial % 97, mail_subject(identity), identity.serial / 60 % 60, identity.serial % 60,
      identity.seed, identity.serial, kField, identity.seed, identity.serial, identity.body_bytes);
}

std::string mail_body(const MailIdentity& identity) {
  Random random(identity.seed ^ identity.serial * 0x2545f4914f6cdd1d);
  std::string body;
  body.reserve(identity.body_bytes);
  size_t column = 0;
  while (body.size() + 2 < identity.body_bytes) {
    // Only where a letter and the last end of line still fit behind it.
    if (column == kLineBytes && body.size() + 4 < identity.body_bytes) {
      body += "\r\n";
      column = 0;
      continue;
    }
    body += char('a' + random.below(26));
    ++column;
  }
  // A body of one byte has no room for an end of line.
  body += identity.body_bytes >= 2 ? "\r\n" : identity.body_bytes == 1 ? "x" : "";
  return body;
}

std::string mail_text(const MailIdentity& identity) {
  return mail_header(identity) + mail_body(identity);
}

std::optional<MailIdentity> identify_mail(std::string_view text) {
  text = text.substr(0, text.find("\r\n\r\n"));
  size_t at = text.find(kField);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + kField.size());
  text = text.substr(0, text.find("\r\n"));
  std::array<uint64_t, 3> numbers{};
  for (uint64_t& number : numbers) {
    size_t space = text.find(' ');
    auto read = to_number(text.substr(0, space));
    if (!read) return std::nullopt;
    number = *read;
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
  if (numbers[2] > kMailBodyBytesMax) return std::nullopt;
  return MailIdentity{.seed = numbers[0], .serial = numbers[1], .body_bytes = uint32_t(numbers[2])};
}

}  // namespace dormouse::loadtest::stress
