#pragma once
// One line of a passwd-file in Dovecot's format. Grammar:
//
//   line   = user ":" secret [ ":" uid [ ":" gid [ ":" gecos [ ":" home [ ":" shell
//            [ ":" extra ]]]]]]
//   user   = UTF-8 of 1 to 255 bytes, none of them ":" or a control; case does not count (ASCII)
//   secret = [ "{" scheme "}" ] data       ; empty: no password fits
//   uid, gid = decimal numbers from 1, or empty: the default
//   home   = absolute path, or empty: the default
//   extra  = field *( 1*SP field )         ; may hold ":"
//   field  = name [ "=" value ]
//
// Lines that are empty or begin with "#" or ":" are comments. gecos and shell are not looked at.
//
// Fields we know:
//   userdb_uid, userdb_gid, userdb_home   override the columns
//   userdb_mail=maildir:PATH[:INBOX=...]  PATH absolute or below "~/"
//   userdb_sessions=N                     at most N sessions at once
//   nologin[=y]                           the password never fits; mail is still delivered
//   allow_nets=NET[,NET...]               logins from these addresses only: 192.0.2.0/24, ::1
// Fields that would widen access or change who the user is (nopassword, user, userdb_user,
// master...) make the line wrong; others, such as proxy or quotas, are ignored and named in
// `ignored`.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse::auth {

// Views into the line.
struct PasswdEntry {
  std::string_view user;    // as written
  std::string_view secret;  // with its {SCHEME}
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::string_view home;        // a template (expand.h); empty: the default
  std::string_view mail;        // a template of the Maildir; empty: the default
  std::string_view allow_nets;  // empty: from anywhere
  std::string_view ignored;     // the first field that was not understood
  uint32_t sessions_max = 0;    // 0: no bound of its own
  bool nologin = false;
};

enum class LineKind { kEntry, kComment };

struct ParsedLine {
  LineKind kind = LineKind::kComment;
  PasswdEntry entry;
};

// `line` is without its line end. The error says what is wrong, and holds nothing of the secret.
std::expected<ParsedLine, std::string> parse_passwd_line(std::string_view line);

// Whether `address` ("192.0.2.1", "2001:db8::1") is in one of the nets. False for what is no
// address. An IPv4 address mapped into IPv6 counts as IPv4.
bool address_in_nets(std::string_view address, std::string_view nets);

// Replaces %u (the user), %n and %d (what stands before and behind its "@"), %h (`home`) and %%.
// The error says what is wrong: an unknown variable, a user that would leave the directory, a path
// that is too long or not absolute. "~/" at the start is `home`.
std::expected<std::string, std::string> expand_path(std::string_view path, std::string_view user,
                                                    std::string_view home);

}  // namespace dormouse::auth
