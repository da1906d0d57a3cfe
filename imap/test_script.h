#pragma once
// For tests: runs a script, a coroutine over a Household, to the end of all its sessions.

#include "imap/test_den.h"

namespace dormouse::imap {

using Script = io::Task<void> (*)(Household*, io::Scope*);

inline io::Task<int> run_script(Household* home, Script script) {
  io::Scope scope(home->loop(), co_await io::current_scope());
  co_await script(home, &scope);
  home->over();
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

inline void play(Script script) {
  Household home;
  EXPECT_EQ(home.run(run_script(&home, script)), 0);
}

}  // namespace dormouse::imap
