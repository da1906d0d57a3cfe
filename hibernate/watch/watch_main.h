#pragma once
// The watch's process.

namespace dormouse::hibernate {

// Exit status.
int watch_main();

}  // namespace dormouse::hibernate
