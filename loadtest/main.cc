// dormouse-load: load for IMAP servers. `sleep` is many idle clients, `stress` busy ones, `storm`
// all at once, `soak` both for a long time. `simulate` needs no server: it replays traces of
// clients under park policies.

#include <CLI/CLI.hpp>
#include <csignal>

#include "loadtest/simulate_command.h"
#include "loadtest/sleep_command.h"
#include "loadtest/soak_command.h"
#include "loadtest/stress_command.h"

namespace {

using dormouse::loadtest::ConnectionOptions;
using dormouse::loadtest::SimulateOptions;
using dormouse::loadtest::SleepOptions;
using dormouse::loadtest::SoakOptions;
using dormouse::loadtest::StressOptions;

void add_connection_options(CLI::App& command, ConnectionOptions& options) {
  command.add_option("--target", options.target, "ADDRESS:PORT, numeric")->capture_default_str();
  command.add_flag("--allow-remote", options.allow_remote, "let --target be off loopback");
  auto* tls = command.add_flag("--tls", options.tls, "TLS from the first byte");
  command.add_flag("--plain", options.plain, "no TLS (the default)")->excludes(tls);
  command.add_option("--tls-version", options.tls_version, "1.2 or 1.3; either by default")
      ->needs(tls);
  command.add_option("--tls-ca", options.tls_ca, "PEM of trusted roots; else nothing is verified")
      ->needs(tls);
  command
      .add_flag("--tls-resume", options.tls_resume,
                "resume the first connection's TLS 1.3 session: no full handshakes, a faster ramp")
      ->needs(tls);
  command.add_option("--server-name", options.server_name, "SNI, and the name to verify");
  command.add_option("--sources", options.sources,
                     "loopback source addresses (0: one per 50 sessions)");
  command.add_option("--user", options.user, "user name; %d or %05d is the user's number")
      ->capture_default_str();
  command.add_option("--password", options.password, "the same for passwords")
      ->capture_default_str();
  command.add_option("--users", options.users, "users that the clients are dealt out to")
      ->capture_default_str();
  command.add_option("--together", options.together,
                     "so many clients in a row are one user's (0: users take turns)");
  command.add_option("--first-user", options.first_user, "number of the first")
      ->capture_default_str();
  command.add_option("--mailbox", options.mailbox, "what they SELECT")->capture_default_str();
}

void add_session_options(CLI::App& sleep, SleepOptions& options) {
  sleep.add_option("-n,--sessions", options.sessions, "clients")->capture_default_str();
  sleep.add_option("--poll", options.poll, "share of them that does not IDLE, but polls, 0 to 1");
  sleep.add_option("--poll-every", options.poll_every, "seconds between two NOOPs of one of those")
      ->capture_default_str();
  sleep.add_option("--notify", options.notify, "share of them that asks for NOTIFY, not IDLE");
  sleep.add_flag("--may-drop-awake", options.may_drop_awake,
                 "lost sessions that were not asleep for --park-wait are counted, and come back");
  sleep.add_option("--compress", options.compress, "share of them that use COMPRESS, 0 to 1");
  sleep.add_option("--headers", options.headers, "newest messages whose headers they FETCH first");
  sleep.add_option("--sockets-per-shard", options.sockets_per_shard,
                   "sockets of one ring (0: as many as RLIMIT_NOFILE)");
}

void add_stress_options(CLI::App& stress, StressOptions& options) {
  stress.add_option("-n,--clients", options.clients, "clients")->capture_default_str();
  stress.add_option("--secs", options.seconds, "how long (0: for ever)")->capture_default_str();
  stress.add_option("--msgs", options.messages, "messages that a mailbox is kept at, about")
      ->capture_default_str();
  stress.add_option("--message-bytes", options.message_bytes, "largest body that is appended")
      ->capture_default_str();
  stress.add_option("--seed", options.seed, "of the random choices (0: the clock)");
  stress.add_option("--pipeline", options.pipeline, "commands of a client under way at most")
      ->capture_default_str();
  stress.add_option("--idle-ms", options.idle_ms, "longest IDLE")->capture_default_str();
  stress
      .add_option("--state", options.states,
                  "STATE=CHANCE[,AGAIN] in percent, as often as wanted; see docs/load.md")
      ->allow_extra_args(false);
  stress.add_flag("--no-extensions", options.no_extensions, "neither CONDSTORE nor QRESYNC");
  stress.add_flag("--no-fresh", options.no_fresh,
                  "a NOOP may leave out what other clients changed before it");
  stress.add_flag("--may-disconnect", options.may_disconnect,
                  "lost connections are counted, but no violation");
  stress.add_option("--stall", options.stall, "seconds without an answer that are a violation")
      ->capture_default_str();
  stress.add_option("--violations", options.violations_max, "after so many the run ends")
      ->capture_default_str();
  stress.add_option("--json", options.json_path, "file for the totals");
  stress.add_flag("-q,--quiet", options.quiet, "only the totals");
}

void add_storm_options(CLI::App& storm, SleepOptions& options) {
  options.storms = 3;
  options.parallel = 0;
  storm.add_option("--storms", options.storms, "how often all are cut off and come back")
      ->capture_default_str();
  storm.add_option("--parallel", options.parallel, "logins under way at most (0: all)");
  storm.add_option("--login-timeout", options.login_timeout, "seconds from connect to IDLE")
      ->capture_default_str();
  storm.add_option("--json", options.json_path, "file for all results");
  storm.add_option("--plot", options.plot_path, "file for a plot over time (SVG)");
  storm.add_flag("-q,--quiet", options.quiet, "no progress on standard error");
}

void add_hold_options(CLI::App& sleep, SleepOptions& options) {
  sleep.add_option("--hold-deliver", options.hold_deliver, "messages delivered a second meanwhile");
  sleep.add_option("--hold-done", options.hold_done,
                   "sessions a second that say DONE and IDLE again");
  sleep.add_option("--hold-command", options.hold_command, "sessions a second that say a command");
  sleep.add_option("--hold-leave", options.hold_leave,
                   "sessions a second that leave, half of them with LOGOUT, and come back");
}

void add_soak_options(CLI::App& soak, SoakOptions& options) {
  soak.add_option("--secs", options.seconds, "how long")->capture_default_str();
  soak.add_option("--ramp", options.ramp, "new sleepers a second (0: as fast as it goes)");
  soak.add_option("--parallel", options.parallel, "their logins under way at most")
      ->capture_default_str();
  soak.add_option("--login-timeout", options.login_timeout, "seconds from connect to IDLE")
      ->capture_default_str();
  soak.add_option("--maildir", options.maildir, "where to deliver; %u user, %n@%d its parts");
  soak.add_option("--park-wait", options.park_wait,
                  "seconds after which a sleeper is parked for sure")
      ->capture_default_str();
  soak.add_option("--stress-clients", options.stress_clients, "busy clients")
      ->capture_default_str();
  soak.add_option("--stress-users", options.stress_users, "users of theirs")->capture_default_str();
  soak.add_option("--stress-first-user", options.stress_first_user,
                  "number of the first (0: behind the sleepers' last)");
  soak.add_option("--seed", options.seed, "of their random choices (0: the clock)");
  soak.add_option("--server-pid", options.server_pids,
                  "a process of the server (its children are watched with it), or a file of ids")
      ->allow_extra_args(false);
  soak.add_option("--leak-every", options.leak_every, "seconds between two looks at their memory")
      ->capture_default_str();
  soak.add_option("--leak-mib", options.leak_mib, "growth that is a leak, in MiB")
      ->capture_default_str();
  soak.add_option("--json", options.json_path, "file for all results");
  soak.add_option("--plot", options.plot_path, "file for a plot over time (SVG)");
  soak.add_flag("-q,--quiet", options.quiet, "no progress on standard error");
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
  sleep.add_option("--plot", options.plot_path, "file for a plot over time (SVG)");
  sleep.add_option("--control", options.control_path,
                   "take commands from a FIFO, or - for standard input; see docs/load.md");
  sleep.add_flag("-q,--quiet", options.quiet, "no progress on standard error");
}

void add_simulate_options(CLI::App& simulate, SimulateOptions& options) {
  simulate.add_option("traces", options.traces,
                      "files of `dormouse trace` (default: invented ones)");
  simulate.add_option("--users", options.users, "of the invented traces")->capture_default_str();
  simulate.add_option("--hours", options.hours, "of the invented traces")
      ->check(CLI::Range(1, 24 * 31))
      ->capture_default_str();
  simulate.add_option("--seed", options.seed, "of the invented traces")->capture_default_str();
  simulate.add_option("--write", options.write_path, "write the invented mixed trace there");
  simulate.add_option("--json", options.json_path, "file for all results");
  simulate.add_option("--plot", options.plot_path,
                      "file for a plot of worker-seconds over latency added (SVG)");
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Load for IMAP servers: dormouse-load COMMAND --help");
  app.require_subcommand(1);
  SleepOptions options;
  CLI::App* sleep = app.add_subcommand("sleep", "many clients that sleep in IDLE");
  add_connection_options(*sleep, options);
  add_session_options(*sleep, options);
  add_load_options(*sleep, options);
  add_hold_options(*sleep, options);
  SleepOptions storm_options;
  CLI::App* storm = app.add_subcommand("storm", "clients that come all at once, again and again");
  add_connection_options(*storm, storm_options);
  add_session_options(*storm, storm_options);
  add_storm_options(*storm, storm_options);
  SoakOptions soak_options;
  CLI::App* soak = app.add_subcommand("soak", "sleepers and busy clients for a long time");
  add_connection_options(*soak, soak_options);
  add_session_options(*soak, soak_options);
  add_hold_options(*soak, soak_options);
  add_soak_options(*soak, soak_options);
  StressOptions stress_options;
  CLI::App* stress = app.add_subcommand("stress", "clients that do anything, and check everything");
  add_connection_options(*stress, stress_options);
  add_stress_options(*stress, stress_options);
  SimulateOptions simulate_options;
  CLI::App* simulate = app.add_subcommand("simulate", "what park policies would cost, by traces");
  add_simulate_options(*simulate, simulate_options);
  CLI11_PARSE(app, argc, argv);
  if (simulate->parsed()) return dormouse::loadtest::simulate_command(simulate_options);
  if (soak->parsed()) return dormouse::loadtest::soak_command(soak_options);
  if (storm->parsed()) return dormouse::loadtest::storm_command(storm_options);
  if (stress->parsed()) return dormouse::loadtest::stress_command(stress_options);
  return dormouse::loadtest::sleep_command(options);
}
