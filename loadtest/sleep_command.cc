#include "loadtest/sleep_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "loadtest/control.h"

namespace dormouse::loadtest {
namespace {

constexpr double kPollEveryMin = 0.01;  // seconds; more often is `stress`
constexpr double kDay = 86'400;

void answer(const std::string& json) {
  fmt::print("{}\n", json);
  std::fflush(stdout);
}

// Runs one command line; the answer goes to standard output and to `results`.
io::Task<bool> run_line(Driver* driver, std::string line, std::vector<std::string>* results) {
  auto command = Command::parse(line);
  std::string json;
  if (command) {
    json = co_await driver->run(*command);
  } else {
    JsonObject refusal;
    refusal.add("command", line.substr(0, 80)).add("ok", false);
    json = refusal.add("error", command.error().message).text();
  }
  answer(json);
  results->push_back(std::move(json));
  co_return !command || command->verb != Verb::kQuit;
}

io::Task<void> follow_control(io::Loop* loop, Driver* driver, Control* control,
                              std::vector<std::string>* results) {
  for (;;) {
    auto line = co_await control->next_line(*loop);
    if (!line) {
      if (line.error().kind != ErrorKind::kClosed) {
        fmt::print(stderr, "dormouse-load: {}\n", line.error().message);
      }
      co_return;
    }
    if (!line->empty() && !co_await run_line(driver, std::move(*line), results)) co_return;
    // Only the latest are of use to the report at the end.
    constexpr size_t kResultsMax = 10'000;
    if (results->size() > kResultsMax) results->erase(results->begin());
  }
}

struct Run {
  io::Loop* loop;
  Progress* progress;
  Driver* driver;
  const SleepOptions* options;
  std::vector<std::string> results;
};

io::Task<int> run_all(Run* run) {
  run->loop->root().spawn(run->progress->run());
  run->driver->connect_all();
  if (run->options->control_path.empty()) {
    for (std::string& line : script(*run->options)) {
      co_await run_line(run->driver, line, &run->results);
    }
  } else {
    auto control = Control::open(run->options->control_path);
    if (!control) {
      fmt::print(stderr, "dormouse-load: {}\n", control.error().message);
      co_return 2;
    }
    co_await follow_control(run->loop, run->driver, &*control, &run->results);
  }
  co_return run->driver->clean() ? 0 : 1;
}

bool write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  bool written = file != nullptr;
  if (written) {
    fmt::print(file, "{}", text);
    written = std::fclose(file) == 0;
  }
  if (!written) fmt::print(stderr, "dormouse-load: cannot write {}\n", path);
  return written;
}

}  // namespace

Result<FleetSettings> fleet_settings(const SleepOptions& options) {
  auto target = target_of(options);
  if (!target) return std::unexpected(target.error());
  if (options.sessions == 0 || options.sessions > kSessionsMax || options.parallel == 0) {
    return fail(ErrorKind::kInvalid,
                fmt::format("--sessions: 1 to {}; --parallel: at least 1", kSessionsMax));
  }
  auto is_share = [](double share) { return share >= 0 && share <= 1; };
  if (!is_share(options.compress) || !is_share(options.poll) || !is_share(options.notify) ||
      options.poll + options.notify > 1) {
    return fail(
        ErrorKind::kInvalid,
        "--compress, --poll and --notify are shares: 0 to 1, the last two together as well");
  }
  if (options.poll > 0 && !(options.poll_every >= kPollEveryMin && options.poll_every <= kDay)) {
    return fail(ErrorKind::kInvalid, "--poll-every: 0.01 seconds to a day");
  }
  if (options.command_text.find_first_of("\r\n") != std::string::npos) {
    return fail(ErrorKind::kInvalid, "--command-text is one line");
  }
  auto names = names_of(options);
  if (!names) return std::unexpected(names.error());
  auto tls = tls_of(options);
  if (!tls) return std::unexpected(tls.error());
  return FleetSettings{.target = *target,
                       .tls = *tls,
                       .tls_resume = options.tls_resume,
                       .server_name = options.server_name,
                       .dialog = {.user = names->user,
                                  .password = names->password,
                                  .first_user = options.first_user,
                                  .users = options.users,
                                  .together = options.together,
                                  .fetch_headers = options.headers,
                                  .poll = options.poll,
                                  .notify = options.notify,
                                  .compress = options.compress,
                                  .mailbox = options.mailbox,
                                  .command = options.command_text},
                       .sessions = options.sessions,
                       .sources = sources_of(options, options.sessions),
                       .sockets_per_shard = options.sockets_per_shard,
                       .login_timeout_ms = uint64_t(options.login_timeout * 1000),
                       .may_drop_awake = options.may_drop_awake,
                       .settle_ms = uint64_t(options.park_wait * 1000)};
}

