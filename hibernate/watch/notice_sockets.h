#pragma once
// The two ends of notices' sockets: those that the master makes for the watch, and those of who
// sends.

#include <cstdint>
#include <string>

#include "hibernate/watch/notice.h"
#include "io/fd.h"
#include "io/result.h"
#include "io/secret.h"

namespace dormouse::hibernate {

// A unix datagram socket at `path`, in place of one that a dead server left. Who else may send:
// everybody, or its owner alone.
Result<io::Fd> make_notice_socket(const std::string& path, bool everybody);
// UDP at a numeric address.
Result<io::Fd> make_udp_notice_socket(const std::string& host, uint16_t port);

// The key of a file: its bytes without an end of line. kInvalid: too short, too long, or readable
// by others than its owner and group.
Result<io::Secret> load_notice_key(const std::string& path);

// Where to send. Made before rights are given up.
Result<io::Fd> connect_notices(const std::string& path);
Result<io::Fd> connect_notices(const std::string& host, uint16_t port);
// A unix datagram socket holds few (net.unix.max_dgram_qlen, 10 by default).
inline constexpr int kSendWaitMs = 200;
// Fills in time, sender and number, and sends; waits that long for room. kUnavailable: nobody
// receives, or not as fast.
Result<> send_notice(const io::Fd& to, Notice notice, std::string_view key);

}  // namespace dormouse::hibernate
