#pragma once
// The texts of the kernel's files that tell how much memory there is. Pure: text in, numbers out.
// Nothing where a text is not what it should be.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse::tuning {

// /proc/meminfo.
struct MachineMemory {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;  // what can be had without swapping
};
std::optional<MachineMemory> parse_meminfo(std::string_view text);

// One number and a line's end; "max" (no limit) is UINT64_MAX.
std::optional<uint64_t> parse_bytes(std::string_view text);

// What of a cgroup's memory is not needed by anybody, by its memory.stat.
struct GroupCaches {
  // What the kernel gives back before it would end a process: pages of files and, where it is told
  // (v2), of kernel caches. Shared memory is not among them.
  uint64_t reclaimable_bytes = 0;
  // Pages of files that have to be written first, not among the former: with v1 nothing waits for
  // that, and a process is ended although half of the group's memory is files.
  uint64_t unwritten_bytes = 0;
};
GroupCaches parse_group_caches(std::string_view memory_stat, bool v2);

// Where the memory controller's files of this process are.
struct CgroupPlace {
  bool v2 = false;
  std::string mount;  // "/sys/fs/cgroup/memory"
  std::string path;   // below the mount: "/mail.slice", "" for its root
};
// From /proc/self/mountinfo (proc(5)) and /proc/self/cgroup (cgroups(7)). v1's memory controller is
// taken where there is one, since then v2 has none.
std::optional<CgroupPlace> find_memory_cgroup(std::string_view mountinfo, std::string_view cgroup);

}  // namespace dormouse::tuning