DriverSettings driver_settings(const SleepOptions& options) {
  return {.ramp_per_second = options.ramp,
          .parallel = options.parallel,
          .maildir = options.maildir,
          .message_bytes = options.message_bytes,
          .poll_every_ms = options.poll > 0 ? uint64_t(options.poll_every * 1000) : 0};
}

std::vector<std::string> script(const SleepOptions& options) {
  // The ramp takes its time; what is bounded is each login.
  std::vector<std::string> lines = {"wait-connected timeout=86400"};
  auto rest = fmt::format("wait-parked quiet={}", options.park_wait);
  if (options.deliveries > 0) {
    lines.push_back(rest);
    lines.push_back(fmt::format("deliver {} rate={}", options.deliveries, options.rate));
  }
  if (options.done > 0) {
    lines.push_back(rest);
    lines.push_back(fmt::format("done {} rate={}", options.done, options.rate));
  }
  if (options.commands > 0) {
    lines.push_back(rest);
    lines.push_back(fmt::format("command {} rate={}", options.commands, options.rate));
  }
  for (uint32_t storm = 0; storm < options.storms; ++storm) {
    lines.push_back("storm timeout=86400");
  }
  if (options.hold > 0) {
    lines.push_back(fmt::format("hold {} deliver={} done={} command={} leave={}", options.hold,
                                options.hold_deliver, options.hold_done, options.hold_command,
                                options.hold_leave));
  }
  if (options.logout) lines.push_back("logout");
  lines.push_back("status");
  return lines;
}

int sleep_command(const SleepOptions& options) {
  raise_open_files();
  auto report = [](const Error& error) {
    fmt::print(stderr, "dormouse-load: {}\n", error.message);
    return 2;
  };
  auto settings = fleet_settings(options);
  if (!settings) return report(settings.error());
  auto loop = io::Loop::create();
  if (!loop) return report(loop.error());
  auto fleet = Fleet::create(**loop, std::move(*settings));
  if (!fleet) return report(fleet.error());
  auto driver = Driver::create(**loop, **fleet, driver_settings(options));
  if (!driver) return report(driver.error());
  Progress progress(**loop, **fleet, options.quiet);
  Run run{.loop = loop->get(),
          .progress = &progress,
          .driver = driver->get(),
          .options = &options,
          .results = {}};
  int code = (*loop)->run(run_all(&run));
  return write_results(options, run.results, **driver, progress) ? code : 2;
}

bool write_results(const SleepOptions& options, const std::vector<std::string>& results,
                   Driver& driver, const Progress& progress) {
  std::string all;
  for (const std::string& result : results) all += (all.empty() ? "" : ",\n  ") + result;
  std::string json = fmt::format("{{\"results\":[\n  {}],\n \"status\":{},\n \"progress\":{}}}\n",
                                 all, driver.status_json(), progress.json());
  bool written = options.json_path.empty() || write_file(options.json_path, json);
  return (options.plot_path.empty() || write_file(options.plot_path, progress.svg())) && written;
}

int storm_command(SleepOptions options) {
  if (options.parallel == 0) options.parallel = std::max(options.sessions, 1u);
  return sleep_command(options);
}

}  // namespace dormouse::loadtest
