#pragma once
// Bounds of login: what a stranger may cost. Those an operator tunes are settings.

#include <cstddef>
#include <cstdint>

#include "imap/syntax/command_reader.h"
#include "io/channel.h"
#include "tls/record.h"

namespace dormouse::login {

// Commands before authentication. A client sends CAPABILITY, ID, STARTTLS and LOGIN, and the same
// again for each attempt.
inline constexpr unsigned kCommandsMax = 100;
// Of them, ones that are no IMAP: browsers and scanners do not get further.
inline constexpr unsigned kBadCommandsMax = 10;
// What one recv() takes: a TLS record and its header, about; one buffer for all connections.
inline constexpr size_t kReceiveBytes = 16 * 1024;
// A buffer that has become empty is given back if it is larger: idle strangers keep this much.
inline constexpr size_t kKeepBytes = 512;
// The longest pause before an answer, per connection and per address: beyond it, a client believes
// that the server is gone.
inline constexpr uint32_t kDelayMsMax = 15'000;
// Failures of an address that delay nobody else there: behind one NAT address sit many clients, and
// one of them has an old password.
inline constexpr uint32_t kFreeFailures = 10;
// An address's failures count half after this time.
inline constexpr uint64_t kFailureHalfLifeMs = 5 * 60 * 1000;
// Addresses remembered, about 120 bytes each: 8 MiB. Beyond it, the longest quiet one is forgotten.
inline constexpr size_t kPenaltyEntriesMax = 64 * 1024;
// How long auth may take for one answer: its queue is bounded to some seconds, the tracker's
// restart to ten.
inline constexpr uint64_t kAuthAnswerMs = 30'000;
// How long a login waits where there is no auth process, no den, or no room in the dens' channels:
// each is started again within a second or two (docs/processes.md).
inline constexpr uint64_t kPatienceMs = 5'000;
// Messages to an auth process that does not read.
inline constexpr size_t kAuthMessagesMax = 16 * 1024;
// LoginToDen.Handover.client_id (wire/login_den.proto).
inline constexpr size_t kClientIdBytesMax = 256;
// Connections taken from a listener before others get their turn.
inline constexpr unsigned kAcceptBatch = 64;
// Connections over TLS that are refused by pressure at a time: each costs a handshake of 1 ms and
// some 100 KiB for as long as it takes, and is worth no more. Others are closed without a word.
inline constexpr uint32_t kRefusalsMax = 32;
inline constexpr uint64_t kRefusalMs = 5'000;
// A login that would wait for longer by pressure is told to come again.
inline constexpr uint64_t kPacedMsMax = 20'000;
// With as many held or open as there may be: until some of them had their turn.
inline constexpr uint64_t kHeldPauseMs = 20;
// A turn of the loop that takes longer than this is one with too many in it: some ten handshakes.
inline constexpr uint64_t kLagMsMax = 20;
// A connection that is younger (or younger than a quarter of the time to log in) is none to be
// dropped for a newer one: in a storm clients are slow, and so are we; the newer one can wait. Five
// round trips until the password is here, each with a packet that was lost twice.
inline constexpr uint64_t kEvictAfterMs = 15'000;
inline constexpr uint64_t kEvictPartOfTimeout = 4;
// In hand at once: a part of max_connections of those who came within the last three seconds (a
// handshake, and a login over a slow network). With the default of 2,000, 500 for each process:
// twice what it serves in a second, and as cheap for each as any number (docs/ebpf.md, the storm).
inline constexpr uint32_t kYoungPart = 4;
inline constexpr uint32_t kYoungLeast = 64;
inline constexpr uint64_t kYoungMs = 3'000;
// Waiting connections to look through for one that can be dropped for a newer one.
inline constexpr unsigned kEvictScanMax = 64;

// What is handed over with a session: less than a record that was incomplete before the last
// receive, and that receive. With the rest of the message it fits io::kMaxMessageBytes.
inline constexpr size_t kPendingBytesMax = tls::kRecordBytesMax + kReceiveBytes;
static_assert(kPendingBytesMax + 2048 <= io::kMaxMessageBytes);

}  // namespace dormouse::login
