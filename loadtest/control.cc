#include "loadtest/control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace dormouse::loadtest {

Result<Control> Control::open(const std::string& path) {
  // Read and write: so that a FIFO is never at its end, whoever comes and goes.
  io::Fd fd(path == "-" ? dup(STDIN_FILENO) : ::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("opening {} for commands", path));
  return Control(std::move(fd));
}

io::Task<Result<std::string>> Control::next_line(io::Loop& loop) {
  std::array<std::byte, 512> piece{};
  for (;;) {
    size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      co_return line;
    }
    if (buffer_.size() > Command::kLineBytesMax) {
      co_return fail(ErrorKind::kLimit, "a command line is too long");
    }
    // Polled first: a blocking read of a pipe would hold one of the kernel's worker threads.
    auto ready = co_await loop.poll(fd_.get(), POLLIN);
    if (!ready) co_return std::unexpected(ready.error());
    auto got = co_await loop.read(fd_.get(), piece, uint64_t(-1));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(ErrorKind::kClosed, "end of the commands");
    buffer_.append(reinterpret_cast<const char*>(piece.data()), *got);
  }
}

}  // namespace dormouse::loadtest
