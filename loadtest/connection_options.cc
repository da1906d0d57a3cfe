#include "loadtest/connection_options.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "loadtest/dialog.h"

namespace dormouse::loadtest {
namespace {

// How many sessions share a source address where --sources does not say: below what servers allow
// of one address (100 in Dormouse's login and Dovecot's mail_max_userip_connections).
constexpr uint32_t kSessionsPerSource = 50;

}  // namespace

void raise_open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<Target> target_of(const ConnectionOptions& options) {
  auto target = Target::parse(options.target);
  if (!target) return std::unexpected(target.error());
  if (!target->is_loopback() && !options.allow_remote) {
    return fail(ErrorKind::kDenied,
                fmt::format("{} is not loopback: load on another machine needs --allow-remote",
                            options.target));
  }
  return target;
}

Result<std::optional<tls::ClientSettings>> tls_of(const ConnectionOptions& options) {
  if (!options.tls) return std::optional<tls::ClientSettings>();
  tls::ClientSettings settings;
  settings.ca_path = options.tls_ca;
  if (options.tls_version == "1.2") {
    settings.version_max = tls::Version::kTls12;
  } else if (options.tls_version == "1.3") {
    settings.version_min = tls::Version::kTls13;
  } else if (!options.tls_version.empty()) {
    return fail(ErrorKind::kInvalid, "--tls-version is 1.2 or 1.3");
  }
  return std::optional(settings);
}

Result<Names> names_of(const ConnectionOptions& options) {
  if (options.users == 0 || options.users > kSessionsMax) {
    return fail(ErrorKind::kInvalid, fmt::format("--users: 1 to {}", kSessionsMax));
  }
  auto user = UserPattern::parse(options.user);
  if (!user) return std::unexpected(user.error());
  auto password = UserPattern::parse(options.password);
  if (!password) return std::unexpected(password.error());
  // Numbers only change digits, so one name stands for all.
  for (const std::string& text :
       {user->name(options.first_user), password->name(options.first_user), options.mailbox}) {
    if (auto made = quoted(text); !made) {
      return fail(ErrorKind::kInvalid, "user, password or mailbox: " + made.error().message);
    }
  }
  if (options.users > 1 && !user->numbered()) {
    return fail(ErrorKind::kInvalid, "--users above 1 needs a %d in --user");
  }
  return Names{.user = std::move(*user), .password = std::move(*password)};
}

uint32_t sources_of(const ConnectionOptions& options, uint32_t sessions) {
  uint32_t sources = options.sources > 0 ? options.sources : sessions / kSessionsPerSource + 1;
  return std::min(sources, kSourcesMax);
}

}  // namespace dormouse::loadtest
