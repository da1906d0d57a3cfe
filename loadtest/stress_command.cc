#include "loadtest/stress_command.h"

#include <fmt/format.h>

#include <cstdio>

#include "loadtest/clock.h"
#include "loadtest/stress/mail.h"

namespace dormouse::loadtest {
namespace {

// A coroutine and a socket each; more sessions than that are for `sleep`.
constexpr uint32_t kClientsMax = 15'000;
constexpr uint32_t kPipelineMax = 100;

io::Task<int> run_all(stress::StressRun* run) {
  co_await run->run();
  co_return run->totals().clean() ? 0 : 1;
}

bool write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  fmt::print(file, "{}\n", text);
  return std::fclose(file) == 0;
}

}  // namespace

Result<stress::RunSettings> stress_settings(const StressOptions& options) {
  auto target = target_of(options);
  if (!target) return std::unexpected(target.error());
  auto names = names_of(options);
  if (!names) return std::unexpected(names.error());
  auto tls = tls_of(options);
  if (!tls) return std::unexpected(tls.error());
  if (options.clients == 0 || options.clients > kClientsMax || options.pipeline == 0 ||
      options.pipeline > kPipelineMax || options.messages == 0 ||
      options.messages > stress::MailboxView::kMessagesMax / 2 ||
      options.message_bytes > stress::kMailBodyBytesMax) {
    return fail(ErrorKind::kInvalid,
                fmt::format("--clients: 1 to {}; --pipeline: 1 to {}; --messages: 1 to {}; "
                            "--message-bytes: 0 to {}",
                            kClientsMax, kPipelineMax, stress::MailboxView::kMessagesMax / 2,
                            stress::kMailBodyBytesMax));
  }
  stress::RunSettings settings;
  for (const std::string& state : options.states) {
    if (auto set = settings.client.states.set(state); !set) return std::unexpected(set.error());
  }
  settings.target = *target;
  settings.tls = *tls;
  settings.server_name = options.server_name;
  settings.user = names->user;
  settings.password = names->password;
  settings.first_user = options.first_user;
  settings.users = options.users;
  settings.sources = sources_of(options, options.clients);
  settings.clients = options.clients;
  settings.client.mailbox = options.mailbox;
  settings.client.messages = options.messages;
  settings.client.body_bytes_max = options.message_bytes;
  settings.client.pipeline = options.pipeline;
  settings.client.idle_ms_max = options.idle_ms;
  settings.client.extensions = !options.no_extensions;
  settings.client.fresh = !options.no_fresh;
  settings.client.seed = options.seed != 0 ? options.seed : now_us();
  settings.seconds = options.seconds;
  settings.stall_seconds = options.stall;
  settings.violations_max = options.violations_max;
  settings.may_disconnect = options.may_disconnect;
  settings.quiet = options.quiet;
  return settings;
}

int stress_command(const StressOptions& options) {
  raise_open_files();
  auto report = [](const Error& error) {
    fmt::print(stderr, "dormouse-load: {}\n", error.message);
    return 2;
  };
  auto settings = stress_settings(options);
  if (!settings) return report(settings.error());
  auto loop = io::Loop::create();
  if (!loop) return report(loop.error());
  auto run = stress::StressRun::create(**loop, std::move(*settings));
  if (!run) return report(run.error());
  int code = (*loop)->run(run_all(run->get()));
  fmt::print("{}", (*run)->report());
  if (!options.json_path.empty() && !write_file(options.json_path, (*run)->json())) {
    fmt::print(stderr, "dormouse-load: cannot write {}\n", options.json_path);
    return 2;
  }
  return code;
}

}  // namespace dormouse::loadtest
