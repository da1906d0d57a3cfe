#pragma once
// Which boots of this machine ended with everything on the disk. An index whose write-ahead log was
// left behind by such a boot lost nothing, however it looks; by any other, it may have
// (docs/store-format.md, Durability).
//
// The ledger is one file of the server: "<boot id>\n" per boot, oldest first. Whoever serves the
// mail strikes the present boot out before anything writes, and enters it after everything that
// wrote has ended and sync(2) has returned. A power failure, or the server's own death, leaves it
// out.

#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::store {

// Boots remembered. An index that nobody opened for longer is taken for one of a power failure.
inline constexpr size_t kCleanBootsMax = 64;
// A boot id is 36 characters; lines that are longer are no boot.
inline constexpr size_t kCleanBootsBytesMax = kCleanBootsMax * 64;

// The kernel's id of the present boot; "unknown" where /proc is not there, as in a chroot.
const std::string& this_boot();

// Before the first write: answers the ledger's lines, without the present boot, which is struck out
// durably. No file: empty.
Result<std::string> take_clean_boots(const std::string& path);
// After the last write. Waits for all file systems.
Result<> enter_clean_boot(const std::string& path);

// Whether `boot` is a line of `clean_boots`.
bool is_clean_boot(std::string_view clean_boots, std::string_view boot);

}  // namespace dormouse::store
