#pragma once
// UserDirectory: who a user is to the system, from a passwd-file and the settings' defaults. Used
// by auth, and by `dormouse deliver`, which needs no password.

#include <memory>
#include <string>
#include <string_view>

#include "auth/passwd_file.h"
#include "io/result.h"
#include "wire/common.pb.h"
#include "wire/settings.pb.h"

namespace dormouse::auth {

struct DirectoryDefaults {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;  // a template (expand_path)
  Scheme scheme = Scheme::kCrypt;

  // kInvalid when the scheme is unknown or the home is no template.
  static Result<DirectoryDefaults> from(const wire::Settings::Auth& settings);
};

class UserDirectory {
 public:
  static Result<std::shared_ptr<const UserDirectory>> parse(std::string text,
                                                            const DirectoryDefaults& defaults);
  // Reads the file (blocking). The error names the file.
  static Result<std::shared_ptr<const UserDirectory>> load(const std::string& path,
                                                           const wire::Settings::Auth& settings);

  struct User {
    PasswdEntry entry;  // views into the directory
    wire::Identity identity;
    wire::Limits limits;
  };
  // kNotFound: no such user (or one whose line is wrong). kInvalid: the user's home cannot be told.
  // The identity's name is in lower case, whatever the case asked for.
  Result<User> find(std::string_view user) const;
  const PasswdFile& file() const { return *file_; }

 private:
  UserDirectory(std::shared_ptr<const PasswdFile> file, const DirectoryDefaults& defaults)
      : file_(std::move(file)), defaults_(defaults) {}
  std::shared_ptr<const PasswdFile> file_;
  DirectoryDefaults defaults_;
};

// What `find` makes of a name before it looks: ASCII letters in lower case.
std::string canonical_user(std::string_view user);

// Reads an open passwd-file from its start to its end (blocking). kLimit beyond
// kPasswdFileBytesMax.
Result<std::string> read_passwd_file(int fd, std::string_view name);

}  // namespace dormouse::auth
