#include "tuning/tune_apply.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::tuning {
namespace {

constexpr std::string_view kSysctlFile = "/etc/sysctl.d/60-dormouse.conf";
constexpr std::string_view kUnitFile = "/etc/systemd/system/dormouse.service.d/tune.conf";
constexpr std::string_view kSysctlHead = "# Written by `dormouse tune --apply`.\n";
constexpr std::string_view kUnitHead = "# Written by `dormouse tune --apply`.\n[Service]\n";
// Our own files are some lines; one that somebody has made long is not ours.
constexpr size_t kLinesMax = 1'000;

Result<> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, path);
    text.remove_prefix(size_t(written));
  }
  return {};
}

// In one piece: a boot in between finds the old file or the new one.
Result<> replace_file(const std::string& path, std::string_view text) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error) return fail_errno(error.value(), path);
  std::string fresh = path + ".new";
  io::Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail_errno(errno, fresh);
  if (auto done = write_all(fd.get(), text, fresh); !done) return done;
  if (::fsync(fd.get()) != 0) return fail_errno(errno, fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, path);
  return {};
}

std::string trimmed(const std::string& text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// "key = value" lines; anything else is dropped with the file that it stood in.
std::map<std::string, std::string> read_assignments(const std::string& path) {
  std::map<std::string, std::string> found;
  std::ifstream file(path);
  std::string line;
  for (size_t lines = 0; lines < kLinesMax && std::getline(file, line); ++lines) {
    size_t equals = line.find('=');
    if (line.starts_with('#') || equals == std::string::npos) continue;
    found[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
  }
  return found;
}

// What persists, in one file of assignments.
class Assignments {
 public:
  Assignments(std::string path, std::string_view head, std::string_view between)
      : path_(std::move(path)), head_(head), between_(between), values_(read_assignments(path_)) {}

  void set(const std::string& key, const std::string& value) {
    if (values_[key] == value) return;
    values_[key] = value;
    changed_ = true;
  }
  void write(TuneDone& done) const {
    if (!changed_) return;
    std::string text = head_;
    for (const auto& [key, value] : values_) text += key + between_ + value + "\n";
    auto written = replace_file(path_, text);
    if (written) {
      done.lines.push_back(path_ + ": written");
    } else {
      done.failures.push_back(written.error().message);
    }
  }

 private:
  std::string path_;
  std::string head_;
  std::string between_;
  std::map<std::string, std::string> values_;
  bool changed_ = false;
};

Result<> set_now(const std::string& root, const std::string& sysctl, const std::string& value) {
  std::string path = root + "/proc/sys/" + sysctl;
  std::replace(path.begin() + ptrdiff_t(root.size()), path.end(), '.', '/');
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) return fail_errno(errno, path);
  return write_all(fd.get(), value + "\n", path);
}

}  // namespace

TuneDone apply_tuning(const TuneReport& report, const std::string& root) {
  TuneDone done;
  Assignments sysctls(root + std::string(kSysctlFile), kSysctlHead, " = ");
  Assignments unit(root + std::string(kUnitFile), kUnitHead, "=");
  for (const TuneRow& row : report.rows) {
    bool wanted = row.state == TuneRow::State::kTight || row.state == TuneRow::State::kShort;
    if (!wanted) continue;
    if (!row.sysctl.empty()) {
      std::string line = row.sysctl + " = " + row.value;
      if (auto set = set_now(root, row.sysctl, row.value); set) {
        done.lines.push_back(line + ": set");
        // What the kernel does not take now would only be an error at every boot.
        sysctls.set(row.sysctl, row.value);
      } else {
        done.failures.push_back(line + ": " + set.error().message);
      }
    }
    if (size_t equals = row.unit_line.find('='); equals != std::string::npos) {
      unit.set(row.unit_line.substr(0, equals), row.unit_line.substr(equals + 1));
    }
  }
  sysctls.write(done);
  unit.write(done);
  return done;
}

}  // namespace dormouse::tuning
