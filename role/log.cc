#include "role/log.h"

#include <time.h>
#include <unistd.h>

#include <atomic>

namespace dormouse::role {
namespace {

// PIPE_BUF: a line up to this long is written to a pipe as a whole, so roles do not mix theirs.
constexpr size_t kLineBytesMax = 4096;
constexpr std::string_view kCut = "...\n";

// Who writes, and from which level on: set at the start of the process and at a reload.
std::string& identity() {
  static std::string name = "dormouse";
  return name;
}
std::atomic<LogLevel> least_level{LogLevel::kInfo};

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "?";
}

bool is_plain(unsigned char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '='; }

// Everything outside printable ASCII is shown as \xNN: no terminal or log reader is trusted with
// a client's bytes.
void append_value(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (char c : value) plain = plain && is_plain(static_cast<unsigned char>(c));
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (char c : value) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (byte >= ' ' && byte < 0x7f) {
      line += c;
    } else {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
    }
    if (line.size() > kLineBytesMax) break;
  }
  line += '"';
}

void append_time(std::string& line) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, now.tv_nsec / 1'000'000);
}

}  // namespace

void set_log_identity(std::string_view role, unsigned index) {
  identity() = fmt::format("{}[{}]", role, index);
}

void set_log_level(LogLevel level) { least_level.store(level, std::memory_order_relaxed); }
LogLevel log_level() { return least_level.load(std::memory_order_relaxed); }

LogLevel log_level_from(std::string_view name) {
  for (auto level : {LogLevel::kDebug, LogLevel::kWarning, LogLevel::kError}) {
    if (name == level_name(level)) return level;
  }
  return LogLevel::kInfo;
}

std::string format_log_line(LogLevel level, std::string_view event,
                            std::initializer_list<LogField> fields) {
  std::string line;
  append_time(line);
  line += ' ';
  line += level_name(level);
  line += ' ';
  line += identity();
  line += ' ';
  line += event;
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
    if (line.size() > kLineBytesMax) break;
  }
  line += '\n';
  if (line.size() > kLineBytesMax) {
    line.resize(kLineBytesMax - kCut.size());
    line += kCut;
  }
  return line;
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < log_level()) return;
  std::string line = format_log_line(level, event, fields);
  // Nobody to tell when standard error is gone.
  [[maybe_unused]] ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace dormouse::role
