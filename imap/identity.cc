#include "imap/identity.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace dormouse::imap {
namespace {

// The raw calls change this thread only; glibc's would change all.
void set_effective_gid(uint32_t gid) {
  long done = syscall(SYS_setresgid, -1, gid, -1);
  DORMOUSE_CHECK(done == 0, "a worker that switches identity may set its gid");
}

void set_effective_uid(uint32_t uid) {
  long done = syscall(SYS_setresuid, -1, uid, -1);
  DORMOUSE_CHECK(done == 0, "a worker that switches identity may set its uid");
}

}  // namespace

Identity::Identity(io::Loop& loop, bool switching, uint32_t uid, uint32_t gid)
    : loop_(loop), switching_(switching), uid_(uid), gid_(gid) {}

Identity::~Identity() {
  if (personality != 0) loop_.unregister_personality(personality);
}

Result<> Identity::prepare() {
  if (!switching_ || personality != 0) return {};
  if (uid_ == 0 || gid_ == 0) return fail(ErrorKind::kDenied, "mail of uid or gid 0 is not served");
  enter();
  auto registered = loop_.register_personality();
  leave();
  if (!registered) return std::unexpected(registered.error());
  personality = *registered;
  return {};
}

void Identity::enter() {
  if (!switching_) return;
  set_effective_gid(gid_);  // first: without the uid's capabilities it is not allowed any more
  set_effective_uid(uid_);
}

void Identity::leave() {
  if (!switching_) return;
  set_effective_uid(0);
  set_effective_gid(0);
}

}  // namespace dormouse::imap
