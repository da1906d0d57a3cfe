#include "auth/user_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "auth/limits.h"
#include "io/fd.h"
#include "io/secret.h"

namespace dormouse::auth {

std::string canonical_user(std::string_view user) {
  std::string name(user);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  }
  return name;
}

Result<DirectoryDefaults> DirectoryDefaults::from(const wire::Settings::Auth& settings) {
  DirectoryDefaults defaults;
  defaults.uid = settings.default_uid();
  defaults.gid = settings.default_gid();
  defaults.home = settings.default_home();
  if (!settings.default_scheme().empty()) {
    auto scheme = find_scheme(settings.default_scheme());
    if (!scheme) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("auth: unknown password scheme {}", settings.default_scheme()));
    }
    defaults.scheme = *scheme;
  }
  if (!defaults.home.empty()) {
    if (auto home = expand_path(defaults.home, "user@domain", ""); !home) {
      return fail(ErrorKind::kInvalid, fmt::format("auth: default home: {}", home.error()));
    }
  }
  return defaults;
}

Result<std::string> read_passwd_file(int fd, std::string_view name) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  std::string text;
  while (true) {
    if (text.size() > kPasswdFileBytesMax) {
      io::wipe(text);
      return fail(ErrorKind::kLimit,
                  fmt::format("{}: more than {} bytes", name, kPasswdFileBytesMax));
    }
    const size_t had = text.size();
    if (text.capacity() < had + kPieceBytes) {
      // By hand, since growing in place would leave secrets in freed memory.
      std::string larger;
      larger.reserve(std::max(2 * had, had + kPieceBytes));
      larger = text;
      io::wipe(text);
      text.swap(larger);
    }
    text.resize(had + kPieceBytes);
    ssize_t got = 0;
    do {
      got = ::pread(fd, text.data() + had, kPieceBytes, off_t(had));
    } while (got < 0 && errno == EINTR);
    const int error = errno;
    text.resize(had + size_t(std::max<ssize_t>(got, 0)));
    if (got < 0) {
      io::wipe(text);
      return fail_errno(error, fmt::format("read {}", name));
    }
    if (got == 0) return text;
  }
}

Result<std::shared_ptr<const UserDirectory>> UserDirectory::parse(
    std::string text, const DirectoryDefaults& defaults) {
  PasswdFile::Options options{.default_scheme = defaults.scheme};
  if (getrandom(&options.seed, sizeof options.seed, 0) != ssize_t(sizeof options.seed)) {
    return fail_errno(errno, "getrandom");
  }
  auto file = PasswdFile::parse(std::move(text), options);
  if (!file) return std::unexpected(file.error());
  return std::shared_ptr<const UserDirectory>(new UserDirectory(*std::move(file), defaults));
}

Result<std::shared_ptr<const UserDirectory>> UserDirectory::load(
    const std::string& path, const wire::Settings::Auth& settings) {
  auto defaults = DirectoryDefaults::from(settings);
  if (!defaults) return std::unexpected(defaults.error());
  io::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("open {}", path));
  auto text = read_passwd_file(fd.get(), path);
  if (!text) return std::unexpected(text.error());
  return parse(*std::move(text), *defaults);
}

Result<UserDirectory::User> UserDirectory::find(std::string_view user) const {
  auto entry = file_->find(user);
  if (!entry) return fail(ErrorKind::kNotFound, "no such user");
  const std::string name = canonical_user(entry->user);
  auto home = expand_path(entry->home.empty() ? defaults_.home : entry->home, name, "");
  if (!home) return fail(ErrorKind::kInvalid, fmt::format("home of {}: {}", name, home.error()));
  User found{.entry = *entry, .identity = {}, .limits = {}};
  found.identity.set_user(name);
  found.identity.set_uid(entry->uid.value_or(defaults_.uid));
  found.identity.set_gid(entry->gid.value_or(defaults_.gid));
  if (!entry->mail.empty()) {
    auto mail = expand_path(entry->mail, name, *home);
    if (!mail) return fail(ErrorKind::kInvalid, fmt::format("mail of {}: {}", name, mail.error()));
    found.identity.set_mail_path(*std::move(mail));
  }
  found.identity.set_home(*std::move(home));
  found.limits.set_sessions_per_user(entry->sessions_max);
  return found;
}

}  // namespace dormouse::auth
