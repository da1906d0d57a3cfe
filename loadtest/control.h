#pragma once
// Control: commands as lines from standard input, a pipe or a FIFO, one at a time. An end of file
// is a "quit"; a FIFO has none, since we hold it open ourselves.

#include <string>

#include "io/fd.h"
#include "io/loop.h"
#include "loadtest/command.h"

namespace dormouse::loadtest {

class Control {
 public:
  // "-": standard input; else the path of a FIFO that exists.
  static Result<Control> open(const std::string& path);
  explicit Control(io::Fd fd) : fd_(std::move(fd)) {}

  // The next line, without its end. kClosed at the end; kLimit when it is too long.
  io::Task<Result<std::string>> next_line(io::Loop& loop);

 private:
  io::Fd fd_;
  std::string buffer_;  // at most Command::kLineBytesMax and one read
};

}  // namespace dormouse::loadtest
