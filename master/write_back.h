#pragma once
// WriteBack: has the file system that the mail is on write what is dirty, before somebody needs the
// memory (syncfs(2)). That waits for disks, so a thread does it, one at a time; nobody waits for
// it, not even at the end of the process.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace dormouse::master {

class WriteBack {
 public:
  // Between two beginnings: what is written once is not asked for at each look.
  static constexpr uint64_t kApartMs = 2'000;

  // `path`: a directory on that file system.
  explicit WriteBack(std::string path) : path_(std::move(path)) {}

  // Begins, unless one is under way or was begun a moment ago. What went wrong the last time is
  // logged, once for each reason.
  void begin(uint64_t now_ms);
  bool under_way() const { return state_->under_way; }
  uint64_t done() const { return state_->done; }

 private:
  struct State {
    std::atomic<bool> under_way = false;
    std::atomic<uint64_t> done = 0;
    std::atomic<int> error = 0;  // errno of the last one
  };
  void complain(int error);

  std::string path_;
  std::shared_ptr<State> state_ = std::make_shared<State>();  // the thread may outlive us
  std::optional<uint64_t> begun_ms_;
  int complained_ = 0;  // of which errno
};

}  // namespace dormouse::master
