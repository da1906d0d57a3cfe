#pragma once
// For tests: runs a script, a coroutine over a Household, to the end of all its sessions.

#include <type_traits>

#include "imap/test_den.h"

namespace dormouse::imap {

template <class... Args>
using Script = io::Task<void> (*)(Household*, io::Scope*, Args...);

template <class... Args>
io::Task<int> run_script(Household* home, Script<Args...> script, Args... args) {
  io::Scope scope(home->loop(), co_await io::current_scope());
  co_await script(home, &scope, args...);
  home->over();
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

template <class... Args>
void play(io::Task<void> (*script)(Household*, io::Scope*, Args...),
          std::type_identity_t<Args>... args) {
  Household home;
  EXPECT_EQ(home.run(run_script<Args...>(&home, script, args...)), 0);
}

}  // namespace dormouse::imap
