#pragma once
// The worker role: `dormouse role worker`.

namespace dormouse::imap {

int worker_main();

}  // namespace dormouse::imap
