#pragma once
// PasswdFile: a whole passwd-file in memory and an index over it: for a million users the text, and
// 8 MiB of offsets. A line is parsed again when its user is looked up, so a user costs no object.
//
// An engine: it reads no file and logs nothing. Immutable once made, so it may be shared by
// threads. The text holds secrets and is wiped when destroyed.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/passwd_entry.h"
#include "auth/password_scheme.h"
#include "io/result.h"

namespace dormouse::auth {

// A line that is not as it should be.
struct Complaint {
  size_t line = 0;     // from 1
  bool wrong = false;  // the line is left out: its user cannot log in. Else: something is ignored
  std::string text;
};

class PasswdFile {
 public:
  struct Options {
    Scheme default_scheme = Scheme::kCrypt;
    uint64_t seed = 0;  // of the hash table: random, so that names cannot be chosen to collide
  };
  // kLimit when the text is longer than kPasswdFileBytesMax. Wrong lines do not fail: they are in
  // complaints(). Of two lines with the same user the first counts.
  static Result<std::shared_ptr<const PasswdFile>> parse(std::string text, const Options& options);
  PasswdFile(PasswdFile&&) = delete;  // decoy_ and what find() gives are views into it
  ~PasswdFile();

  // Without regard to case (ASCII). The views are into this object.
  std::optional<PasswdEntry> find(std::string_view user) const;

  size_t users() const { return users_; }
  // The first kComplaintsMax, and how many there were.
  const std::vector<Complaint>& complaints() const { return complaints_; }
  size_t complaints_total() const { return complaints_total_; }

  // A stored password of the file's most frequent scheme: checking an unknown user's password
  // against it takes as long as checking a known one's. Empty data when no line has a password.
  StoredPassword decoy() const { return decoy_; }
  // Some user's password is stored as it is, so a SCRAM secret must be derived from it.
  bool has_plain() const { return has_plain_; }
  Scheme default_scheme() const { return options_.default_scheme; }

 private:
  PasswdFile(std::string text, const Options& options)
      : text_(std::move(text)), options_(options) {}
  void index();
  void add(size_t offset, size_t number);
  void complain(size_t line, bool wrong, std::string text);
  uint64_t hash(std::string_view user) const;
  std::string_view line_at(uint32_t offset) const;
  // The slot of `user`, or the free one where it belongs.
  size_t slot_of(std::string_view user) const;

  std::string text_;
  Options options_;
  std::vector<uint32_t> slots_;  // offset of the line + 1; 0: free. At most half are used
  std::vector<Complaint> complaints_;
  size_t complaints_total_ = 0;
  size_t users_ = 0;
  std::array<size_t, kSchemeCount> scheme_users_{};
  StoredPassword decoy_;
  bool has_plain_ = false;
};

}  // namespace dormouse::auth
