#include "tuning/pressure_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::tuning {
namespace {

// A limit that is none: v1 writes 2^63 less a page, v2 "max".
constexpr uint64_t kNoLimitBytes = uint64_t{1} << 60;

uint32_t permille_of(uint64_t part, uint64_t whole) {
  if (whole == 0) return 1000;
  return uint32_t(std::min<uint64_t>(uint64_t(double(part) * 1000 / double(whole)), 1000));
}

struct StallFile {
  const char* name;
  bool full;
};

// Memory and CPU: somebody waits, so somebody is late. A disk keeps somebody waiting on any busy
// mail store; that nothing else can be done meanwhile is what makes clients late.
StallFile stall_file(Reading reading) {
  switch (reading) {
    case Reading::kMemoryStall:
      return {"memory", false};
    case Reading::kIoStall:
      return {"io", true};
    default:
      return {"cpu", false};
  }
}

}  // namespace

PressureReader::PressureReader(std::string root) : root_(std::move(root)) { find_cgroup(); }

void PressureReader::complain(const std::string& path, const std::string& reason) {
  if (!complained_.insert(path).second) return;
  complaints_.push_back(fmt::format("{}: {}", path, reason));
}

std::vector<std::string> PressureReader::take_complaints() {
  return std::exchange(complaints_, {});
}

std::optional<std::string> PressureReader::text_of(const std::string& path, size_t bytes_max) {
  std::string full = root_ + path;
  io::Fd fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    complain(path, fail_errno(errno, "open").error().message);
    return std::nullopt;
  }
  std::string text;
  while (text.size() <= bytes_max) {
    char piece[4096];
    ssize_t got = ::read(fd.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      complain(path, fail_errno(errno, "read").error().message);
      return std::nullopt;
    }
    if (got == 0) return text;
    text.append(piece, size_t(got));
  }
  complain(path, fmt::format("longer than {} bytes", bytes_max));
  return std::nullopt;
}

void PressureReader::find_cgroup() {
  auto mounts = text_of("/proc/self/mountinfo", kMountInfoBytesMax);
  auto cgroup = text_of("/proc/self/cgroup");
  if (!mounts || !cgroup) return;
  place_ = find_memory_cgroup(*mounts, *cgroup);
  if (!place_) return;
  auto exists = [this](const std::string& path) {
    return ::access((root_ + path).c_str(), R_OK) == 0;
  };
  // A container that does not see its own group sees its limits at the mount.
  if (!exists(place_->mount + place_->path)) place_->path.clear();
  own_psi_ = place_->v2 && exists(place_->mount + place_->path + "/memory.pressure");
}

std::string PressureReader::describe() const {
  if (!place_) return "the machine's memory; no memory cgroup is seen";
  return fmt::format("cgroup {} {}{}, and the machine's memory", place_->v2 ? "v2" : "v1",
                     place_->mount, place_->path.empty() ? "/" : place_->path);
}

void PressureReader::read(uint64_t now_ms, Readings& readings, bool paced) {
  unwritten_permille_ = 0;
  auto memory = memory_permille();
  if (memory) memory = pace_.ahead(now_ms, *memory, paced);
  readings[size_t(Reading::kMemory)] = memory;
  readings[size_t(Reading::kMemoryStall)] =
      stall_permille(now_ms, Reading::kMemoryStall, memory_stall_);
  readings[size_t(Reading::kCpuStall)] = stall_permille(now_ms, Reading::kCpuStall, cpu_stall_);
  readings[size_t(Reading::kIoStall)] = stall_permille(now_ms, Reading::kIoStall, io_stall_);
}

// The fullest of the machine, our group and those above it.
std::optional<uint32_t> PressureReader::memory_permille() {
  std::optional<uint32_t> most;
  auto count = [&most](std::optional<uint32_t> permille) {
    if (permille) most = std::max(most.value_or(0), *permille);
  };
  if (auto text = text_of("/proc/meminfo")) {
    auto memory = parse_meminfo(*text);
    if (memory) {
      count(permille_of(memory->total_bytes - memory->available_bytes, memory->total_bytes));
    } else {
      complain("/proc/meminfo", "makes no sense");
    }
  }
  if (!place_) return most;
  std::string path = place_->path;
  for (size_t depth = 0; depth < kDepthMax; ++depth) {
    // The root group has no limit, and v2 not even the files.
    if (path.empty() && (place_->v2 || depth > 0)) break;
    count(group_permille(place_->mount + path));
    if (path.empty()) break;
    path.erase(path.rfind('/'));
  }
  return most;
}

std::optional<uint32_t> PressureReader::group_permille(const std::string& folder) {
  auto number = [this, &folder](const char* name) -> std::optional<uint64_t> {
    std::string path = folder + name;
    auto text = text_of(path);
    if (!text) return std::nullopt;
    auto bytes = parse_bytes(*text);
    if (!bytes) complain(path, "makes no sense");
    return bytes;
  };
  const bool v2 = place_->v2;
  auto limit = number(v2 ? "/memory.max" : "/memory.limit_in_bytes");
  if (!limit) return std::nullopt;
  if (v2) limit = std::min(*limit, number("/memory.high").value_or(UINT64_MAX));
  if (*limit >= kNoLimitBytes) return std::nullopt;
  auto used = number(v2 ? "/memory.current" : "/memory.usage_in_bytes");
  auto stat = text_of(folder + "/memory.stat");
  if (!used || !stat) return std::nullopt;
  const GroupCaches caches = parse_group_caches(*stat, v2);
  const uint32_t permille = permille_of(*used - std::min(caches.reclaimable_bytes, *used), *limit);
  if (permille >= kInUsePermille) {
    unwritten_permille_ =
        std::max(unwritten_permille_, permille_of(caches.unwritten_bytes, *limit));
  }
  return permille;
}

std::optional<uint32_t> PressureReader::stall_permille(uint64_t now_ms, Reading reading,
                                                       StallMeter& meter) {
  StallFile file = stall_file(reading);
  std::string path = own_psi_
                         ? fmt::format("{}{}/{}.pressure", place_->mount, place_->path, file.name)
                         : fmt::format("/proc/pressure/{}", file.name);
  // Without the kernel's accounting there is nothing to ask again for.
  if (complained_.contains(path)) return std::nullopt;
  auto text = text_of(path);
  auto totals = text ? parse_psi(*text) : std::nullopt;
  auto total_us = totals ? (file.full ? totals->full_us : totals->some_us) : std::nullopt;
  if (!total_us) {
    complain(path, "makes no sense");
    meter.reset();
    return std::nullopt;
  }
  return meter.update(now_ms, *total_us);
}

}  // namespace dormouse::tuning
