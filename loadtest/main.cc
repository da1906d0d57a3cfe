// dormouse-load: load for IMAP servers. `sleep` is many idle clients.

#include <CLI/CLI.hpp>
#include <csignal>

#include "loadtest/sleep_command.h"

namespace {

using dormouse::loadtest::SleepOptions;

void add_connection_options(CLI::App& sleep, SleepOptions& options) {
  sleep.add_option("--target", options.target, "ADDRESS:PORT, numeric")->capture_default_str();
  sleep.add_flag("--allow-remote", options.allow_remote, "let --target be off loopback");
  auto* tls = sleep.add_flag("--tls", options.tls, "TLS from the first byte");
  sleep.add_flag("--plain", options.plain, "no TLS (the default)")->excludes(tls);
  sleep.add_option("--tls-version", options.tls_version, "1.2 or 1.3; either by default")
      ->needs(tls);
  sleep.add_option("--tls-ca", options.tls_ca, "PEM of trusted roots; else nothing is verified")
      ->needs(tls);
  sleep.add_option("--server-name", options.server_name, "SNI, and the name to verify");
  sleep.add_option("--sources", options.sources,
                   "loopback source addresses (0: one per 50 sessions)");
  sleep.add_option("--sockets-per-shard", options.sockets_per_shard,
                   "sockets of one ring (0: as many as RLIMIT_NOFILE)");
}

void add_user_options(CLI::App& sleep, SleepOptions& options) {
  sleep.add_option("-n,--sessions", options.sessions, "clients")->capture_default_str();
  sleep.add_option("--user", options.user, "user name; %d or %05d is the user's number")
      ->capture_default_str();
  sleep.add_option("--password", options.password, "the same for passwords")->capture_default_str();
  sleep.add_option("--users", options.users, "users that the sessions are dealt out to")
      ->capture_default_str();
  sleep.add_option("--first-user", options.first_user, "number of the first")
      ->capture_default_str();
  sleep.add_option("--mailbox", options.mailbox, "what they SELECT")->capture_default_str();
  sleep.add_option("--compress", options.compress, "share of them that use COMPRESS, 0 to 1");
  sleep.add_option("--headers", options.headers, "newest messages whose headers they FETCH first");
}

void add_load_options(CLI::App& sleep, SleepOptions& options) {
  sleep.add_option("--ramp", options.ramp, "new clients a second (0: as fast as it goes)");
  sleep.add_option("--parallel", options.parallel, "logins under way at most")
      ->capture_default_str();
  sleep.add_option("--login-timeout", options.login_timeout, "seconds from connect to IDLE")
      ->capture_default_str();
  sleep.add_option("--maildir", options.maildir, "where to deliver; %u user, %n@%d its parts");
  sleep.add_option("--message-bytes", options.message_bytes, "size of a delivered message")
      ->capture_default_str();
  sleep.add_option("--deliveries", options.deliveries, "messages to deliver, to users in turn");
  sleep.add_option("--done", options.done, "sessions that say DONE and IDLE again");
  sleep.add_option("--command", options.commands, "sessions that say DONE and a command");
  sleep.add_option("--command-text", options.command_text,
                   "that command (default: FETCH 1 (FLAGS), NOOP in an empty mailbox)");
  sleep.add_option("--rate", options.rate, "of the three, per second (0: all at once)")
      ->capture_default_str();
  sleep.add_option("--park-wait", options.park_wait, "seconds of quiet before each of the three")
      ->capture_default_str();
  sleep.add_option("--hold", options.hold, "seconds to sleep on at the end");
  sleep.add_flag("--logout", options.logout, "LOGOUT at the end, instead of closing");
  sleep.add_option("--json", options.json_path, "file for all results");
  sleep.add_option("--control", options.control_path,
                   "take commands from a FIFO, or - for standard input; see docs/load.md");
  sleep.add_flag("-q,--quiet", options.quiet, "no progress on standard error");
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Load for IMAP servers: dormouse-load COMMAND --help");
  app.require_subcommand(1);
  SleepOptions options;
  CLI::App* sleep = app.add_subcommand("sleep", "many clients that sleep in IDLE");
  add_connection_options(*sleep, options);
  add_user_options(*sleep, options);
  add_load_options(*sleep, options);
  CLI11_PARSE(app, argc, argv);
  return dormouse::loadtest::sleep_command(options);
}
