#pragma once
// Mails whose every byte is known: a mail is made from its identity alone, and says its identity in
// its header, so whatever text of it a server hands out later can be compared with the original.
//
//   X-Dormouse-Load: <seed> <serial> <body bytes>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse::loadtest::stress {

struct MailIdentity {
  uint64_t seed = 0;    // of the run
  uint64_t serial = 0;  // of the mail in it
  uint32_t body_bytes = 0;
  bool operator==(const MailIdentity&) const = default;
};

// A mail that claims to be larger is not ours.
inline constexpr uint32_t kMailBodyBytesMax = 8 * 1024 * 1024;

std::string mail_header(const MailIdentity& identity);  // with the empty line behind it
std::string mail_body(const MailIdentity& identity);
std::string mail_text(const MailIdentity& identity);
std::string mail_subject(const MailIdentity& identity);

// What the header in `text` says; nothing: it is not one of our mails.
std::optional<MailIdentity> identify_mail(std::string_view text);

}  // namespace dormouse::loadtest::stress
