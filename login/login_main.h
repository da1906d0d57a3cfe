#pragma once
// The life of the login role.

namespace dormouse::login {

// Called by `dormouse` when the master starts it as login; returns the exit status.
int login_main();

}  // namespace dormouse::login
