#include "store/boots.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "store/files.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

std::string_view without_end(std::string_view line) { return line.substr(0, line.find('\n')); }

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view line = without_end(text);
    if (!line.empty()) lines.push_back(line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return lines;
}

Result<std::string> read_ledger(const std::string& path) {
  STORE_ASSIGN(auto text, read_small_file(path, kCleanBootsBytesMax));
  return text ? std::move(*text) : std::string();
}

// replace_file() syncs the bytes; the name is as old as its directory says.
Result<> write_ledger(const std::string& path, const std::vector<std::string_view>& boots) {
  std::string text;
  size_t first = boots.size() > kCleanBootsMax ? boots.size() - kCleanBootsMax : 0;
  for (size_t i = first; i < boots.size(); ++i) {
    text += boots[i];
    text += '\n';
  }
  STORE_TRY(replace_file(path, text));
  return fsync_directory(path.substr(0, path.rfind('/')));
}

}  // namespace

const std::string& this_boot() {
  // Read once: a process does not outlive its boot.
  static const std::string boot = [] {
    auto text = read_small_file("/proc/sys/kernel/random/boot_id", 4096);
    if (!text || !*text || without_end(**text).empty()) return std::string("unknown");
    return std::string(without_end(**text));
  }();
  return boot;
}

Result<std::string> take_clean_boots(const std::string& path) {
  STORE_ASSIGN(std::string text, read_ledger(path));
  std::vector<std::string_view> boots = lines_of(text);
  if (std::erase(boots, this_boot()) == 0) return text;
  STORE_TRY(write_ledger(path, boots));
  return read_ledger(path);
}

Result<> enter_clean_boot(const std::string& path) {
  // One id for all boots says nothing.
  if (this_boot() == "unknown") return {};
  STORE_ASSIGN(std::string text, read_ledger(path));
  std::vector<std::string_view> boots = lines_of(text);
  std::erase(boots, this_boot());
  boots.push_back(this_boot());
  sync();
  return write_ledger(path, boots);
}

bool is_clean_boot(std::string_view clean_boots, std::string_view boot) {
  std::vector<std::string_view> boots = lines_of(clean_boots);
  return std::ranges::find(boots, boot) != boots.end();
}

}  // namespace dormouse::store
