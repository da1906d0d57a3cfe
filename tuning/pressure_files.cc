#include "tuning/pressure_files.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

namespace dormouse::tuning {
namespace {

constexpr uint64_t kKiB = 1024;

std::string_view take_line(std::string_view& text) {
  size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// The number that `text` begins with, and only blanks and letters of a unit behind it.
std::optional<uint64_t> leading_number(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

std::vector<std::string_view> words_of(std::string_view line, size_t words_max) {
  std::vector<std::string_view> words;
  while (!line.empty() && words.size() < words_max) {
    size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

bool has_option(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    size_t end = std::min(options.find(','), options.size());
    if (options.substr(0, end) == wanted) return true;
    options.remove_prefix(std::min(end + 1, options.size()));
  }
  return false;
}

struct Mount {
  std::string root;
  std::string point;
};

// 36 35 98:0 /root /point rw,noatime master:1 - cgroup cgroup rw,memory
std::optional<Mount> find_mount(std::string_view mountinfo, bool v2) {
  while (!mountinfo.empty()) {
    std::string_view line = take_line(mountinfo);
    size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    auto place = words_of(line.substr(0, dash), 5);
    auto kind = words_of(line.substr(dash + 3), 3);
    if (place.size() < 5 || kind.empty() || !place[4].starts_with('/')) continue;
    bool fits = v2 ? kind[0] == "cgroup2"
                   : kind[0] == "cgroup" && kind.size() == 3 && has_option(kind[2], "memory");
    if (fits) return Mount{.root = std::string(place[3]), .point = std::string(place[4])};
  }
  return std::nullopt;
}

// 4:memory:/mail.slice, or 0::/mail.slice
std::optional<std::string> find_path(std::string_view cgroup, bool v2) {
  while (!cgroup.empty()) {
    std::string_view line = take_line(cgroup);
    size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    bool fits = v2 ? controllers.empty() : has_option(controllers, "memory");
    std::string_view path = line.substr(second + 1);
    // A path with ".." is of another namespace: nothing below our mount.
    if (fits && path.starts_with('/') && path.find("/..") == std::string_view::npos) {
      return std::string(path);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<MachineMemory> parse_meminfo(std::string_view text) {
  std::optional<uint64_t> total;
  std::optional<uint64_t> available;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (line.starts_with("MemTotal:")) total = leading_number(line.substr(9));
    if (line.starts_with("MemAvailable:")) available = leading_number(line.substr(13));
  }
  constexpr uint64_t kMost = UINT64_MAX / kKiB;
  if (!total || !available || *total == 0 || *total > kMost || *available > *total) {
    return std::nullopt;
  }
  return MachineMemory{.total_bytes = *total * kKiB, .available_bytes = *available * kKiB};
}

std::optional<uint64_t> parse_bytes(std::string_view text) {
  std::string_view line = take_line(text);
  if (line == "max") return UINT64_MAX;
  uint64_t number = 0;
  auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return number;
}

GroupCaches parse_group_caches(std::string_view memory_stat, bool v2) {
  // v1 counts its own pages and, with total_, those of the groups below it too, as its usage does.
  constexpr std::string_view kV1Caches[] = {"total_active_file ", "total_inactive_file "};
  constexpr std::string_view kV1Unwritten[] = {"total_dirty ", "total_writeback "};
  constexpr std::string_view kV2Caches[] = {"active_file ", "inactive_file ", "slab_reclaimable "};
  constexpr std::string_view kV2Unwritten[] = {"file_dirty ", "file_writeback "};
  GroupCaches found;
  auto add = [](std::string_view line, std::span<const std::string_view> keys, uint64_t& sum) {
    for (std::string_view key : keys) {
      if (!line.starts_with(key)) continue;
      uint64_t bytes = leading_number(line.substr(key.size())).value_or(0);
      sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
    }
  };
  uint64_t caches = 0;
  while (!memory_stat.empty()) {
    std::string_view line = take_line(memory_stat);
    add(line, v2 ? std::span<const std::string_view>(kV2Caches) : kV1Caches, caches);
    add(line, v2 ? std::span<const std::string_view>(kV2Unwritten) : kV1Unwritten,
        found.unwritten_bytes);
  }
  // They are counted a little later than the others.
  found.unwritten_bytes = std::min(found.unwritten_bytes, caches);
  found.reclaimable_bytes = caches - found.unwritten_bytes;
  return found;
}

std::optional<CgroupPlace> find_memory_cgroup(std::string_view mountinfo, std::string_view cgroup) {
  for (bool v2 : {false, true}) {
    auto mount = find_mount(mountinfo, v2);
    auto path = find_path(cgroup, v2);
    if (!mount || !path) continue;
    // A container sees its own part of the tree: the mount's root is cut off.
    if (mount->root != "/" && (*path + '/').starts_with(mount->root + '/')) {
      path->erase(0, mount->root.size());
    }
    if (*path == "/") path->clear();
    return CgroupPlace{.v2 = v2, .mount = std::move(mount->point), .path = std::move(*path)};
  }
  return std::nullopt;
}

}  // namespace dormouse::tuning
