#pragma once
// The life of the auth role.

namespace dormouse::auth {

// Called by `dormouse` when the master starts it as auth; returns the exit status.
int auth_main();

}  // namespace dormouse::auth
