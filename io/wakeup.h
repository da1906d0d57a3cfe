#pragma once
// Wakeup: lets another thread wake a coroutine of a Loop (an eventfd). The only io/ object that
// may be used from two threads: notify() from any, wait() on the loop's.

#include <cstdint>

#include "io/fd.h"
#include "io/loop.h"

namespace dormouse::io {

class Wakeup {
 public:
  static Result<Wakeup> create();
  void notify();
  // Answers when notify() was called since the last answer.
  Task<Result<void>> wait(Loop& loop);

 private:
  Fd fd_;
};

}  // namespace dormouse::io
