#pragma once
// What a message must be beyond its schema: every bound that a receiver relies on, checked once,
// where the message comes in. A peer whose message fails here is ended.

#include <cstddef>

#include "io/result.h"
#include "wire/auth_tracker.pb.h"
#include "wire/den_tracker.pb.h"
#include "wire/den_watch.pb.h"
#include "wire/tracker_worker.pb.h"
#include "wire/watch_worker.pb.h"

namespace dormouse::wire {

inline constexpr size_t kGrantBytes = 16;   // 128 random bits: not to be guessed
inline constexpr size_t kCookieBytes = 16;  // as above
// RFC 5321 4.5.3.1 allows 64 + 1 + 255; a longer name is no address and fits no passwd-file of
// ours.
inline constexpr size_t kMaxUserBytes = 320;
// INET6_ADDRSTRLEN is 46; an interface name may follow.
inline constexpr size_t kMaxAddressBytes = 64;
inline constexpr size_t kMaxPathBytes = 4096;  // PATH_MAX
inline constexpr size_t kMaxTextBytes = 1000;  // one response line with its tag and code
inline constexpr int kMaxCensusEntries = 500;
// relay.proto, Offer: two for each of 127 mailboxes, and the folder that holds them (NOTIFY). As
// handles they are 5 KiB of a record; as paths of ordinary length the Offer stays below 40 KiB.
inline constexpr int kMaxDirectories = 255;
// den_watch.proto, Subscribe: those, and a topic for each mailbox and the folder.
inline constexpr int kMaxSubscribed = kMaxDirectories + (kMaxDirectories + 1) / 2;
inline constexpr size_t kMaxHandleBytes = 8 + 4 + 128;  // fsid, type, MAX_HANDLE_SZ
inline constexpr int kMaxChangedWatches = 1000;
inline constexpr int kMaxPublishedTopics = 1000;
inline constexpr int kMaxStores = 256;  // file systems under fanotify: 2 KiB of a message

// True for UTF-8-agnostic names that a log line, a path or a response may hold: no control
// characters, at most `bytes_max` long, not empty.
bool is_name(std::string_view text, size_t bytes_max);

// `fd_count`: descriptors that came with the message.
Result<> validate(const DenToTracker& message, size_t fd_count);
Result<> validate(const AuthToTracker& message, size_t fd_count);
Result<> validate(const WorkerToTracker& message, size_t fd_count);
Result<> validate(const TrackerToDen& message, size_t fd_count);
Result<> validate(const TrackerToAuth& message, size_t fd_count);
Result<> validate(const TrackerToWorker& message, size_t fd_count);
Result<> validate(const DenToWatch& message, size_t fd_count);
Result<> validate(const WatchToDen& message, size_t fd_count);
Result<> validate(const WorkerToWatch& message, size_t fd_count);
Result<> validate(const WatchToWorker& message, size_t fd_count);

}  // namespace dormouse::wire
