#pragma once
// PressureReader: measures what this machine can tell: memory against the limits of our cgroup and
// those above it and against the machine's, and the time in which something waited for memory, CPU
// or disks. Reads a handful of small files of the kernel, 100 us together; for a process that may
// wait for that and is not in a sandbox (the master). A file that is missing or makes no sense is
// told once, and what it would have said is left out.
//
// Where the cgroup has its own *.pressure files (v2), those are read: what waits in it is us.
// Without any pressure files memory alone speaks, by what is in use.

#include <set>
#include <string>
#include <vector>

#include "tuning/memory_pace.h"
#include "tuning/pressure_engine.h"
#include "tuning/pressure_files.h"
#include "tuning/psi.h"

namespace dormouse::tuning {

class PressureReader {
 public:
  // memory.stat is 2 KiB, the others less; mountinfo of a machine with many containers is longer.
  static constexpr size_t kFileBytesMax = 16 * 1024;
  static constexpr size_t kMountInfoBytesMax = 1 << 20;
  // Of a limit, where a quarter of it is in use: a kernel that is not told to begins to write when
  // a tenth of the machine's memory is unwritten, or after 30 s (vm.dirty_*), whatever the group's.
  static constexpr uint32_t kUnwrittenPermille = 50;
  static constexpr uint32_t kInUsePermille = 250;
  // Groups from ours to the root.
  static constexpr size_t kDepthMax = 16;

  // `root` stands before every path: for tests.
  explicit PressureReader(std::string root = "");

  // Fills what can be measured here; kWorkers and kQueue are others'. `paced`: logins are, so
  // memory grows for a shorter time after what is decided now.
  void read(uint64_t now_ms, Readings& readings, bool paced = false);
  // At the last look much of a limit was pages of files that nobody has written yet: they are to be
  // written now, before somebody needs their memory.
  bool wants_write_back() const { return unwritten_permille_ >= kUnwrittenPermille; }
  // Of the limit of that group, of ours and those above it, that has most of it.
  uint32_t unwritten_permille() const { return unwritten_permille_; }
  // What has gone wrong for the first time since the last call: "path: reason".
  std::vector<std::string> take_complaints();
  // Where memory is measured: for the log.
  std::string describe() const;

 private:
  std::optional<std::string> text_of(const std::string& path, size_t bytes_max = kFileBytesMax);
  void complain(const std::string& path, const std::string& reason);
  void find_cgroup();
  std::optional<uint32_t> memory_permille();
  std::optional<uint32_t> group_permille(const std::string& folder);
  std::optional<uint32_t> stall_permille(uint64_t now_ms, Reading reading, StallMeter& meter);

  std::string root_;
  std::optional<CgroupPlace> place_;
  bool own_psi_ = false;  // of the cgroup
  MemoryPace pace_;
  uint32_t unwritten_permille_ = 0;
  StallMeter memory_stall_, cpu_stall_, io_stall_;
  std::set<std::string> complained_;  // paths; there are about ten
  std::vector<std::string> complaints_;
};

}  // namespace dormouse::tuning
