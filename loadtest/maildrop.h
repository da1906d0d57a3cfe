#pragma once
// Maildrop: puts a message into a Maildir the way any delivery agent does: a file in tmp/, renamed
// into new/. Preparing is apart from dropping, so that the moment of the rename is the caller's.

#include <cstdint>
#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::loadtest {

class Maildrop {
 public:
  // Writes the message to MAILDIR/tmp. As root the file is given to the owner of MAILDIR/new, so
  // that the server's mail user can read it. `sequence` must differ for each in this process.
  static Result<Maildrop> prepare(const std::string& maildir, std::string_view recipient,
                                  uint64_t sequence, uint32_t message_bytes);
  Maildrop(Maildrop&& other) noexcept;
  Maildrop& operator=(Maildrop&&) = delete;
  ~Maildrop();  // removes the file when it was not dropped

  // Renames it into MAILDIR/new.
  Result<> drop();

 private:
  Maildrop() = default;
  std::string temporary_;
  std::string final_;
};

}  // namespace dormouse::loadtest
