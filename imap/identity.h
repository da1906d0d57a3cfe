#pragma once
// Identity: whose files a session touches. In a worker of one uid it does nothing. In one that
// serves several (Start.switch_identity) it is the hook of the session's io::Scope: the thread has
// the user's effective uid and gid while the session's coroutine runs, and ring operations bear a
// personality with the same credentials. The event loop itself knows nothing of it.
//
// Who is running is never in doubt: a switch that fails ends the process, because going on would
// mean to act as somebody else.

#include <cstdint>

#include "io/loop.h"

namespace dormouse::imap {

class Identity final : public io::ResumeHook {
 public:
  // `switching` false: enter() and leave() do nothing.
  Identity(io::Loop& loop, bool switching, uint32_t uid, uint32_t gid);
  ~Identity() override;
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  // Registers the personality: once, before the hook is used. kDenied for root, which no mail user
  // is.
  Result<> prepare();
  void enter() override;
  void leave() override;

 private:
  io::Loop& loop_;
  bool switching_;
  uint32_t uid_;
  uint32_t gid_;
};

}  // namespace dormouse::imap
