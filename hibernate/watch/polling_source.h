#pragma once
// Polling: a look at every directory's mtime once per interval, spread over it. For file systems
// that tell nobody (NFS), and where inotify has no watch left. The looks go through the ring; one
// that hangs (a server that is away) holds up its lane only.

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "hibernate/watch/change_source.h"
#include "io/loop.h"

namespace dormouse::hibernate {

class PollingSource final : public ChangeSource {
 public:
  // Time stamps of the coarsest file systems in use have 2 seconds (FAT; NFS servers on ext3 have
  // 1): a directory whose mtime is younger than this may change again and keep it, so it is taken
  // for changed once more.
  static constexpr int64_t kGranuleMs = 2'000;
  static constexpr uint64_t kTickMs = 100;
  static constexpr uint64_t kIntervalMinMs = 200;
  static constexpr uint32_t kLanes = 4;
  // Some 200 bytes each: 200 MB. Beyond, add() says kLimit.
  static constexpr size_t kDirectoriesMax = 1 << 20;

  PollingSource(io::Loop& loop, uint64_t interval_ms);
  ~PollingSource() override;

  std::string_view name() const override { return "polling"; }
  bool by_handle() const override { return false; }
  Result<DirectoryKey> add(const wire::Directory& directory) override;
  // On a file system whose time stamps another machine's clock makes: how old they are is known
  // only from when they were first seen.
  Result<DirectoryKey> add_shared(const wire::Directory& directory);
  size_t directories() const { return by_path_.size(); }
  void remove(DirectoryKey key) override;
  io::Task<Result<void>> run(ChangeSink& sink) override;
  std::string state() const override;
  void set_interval(uint64_t interval_ms);

 private:
  struct Entry {
    std::string path;  // with "/." behind it, which follows a link; empty: free
    uint64_t inode = 0;
    int64_t mtime_ns = 0;
    uint32_t serial = 0;     // another directory has another one
    bool unsettled = false;  // the mtime was young when it was seen
    bool missing = false;    // told already that it is gone
    bool shared = false;     // see add_shared()
    uint64_t moved_ms = 0;   // when it was first seen like this
  };
  io::Task<void> lane(ChangeSink& sink);
  bool look(Entry& entry, const Result<uint32_t>& known, const struct statx& info);
  void note(Entry& entry, uint64_t inode, int64_t mtime_ns);

  io::Loop& loop_;
  uint64_t interval_ms_;
  io::Event budget_given_;
  uint64_t budget_ = 0;
  size_t cursor_ = 0;
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_;
  std::unordered_map<std::string, uint32_t> by_path_;
  uint64_t looks_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace dormouse::hibernate
