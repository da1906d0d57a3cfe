#include "loadtest/maildrop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "io/fd.h"

namespace dormouse::loadtest {
namespace {

std::string message(std::string_view recipient, uint64_t sequence, uint32_t message_bytes) {
  std::string text = fmt::format(
      "From: Load Tester <load@dormouse.invalid>\r\nTo: {}\r\nSubject: delivery {}\r\n"
      "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{}.{}@dormouse.invalid>\r\n"
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
      recipient, sequence, getpid(), sequence);
  constexpr std::string_view kLine = "Nothing but the noise of a letter falling into a box.\r\n";
  while (text.size() < message_bytes) text += kLine;
  return text;
}

Result<> write_file(const std::string& path, const std::string& folder, std::string_view text) {
  io::Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, fmt::format("creating {}", path));
  struct stat owner{};
  if (geteuid() == 0 && stat(folder.c_str(), &owner) == 0 &&
      fchown(fd.get(), owner.st_uid, owner.st_gid) != 0) {
    return fail_errno(errno, fmt::format("giving {} to its owner", path));
  }
  while (!text.empty()) {
    ssize_t written = write(fd.get(), text.data(), text.size());
    if (written < 0) return fail_errno(errno, fmt::format("writing {}", path));
    text.remove_prefix(size_t(written));
  }
  return {};
}

}  // namespace

Result<Maildrop> Maildrop::prepare(const std::string& maildir, std::string_view recipient,
                                   uint64_t sequence, uint32_t message_bytes) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::string name = fmt::format("{}.M{}P{}Q{}.dormouse-load", int64_t(now.tv_sec),
                                 now.tv_nsec / 1000, getpid(), sequence);
  Maildrop drop;
  drop.temporary_ = fmt::format("{}/tmp/{}", maildir, name);
  drop.final_ = fmt::format("{}/new/{}", maildir, name);
  auto done =
      write_file(drop.temporary_, maildir + "/new", message(recipient, sequence, message_bytes));
  if (!done) return std::unexpected(done.error());
  return drop;
}

Maildrop::Maildrop(Maildrop&& other) noexcept
    : temporary_(std::exchange(other.temporary_, {})), final_(std::move(other.final_)) {}

Maildrop::~Maildrop() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Result<> Maildrop::drop() {
  if (rename(temporary_.c_str(), final_.c_str()) != 0) {
    return fail_errno(errno, fmt::format("renaming into {}", final_));
  }
  temporary_.clear();
  return {};
}

}  // namespace dormouse::loadtest
