// The kernel's files are not hostile, but what stands in their place may be: whatever is read, the
// numbers are bounded and nothing is read beyond the end.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io/result.h"
#include "tuning/pressure_files.h"
#include "tuning/psi.h"

using namespace dormouse;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  tuning::StallMeter meter;
  if (auto totals = tuning::parse_psi(text); totals && totals->some_us) {
    meter.update(1000, 0);
    auto permille = meter.update(2000, *totals->some_us);
    DORMOUSE_CHECK(permille && *permille <= 1000, "a share is a share");
  }
  if (auto memory = tuning::parse_meminfo(text)) {
    DORMOUSE_CHECK(memory->available_bytes <= memory->total_bytes, "not more than there is");
  }
  (void)tuning::parse_bytes(text);
  (void)tuning::parse_group_caches(text, true);
  (void)tuning::parse_group_caches(text, false);
  // mountinfo, a NUL, cgroup.
  size_t end = std::min(text.find('\0'), text.size());
  auto place =
      tuning::find_memory_cgroup(text.substr(0, end), text.substr(std::min(end + 1, text.size())));
  if (place) {
    DORMOUSE_CHECK(place->mount.starts_with('/'), "a mount is somewhere");
    DORMOUSE_CHECK(place->path.empty() || place->path.starts_with('/'), "below the mount");
    DORMOUSE_CHECK(place->path.find("/..") == std::string::npos, "and nothing above it is read");
  }
  return 0;
}
