#pragma once
// Structured log lines on standard error: `time level role[index] event key=value ...`. Values are
// quoted when they need it and control characters escaped, so a client cannot forge a line. Never a
// secret, never mail content. Libraries do not log; roles do.

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace dormouse::role {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  template <class T>
  LogField(std::string_view name, const T& v) : key(name), value(fmt::format("{}", v)) {}
  std::string_view key;
  std::string value;
};

// Set once by the role's start: the name in every line and the least level that is written.
void set_log_identity(std::string_view role, unsigned index);
void set_log_level(LogLevel level);
LogLevel log_level();
// "debug", "info", "warning", "error"; anything else is info.
LogLevel log_level_from(std::string_view name);

// The line log() writes, with its end of line; at most 4096 bytes (PIPE_BUF), then cut.
std::string format_log_line(LogLevel level, std::string_view event,
                            std::initializer_list<LogField> fields);

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
inline void log_debug(std::string_view event, std::initializer_list<LogField> fields = {}) {
  if (log_level() <= LogLevel::kDebug) log(LogLevel::kDebug, event, fields);
}
inline void log_info(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kInfo, event, fields);
}
inline void log_warning(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kWarning, event, fields);
}
inline void log_error(std::string_view event, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kError, event, fields);
}

}  // namespace dormouse::role
