#include "auth/passwd_entry.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "auth/limits.h"
#include "auth/password_scheme.h"
#include "auth/sasl.h"

namespace dormouse::auth {
namespace {

std::unexpected<std::string> wrong(std::string text) { return std::unexpected(std::move(text)); }

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Takes the text up to the next separator off the front of `rest`.
std::string_view take(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  std::string_view field = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return field;
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// uid and gid: -1 means "unchanged" to the kernel, and no mail belongs to root.
std::expected<void, std::string> read_id(std::string_view name, std::string_view text,
                                         std::optional<uint32_t>& id) {
  if (text.empty()) return {};
  id = number(text);
  if (!id || *id == 0 || *id == UINT32_MAX) {
    return wrong(fmt::format("{} is no number from 1 to 4294967294", name));
  }
  return {};
}

std::expected<void, std::string> read_mail(std::string_view value, PasswdEntry& entry) {
  constexpr std::string_view kMaildir = "maildir:";
  if (!value.starts_with(kMaildir)) return wrong("userdb_mail is not maildir:PATH");
  value.remove_prefix(kMaildir.size());
  entry.mail = take(value, ':');
  if (entry.mail.empty()) return wrong("userdb_mail has no path");
  while (!value.empty()) {
    std::string_view option = take(value, ':');
    // Another layout or inbox would hide mail; where an index lies does not matter to us.
    if (option.starts_with("INDEX=") || option.starts_with("CONTROL=")) {
      entry.ignored = option.substr(0, option.find('='));
    } else if (option != "LAYOUT=maildir++") {
      return wrong("userdb_mail has an option that is not supported");
    }
  }
  return {};
}

bool is_net(std::string_view net);

std::expected<void, std::string> read_nets(std::string_view value, PasswdEntry& entry) {
  entry.allow_nets = value;
  size_t count = 0;
  do {
    if (!is_net(take(value, ','))) return wrong("allow_nets holds something that is no net");
    if (++count > kAllowNetsMax) return wrong("allow_nets holds too many nets");
  } while (!value.empty());
  return {};
}

std::expected<void, std::string> read_field(std::string_view field, PasswdEntry& entry) {
  std::string_view value = field;
  const bool has_value = field.find('=') != std::string_view::npos;
  const std::string_view name = take(value, '=');
  // What widens access or renames the user must not be passed over in silence.
  constexpr std::array<std::string_view, 6> kRefused = {"nopassword", "user",       "userdb_user",
                                                        "password",   "login_user", "master"};
  if (std::find(kRefused.begin(), kRefused.end(), name) != kRefused.end()) {
    return wrong(fmt::format("the field {} is not supported", name));
  }
  if (name == "userdb_uid") return read_id(name, value, entry.uid);
  if (name == "userdb_gid") return read_id(name, value, entry.gid);
  if (name == "userdb_mail") return read_mail(value, entry);
  if (name == "allow_nets") return read_nets(value, entry);
  if (name == "userdb_home") {
    entry.home = value;
  } else if (name == "userdb_sessions") {
    auto sessions = number(value);
    if (!sessions) return wrong("userdb_sessions is no number");
    entry.sessions_max = *sessions;
  } else if (name == "nologin") {
    // As in Dovecot, the mere name says it; only an explicit "no" takes it back.
    entry.nologin = !has_value || (value != "n" && value != "no");
  } else if (entry.ignored.empty()) {
    entry.ignored = name;
  }
  return {};
}

std::expected<void, std::string> read_extra(std::string_view extra, PasswdEntry& entry) {
  while (!extra.empty()) {
    std::string_view field = take(extra, ' ');
    if (field.empty()) continue;
    if (auto read = read_field(field, entry); !read) return read;
  }
  return {};
}

std::expected<void, std::string> check_paths(const PasswdEntry& entry) {
  // Expanded with a home, so that a mistake shows when the file is read and not at a login.
  auto home = expand_path(entry.home.empty() ? "/" : entry.home, entry.user, "");
  if (!home) return wrong("home: " + home.error());
  if (entry.mail.empty()) return {};
  auto mail = expand_path(entry.mail, entry.user, *home);
  if (!mail) return wrong("userdb_mail: " + mail.error());
  return {};
}

struct Net {
  int family = AF_UNSPEC;
  std::array<unsigned char, 16> bytes{};
  unsigned bits = 0;
};

std::optional<Net> read_address(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof buffer) return std::nullopt;
  *std::copy(text.begin(), text.end(), buffer) = '\0';
  Net net;
  if (inet_pton(AF_INET, buffer, net.bytes.data()) == 1) {
    net.family = AF_INET;
    net.bits = 32;
    return net;
  }
  if (inet_pton(AF_INET6, buffer, net.bytes.data()) != 1) return std::nullopt;
  constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  net.family = AF_INET6;
  net.bits = 128;
  if (std::equal(kMapped.begin(), kMapped.end(), net.bytes.begin())) {
    std::copy(net.bytes.begin() + 12, net.bytes.end(), net.bytes.begin());
    net.family = AF_INET;
    net.bits = 32;
  }
  return net;
}

std::optional<Net> read_net(std::string_view text) {
  const bool has_bits = text.find('/') != std::string_view::npos;
  std::string_view bits = text;
  auto net = read_address(take(bits, '/'));
  if (!net || !has_bits) return net;
  auto count = number(bits);
  if (!count || *count > net->bits) return std::nullopt;
  net->bits = *count;
  return net;
}

bool is_net(std::string_view net) { return read_net(net).has_value(); }

bool contains(const Net& net, const Net& address) {
  if (net.family != address.family) return false;
  const unsigned whole = net.bits / 8;
  if (!std::equal(net.bytes.begin(), net.bytes.begin() + whole, address.bytes.begin())) {
    return false;
  }
  const unsigned rest = net.bits % 8;
  return rest == 0 || ((net.bytes[whole] ^ address.bytes[whole]) >> (8 - rest)) == 0;
}

}  // namespace

std::expected<ParsedLine, std::string> parse_passwd_line(std::string_view line) {
  ParsedLine parsed;
  if (line.empty() || line.front() == '#' || line.front() == ':') return parsed;
  if (line.size() > kPasswdLineBytesMax) {
    return wrong(fmt::format("longer than {} bytes", kPasswdLineBytesMax));
  }
  if (has_control(line)) return wrong("holds a control character");
  PasswdEntry& entry = parsed.entry;
  parsed.kind = LineKind::kEntry;
  std::string_view rest = line;
  entry.user = take(rest, ':');
  if (entry.user.size() == line.size()) return wrong("has no \":\"");
  if (!is_user_name(entry.user)) {
    return wrong(fmt::format("the user name is no UTF-8 of at most {} bytes", kUserBytesMax));
  }
  entry.secret = take(rest, ':');
  if (!entry.secret.empty() && !scheme_is_known(entry.secret)) {
    return wrong("unknown password scheme");
  }
  if (auto read = read_id("uid", take(rest, ':'), entry.uid); !read) return wrong(read.error());
  if (auto read = read_id("gid", take(rest, ':'), entry.gid); !read) return wrong(read.error());
  take(rest, ':');  // gecos
  entry.home = take(rest, ':');
  take(rest, ':');  // shell
  if (auto read = read_extra(rest, entry); !read) return wrong(read.error());
  if (auto fit = check_paths(entry); !fit) return wrong(fit.error());
  return parsed;
}

bool address_in_nets(std::string_view address, std::string_view nets) {
  auto who = read_address(address);
  if (!who) return false;
  while (!nets.empty()) {
    auto net = read_net(take(nets, ','));
    if (net && contains(*net, *who)) return true;
  }
  return false;
}

std::expected<std::string, std::string> expand_path(std::string_view path, std::string_view user,
                                                    std::string_view home) {
  std::string_view domain = user;
  const std::string_view local = take(domain, '@');
  std::string out;
  if (path == "~" || path.starts_with("~/")) {
    out = home;
    path.remove_prefix(1);
  }
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const char variable = ++i < path.size() ? path[i] : '\0';
    std::string_view value = variable == 'u'   ? user
                             : variable == 'n' ? local
                             : variable == 'd' ? domain
                             : variable == 'h' ? home
                             : variable == '%' ? std::string_view("%")
                                               : std::string_view();
    if (value.empty()) return wrong("a variable behind % that is unknown or empty");
    // "a/b" or ".." as a name would lead out of the directory that the template means.
    const bool leads_out =
        value.find('/') != std::string_view::npos || value == "." || value == "..";
    if (variable != 'h' && leads_out) {
      return wrong("the user's name cannot stand in a path");
    }
    out += value;
  }
  if (out.empty() || out.front() != '/') return wrong("the path is not absolute");
  if (out.size() > kPathBytesMax) {
    return wrong(fmt::format("the path is longer than {} bytes", kPathBytesMax));
  }
  if (out.ends_with("/..") || out.find("/../") != std::string::npos)
    return wrong("the path has ..");
  return out;
}

}  // namespace dormouse::auth
