#pragma once
// Real mailboxes for a benchmark: a folder of their own on /dev/shm, a file system that few others
// write to. Gone with its object.

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

namespace dormouse::hibernate {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = "/dev/shm/dormouse_bench_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  // The directories of mailbox `i`.
  std::vector<std::string> mailbox(size_t i) const {
    fs::path home = path_ / fmt::format("{}", i);
    return {(home / "new").string(), (home / "cur").string()};
  }
  void make(size_t mailboxes) const {
    for (size_t i = 0; i < mailboxes; ++i) {
      for (const std::string& path : mailbox(i)) fs::create_directories(path);
    }
  }

 private:
  fs::path path_;
};

}  // namespace dormouse::hibernate
