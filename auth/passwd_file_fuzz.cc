// The passwd-file's parser: any text gives users that can be found again and paths that stay
// absolute.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "auth/user_directory.h"

using dormouse::auth::DirectoryDefaults;
using dormouse::auth::UserDirectory;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto directory =
      UserDirectory::parse(text, DirectoryDefaults{.uid = 1, .gid = 1, .home = "/mail/%d/%n"});
  if (!directory) return 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    const std::string user = text.substr(at, text.find(':', at) - at);
    auto found = (*directory)->find(user);
    if (found && found->identity.home().front() != '/') std::abort();
    if (found && found->identity.uid() == 0) std::abort();
    at = end + 1;
  }
  return 0;
}
