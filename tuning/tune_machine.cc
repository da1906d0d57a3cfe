#include "tuning/tune_machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <span>
#include <string_view>
#include <vector>

#include "io/fd.h"

namespace dormouse::tuning {
namespace {

// /proc/self/limits and /proc/meminfo are under 2 KiB; the others are a line.
constexpr size_t kFileBytesMax = 16 * 1024;

std::optional<std::string> read_file(const std::string& path) {
  io::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text(kFileBytesMax, '\0');
  size_t size = 0;
  while (size < text.size()) {
    ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += size_t(got);
  }
  text.resize(size);
  return text;
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n";
  std::vector<std::string_view> words;
  while (true) {
    size_t begin = text.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    size_t end = std::min(text.find_first_of(kSpaces), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

bool parse(std::string_view word, uint64_t& value) {
  if (word == "unlimited") {
    value = UINT64_MAX;
    return true;
  }
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size();
}

// The first numbers of a file of /proc/sys.
class Reader {
 public:
  explicit Reader(const std::string& root) : root_(root) {}

  void numbers(const std::string& name, std::span<uint64_t> out, bool& there) {
    auto text = read_file(root_ + name);
    there = text.has_value();
    if (!there) return;
    auto words = words_of(*text);
    bool sound = words.size() >= out.size();
    for (size_t i = 0; sound && i < out.size(); ++i) sound = parse(words[i], out[i]);
    if (!sound) refuse(name);
  }
  void number(const std::string& name, std::optional<uint64_t>& out) {
    uint64_t value = 0;
    bool there = false;
    numbers(name, {&value, 1}, there);
    if (there) out = value;
  }
  template <size_t N>
  void several(const std::string& name, std::optional<std::array<uint64_t, N>>& out) {
    std::array<uint64_t, N> values{};
    bool there = false;
    numbers(name, values, there);
    if (there) out = values;
  }
  // The number behind `label`, `skip` words later.
  void labelled(const std::string& name, std::string_view label, size_t skip,
                std::optional<uint64_t>& out) {
    auto text = read_file(root_ + name);
    if (!text) return;
    size_t at = text->find(label);
    if (at == std::string::npos) return;
    std::string_view line = std::string_view(*text).substr(at + label.size());
    line = line.substr(0, line.find('\n'));
    auto words = words_of(line);
    uint64_t value = 0;
    if (words.size() <= skip || !parse(words[skip], value)) return refuse(name);
    out = value;
  }
  const std::string& complaint() const { return complaint_; }

 private:
  void refuse(const std::string& name) {
    if (complaint_.empty()) complaint_ = root_ + name + ": not what the kernel writes";
  }

  std::string root_;
  std::string complaint_;
};

}  // namespace

Result<Machine> read_machine(const std::string& root) {
  Machine machine;
  machine.page_bytes = uint64_t(sysconf(_SC_PAGESIZE));
  Reader reader(root);
  reader.labelled("/proc/meminfo", "MemTotal:", 0, machine.memory_bytes);
  if (machine.memory_bytes) *machine.memory_bytes *= 1024;
  // "Max open files            1024                 1048576              files": soft, hard.
  reader.labelled("/proc/self/limits", "Max open files", 1, machine.open_files_hard);
  reader.labelled("/proc/self/limits", "Max locked memory", 1, machine.locked_bytes_hard);
  reader.number("/proc/sys/fs/nr_open", machine.nr_open);
  reader.number("/proc/sys/fs/file-max", machine.file_max);
  reader.number("/proc/sys/fs/file-nr", machine.files_open);
  reader.several("/proc/sys/net/ipv4/tcp_mem", machine.tcp_mem);
  reader.several("/proc/sys/net/ipv4/tcp_rmem", machine.tcp_rmem);
  reader.several("/proc/sys/net/ipv4/tcp_wmem", machine.tcp_wmem);
  reader.number("/proc/sys/net/core/somaxconn", machine.somaxconn);
  reader.number("/proc/sys/net/ipv4/tcp_max_syn_backlog", machine.syn_backlog);
  reader.number("/proc/sys/fs/fanotify/max_queued_events", machine.fanotify_queued);
  reader.number("/proc/sys/fs/inotify/max_user_watches", machine.inotify_watches);
  reader.number("/proc/sys/fs/inotify/max_user_instances", machine.inotify_instances);
  reader.number("/proc/sys/fs/inotify/max_queued_events", machine.inotify_queued);
  reader.several("/proc/sys/net/ipv4/ip_local_port_range", machine.port_range);
  if (!reader.complaint().empty()) return fail(ErrorKind::kInvalid, reader.complaint());
  return machine;
}

}  // namespace dormouse::tuning
