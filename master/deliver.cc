#include "master/deliver.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "auth/user_directory.h"
#include "hibernate/watch/notice_sockets.h"
#include "master/notify.h"
#include "master/settings.h"
#include "store/store.h"

namespace dormouse::master {
namespace {

int refuse(int status, std::string_view reason) {
  fmt::print(stderr, "dormouse deliver: {}\n", reason);
  return status;
}

// The home of a user who never had mail; its parent is the administrator's business.
Result<> make_home(const wire::Identity& who) {
  const std::string& home = who.home();
  if (home.empty() || access(home.c_str(), F_OK) == 0) return {};
  if (mkdir(home.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, home);
  if (geteuid() == 0 && lchown(home.c_str(), who.uid(), who.gid()) != 0) {
    return fail_errno(errno, home);
  }
  return {};
}

Result<> become(const wire::Identity& who) {
  if (geteuid() != 0) return make_home(who);
  if (who.uid() == 0 || who.gid() == 0) {
    return fail(ErrorKind::kDenied, "mail is not delivered as uid or gid 0");
  }
  if (auto made = make_home(who); !made) return made;
  gid_t group = who.gid();
  if (setgroups(1, &group) != 0 || setresgid(group, group, group) != 0 ||
      setresuid(who.uid(), who.uid(), who.uid()) != 0) {
    return fail_errno(errno, fmt::format("becoming uid {}", who.uid()));
  }
  return {};
}

}  // namespace

int deliver(const std::string& settings_file, const std::string& user, const std::string& mailbox) {
  auto settings = read_settings(settings_file);
  if (!settings) return refuse(EX_TEMPFAIL, settings.error().message);
  fill_default_user(*settings, geteuid() == 0);
  auto directory =
      auth::UserDirectory::load(settings->wire.auth().passwd_file(), settings->wire.auth());
  if (!directory) return refuse(EX_TEMPFAIL, directory.error().message);
  auto found = (*directory)->find(user);
  if (!found) {
    bool unknown = found.error().kind == ErrorKind::kNotFound;
    return refuse(unknown ? EX_NOUSER : EX_TEMPFAIL,
                  fmt::format("{}: {}", user, found.error().message));
  }
  const wire::Identity& who = found->identity;
  io::Fd notices = open_notices(*settings);  // while we are still who may
  if (auto done = become(who); !done) return refuse(EX_TEMPFAIL, done.error().message);
  ::umask(077);
  std::string path = who.mail_path().empty() ? who.home() + "/Maildir" : who.mail_path();
  auto delivered = store::deliver(path, mailbox, STDIN_FILENO);
  if (!delivered) {
    return refuse(store::is_temporary(delivered.error()) ? EX_TEMPFAIL : EX_DATAERR,
                  delivered.error().message);
  }
  if (notices) {
    // For sleepers that the file system does not tell; those that it tells are not told twice. When
    // it does not get through they hear of it at the next look.
    [[maybe_unused]] auto told = hibernate::send_notice(notices,
                                                        {.kind = hibernate::Notice::Kind::kArrival,
                                                         .local = true,
                                                         .user = user,
                                                         .mailbox = mailbox},
                                                        "");
  }
  return EX_OK;
}

}  // namespace dormouse::master
