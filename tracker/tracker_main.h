#pragma once
// The tracker's process.

namespace dormouse::tracker {

// Exit status.
int tracker_main();

}  // namespace dormouse::tracker
