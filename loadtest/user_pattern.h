#pragma once
// UserPattern: names of many users out of one pattern. `%d` is the user's number, `%05d` the same
// with leading zeros (a width of 1 to 9), `%%` a percent sign; anything else behind a percent sign
// is refused.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"

namespace dormouse::loadtest {

class UserPattern {
 public:
  static constexpr size_t kPatternBytesMax = 1024;  // a user name is 320 at most (RFC 3696)

  static Result<UserPattern> parse(std::string_view pattern);
  std::string name(uint64_t number) const;
  // Whether different numbers give different names.
  bool numbered() const { return numbered_; }

 private:
  struct Piece {
    std::string text;
    int width = -1;  // -1: no number behind the text; 0: as long as it is
  };
  std::vector<Piece> pieces_;
  bool numbered_ = false;
};

// A Maildir's path for a user: `%u` is the user's name, `%n` the part before the first @, `%d` the
// part behind it (Dovecot's letters), `%%` a percent sign. kInvalid for anything else, and for a
// user whose name would lead out of the folder ("../", an empty part).
Result<std::string> maildir_path(std::string_view pattern, std::string_view user);

}  // namespace dormouse::loadtest
