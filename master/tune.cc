#include "master/tune.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>

#include "role/log.h"
#include "tuning/tune_advice.h"
#include "tuning/tune_apply.h"

namespace dormouse::master {

int tune(const TuneOptions& options) {
  tuning::TuneWish wish{.sessions = options.sessions, .inotify = options.inotify};
  if (wish.sessions == 0) {
    auto settings = read_settings(options.settings_file);
    if (!settings) {
      fmt::print(stderr, "{}\n(or say --sessions)\n", settings.error().message);
      return EX_CONFIG;
    }
    wish.sessions = settings->sessions;
    wish.inotify = wish.inotify || settings->wire.watch().backend() == "inotify";
  }
  auto machine = tuning::read_machine(options.root);
  if (!machine) {
    fmt::print(stderr, "{}\n", machine.error().message);
    return EX_OSFILE;
  }
  tuning::TuneReport report = tuning::advise_machine(*machine, wish);
  fmt::print("{}", tuning::tune_text(report));
  bool failed = false;
  if (options.apply) {
    tuning::TuneDone done = tuning::apply_tuning(report, options.root);
    fmt::print("\n");
    for (const std::string& line : done.lines) fmt::print("{}\n", line);
    if (done.lines.empty() && done.failures.empty()) fmt::print("nothing to do\n");
    for (const std::string& line : done.failures) fmt::print(stderr, "not done: {}\n", line);
    failed = !done.failures.empty();
    machine = tuning::read_machine(options.root);
    if (machine) report = tuning::advise_machine(*machine, wish);
  }
  if (std::fflush(stdout) != 0) return EX_IOERR;
  if (failed) return EX_NOPERM;
  return report.state() == tuning::TuneRow::State::kShort ? EX_UNAVAILABLE : EX_OK;
}

void warn_of_limits(const Settings& settings, uint64_t open_files, bool inotify) {
  auto machine = tuning::read_machine("");
  if (!machine) {
    role::log_warning("limits-unknown", {{"reason", machine.error().message}});
    return;
  }
  machine->open_files_hard = open_files;
  auto report =
      tuning::advise_machine(*machine, {.sessions = settings.sessions, .inotify = inotify});
  for (const tuning::TuneRow& row : report.rows) {
    if (row.state != tuning::TuneRow::State::kShort) continue;
    role::log_warning("sessions-do-not-fit", {{"what", row.name},
                                              {"sessions", settings.sessions},
                                              {"needs", row.needs},
                                              {"has", row.has.value_or(0)},
                                              {"why", row.why},
                                              {"then", "dormouse tune"}});
  }
}

}  // namespace dormouse::master
