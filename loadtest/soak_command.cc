#include "loadtest/soak_command.h"

#include <fmt/format.h>

#include <cstdio>

#include "loadtest/clock.h"
#include "loadtest/leak_watch.h"
#include "loadtest/progress.h"

namespace dormouse::loadtest {
namespace {

struct Soak {
  io::Loop* loop;
  Fleet* fleet;
  Driver* driver;
  stress::StressRun* stress;
  LeakWatch* leaks;  // nullptr: nothing to watch
  const SoakOptions* options;
  bool stress_ended = false;
  bool unreadable = false;  // the server's processes
  std::vector<std::string> results;
};

void answer(Soak* soak, const std::string& json) {
  fmt::print("{}\n", json);
  std::fflush(stdout);
  soak->results.push_back(json);
}

io::Task<void> run_stress(Soak* soak) {
  co_await soak->stress->run();
  soak->stress_ended = true;
}

io::Task<void> watch_leaks(Soak* soak) {
  uint64_t begun_us = now_us();
  for (;;) {
    auto sampled = soak->leaks->sample(double(now_us() - begun_us) / 1e6);
    if (!sampled && !soak->unreadable) {
      fmt::print(stderr, "dormouse-load: --server-pid: {}\n", sampled.error().message);
    }
    soak->unreadable = soak->unreadable || !sampled;
    auto slept = co_await soak->loop->sleep(uint64_t(soak->options->leak_every * 1000));
    if (!slept) co_return;
  }
}

io::Task<void> run_line(Soak* soak, std::string line) {
  auto command = Command::parse(line);
  DORMOUSE_CHECK(command, "our own script");
  answer(soak, co_await soak->driver->run(std::move(*command)));
}

io::Task<int> run_all(Soak* soak) {
  constexpr uint64_t kLookMs = 20;
  const SoakOptions& options = *soak->options;
  soak->driver->connect_all();
  co_await run_line(soak, "wait-connected timeout=86400");
  soak->loop->root().spawn(run_stress(soak));
  if (soak->leaks != nullptr) soak->loop->root().spawn(watch_leaks(soak));
  co_await run_line(soak, fmt::format("hold {} deliver={} done={} command={} leave={}",
                                      options.seconds, options.hold_deliver, options.hold_done,
                                      options.hold_command, options.hold_leave));
  soak->stress->stop();
  while (!soak->stress_ended) {
    if (auto slept = co_await soak->loop->sleep(kLookMs); !slept) break;
  }
  answer(soak, soak->stress->json());
  bool leaks = false;
  if (soak->leaks != nullptr) {
    uint64_t growth_bytes_max = uint64_t{options.leak_mib} << 20;
    answer(soak, soak->leaks->json(growth_bytes_max));
    leaks = soak->unreadable || soak->leaks->leaks(growth_bytes_max);
  }
  co_await run_line(soak, "status");
  fmt::print("{}", soak->stress->report());
  co_return soak->driver->clean() && soak->stress->totals().clean() && !leaks ? 0 : 1;
}

}  // namespace

Result<StressOptions> stress_of(const SoakOptions& options) {
  StressOptions stress;
  static_cast<ConnectionOptions&>(stress) = options;
  stress.clients = options.stress_clients;
  stress.users = options.stress_users;
  stress.first_user = options.stress_first_user;
  if (stress.first_user == 0) stress.first_user = options.first_user + options.users;
  bool apart = stress.first_user >= options.first_user + options.users ||
               stress.first_user + stress.users <= options.first_user;
  if (!apart) {
    return fail(ErrorKind::kInvalid, "busy clients need users of their own: --stress-first-user");
  }
  stress.seed = options.seed;
  stress.may_disconnect = options.may_drop_awake;
  stress.quiet = true;
  return stress;
}

int soak_command(const SoakOptions& options) {
  raise_open_files();
  auto report = [](const Error& error) {
    fmt::print(stderr, "dormouse-load: {}\n", error.message);
    return 2;
  };
  auto settings = fleet_settings(options);
  if (!settings) return report(settings.error());
  auto stress_options = stress_of(options);
  if (!stress_options) return report(stress_options.error());
  auto busy = stress_settings(*stress_options);
  if (!busy) return report(busy.error());
  if (!(options.seconds > 0) || !(options.leak_every >= 0.1)) {
    return report({ErrorKind::kInvalid, "--secs: above 0; --leak-every: at least 0.1"});
  }
  busy->seconds = 0;  // until the sleepers are done
  auto loop = io::Loop::create();
  if (!loop) return report(loop.error());
  auto fleet = Fleet::create(**loop, std::move(*settings));
  if (!fleet) return report(fleet.error());
  auto driver = Driver::create(**loop, **fleet, driver_settings(options));
  if (!driver) return report(driver.error());
  auto stress = stress::StressRun::create(**loop, std::move(*busy));
  if (!stress) return report(stress.error());
  LeakWatch leaks(options.server_pids);
  Soak soak{.loop = loop->get(),
            .fleet = fleet->get(),
            .driver = driver->get(),
            .stress = stress->get(),
            .leaks = options.server_pids.empty() ? nullptr : &leaks,
            .options = &options,
            .results = {}};
  Progress progress(**loop, **fleet, options.quiet);
  progress.watch(stress->get());
  (*loop)->root().spawn(progress.run());
  int code = (*loop)->run(run_all(&soak));
  return write_results(options, soak.results, **driver, progress) ? code : 2;
}

}  // namespace dormouse::loadtest
