#pragma once
// Bytes of messages, through the ring, in pieces. The file may be renamed by another program at any
// time (flags are in its name) and may vanish: then kNotFound, and the command goes on without it.

#include <cstdint>
#include <string>
#include <string_view>

#include "io/fd.h"
#include "io/loop.h"
#include "mime/message.h"
#include "store/store.h"

namespace dormouse::imap {

// A piece of a file: what one relay datagram carries.
inline constexpr size_t kReadPieceBytes = 32 * 1024;

class MessageReader {
 public:
  MessageReader(io::Loop& loop, store::Mailbox mailbox, uint32_t uid)
      : loop_(loop), mailbox_(mailbox), uid_(uid) {}

  // Opens the file at the first call; later ones answer at once.
  io::Task<Result<void>> open();
  bool is_open() const { return bool(file_); }
  // At most `bytes_max` and at most kReadPieceBytes, from `offset`; empty: the end of the file. The
  // bytes stay valid until the next read.
  io::Task<Result<std::string_view>> read(uint64_t offset, uint64_t bytes_max);
  // Reads the whole message for its structure. `octets` is RFC822.SIZE.
  struct Parsed {
    mime::MessageStructure structure;
    uint64_t octets = 0;
  };
  io::Task<Result<Parsed>> parse();

 private:
  io::Loop& loop_;
  store::Mailbox mailbox_;
  uint32_t uid_;
  io::Fd file_;
  std::string buffer_;
};

}  // namespace dormouse::imap
