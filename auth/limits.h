#pragma once
// Bounds of auth. The passwd-file is the operator's and may only be wrong; what comes through login
// is a stranger's.

#include <cstddef>
#include <cstdint>

namespace dormouse::auth {

// A million users at 200 bytes each, five times over. Offsets into the file are 32 bits.
inline constexpr size_t kPasswdFileBytesMax = size_t{1} << 30;
// One line. The longest secret (Argon2 with its parameters) takes some 150 bytes.
inline constexpr size_t kPasswdLineBytesMax = 8 * 1024;
// Complaints about lines that are kept for the log; the rest is counted.
inline constexpr size_t kComplaintsMax = 100;
// A user name, as RFC 5321's local part, "@" and domain would have it, rounded down to what a log
// line and a parked record can bear.
inline constexpr size_t kUserBytesMax = 255;
// A path out of the file, below PATH_MAX (4096) with room for mailbox and message names.
inline constexpr size_t kPathBytesMax = 1024;
// A password. libcrypt takes 511 bytes (CRYPT_MAX_PASSPHRASE_SIZE), which then just do not match.
inline constexpr size_t kPasswordBytesMax = 1024;
// A decoded SASL response: two names and a password of PLAIN with their separators, and room for
// SCRAM's attributes.
inline constexpr size_t kResponseBytesMax = 4 * 1024;
// Nets of one allow_nets.
inline constexpr size_t kAllowNetsMax = 64;
// SCRAM iterations: RFC 7677 wants 4096 at least; ten million take some seconds per login.
inline constexpr uint32_t kScramIterationsMin = 4096;
inline constexpr uint32_t kScramIterationsMax = 10'000'000;
// The salt made for users without one of their own; Dovecot's length too.
inline constexpr size_t kScramSaltBytes = 16;
inline constexpr size_t kScramSaltBytesMax = 256;

}  // namespace dormouse::auth
