#include "master/cli.h"

#include <fmt/format.h>
#include <jemalloc/jemalloc.h>
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "master/deliver.h"
#include "master/notify.h"
#include "master/role_entry.h"
#include "master/server.h"
#include "master/settings.h"
#include "master/trace.h"
#include "master/tune.h"
#include "master/who.h"
#include "tls/self_signed.h"

namespace dormouse::master {
namespace {

constexpr const char* kDefaultSettingsFile = "/etc/dormouse/dormouse.toml";

struct Arguments {
  std::string settings_file = kDefaultSettingsFile;
  std::string user;
  std::string mailbox = "INBOX";
  std::string role;
  std::string role_index;
  std::string certificate = "certificate.pem";
  std::string key = "key.pem";
  std::vector<std::string> names = {"localhost", "127.0.0.1"};
  unsigned days = 365;
  bool rsa = false;
  bool sockets = false;
  bool each = false;
  TuneOptions tune;
  TraceOptions trace;
  NotifyRequest notice;
};

// To standard output, in whole or not at all as far as the caller can see.
int print(const std::string& text) {
  bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int complain(int status, const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return status;
}

int check(const Arguments& arguments) {
  auto settings = load_settings(arguments.settings_file);
  if (!settings) return complain(EX_CONFIG, settings.error());
  return print(fmt::format("{}: fine\n", arguments.settings_file));
}

int show(const Arguments& arguments) {
  auto settings = read_settings(arguments.settings_file);
  if (!settings) return complain(EX_CONFIG, settings.error());
  return print(effective_settings_text(*settings));
}

int make_certificate(const Arguments& arguments) {
  tls::SelfSignedSettings settings;
  settings.names = arguments.names;
  settings.key_kind = arguments.rsa ? tls::KeyKind::kRsa2048 : tls::KeyKind::kEcdsaP256;
  settings.valid_days = arguments.days;
  auto made = tls::write_self_signed(settings, arguments.certificate, arguments.key);
  if (!made) return complain(EX_CANTCREAT, made.error());
  return print(fmt::format("wrote {} and {}\n", arguments.certificate, arguments.key));
}

// The allocator in force, so that a build without jemalloc shows itself.
std::string version_text() {
  const char* allocator = "none";
  size_t length = sizeof allocator;
  if (mallctl("version", &allocator, &length, nullptr, 0) != 0) allocator = "none";
  return fmt::format("dormouse {} (jemalloc {})", DORMOUSE_VERSION, allocator);
}

void add_settings_option(CLI::App* command, Arguments& arguments) {
  command->add_option("--config,-c", arguments.settings_file, "the settings file")
      ->capture_default_str();
}

CLI::App* add_notify_command(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand(
      "notify", "tell a server that a mailbox changed, where its file system cannot");
  command->add_option("--user,-u", arguments.notice.user, "whose mailbox")->required();
  command
      ->add_option("--mailbox,-m", arguments.notice.mailbox,
                   "which; empty: the list of mailboxes changed")
      ->capture_default_str();
  command->add_flag("--arrival", arguments.notice.arrival, "mail came, and nothing else");
  command->add_option("--to", arguments.notice.to,
                      "another server's watch.notice_listen, as 192.0.2.1:1234");
  add_settings_option(command, arguments);
  return command;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Dormouse, an IMAP server whose sleeping connections cost next to nothing");
  app.require_subcommand(1);
  app.set_version_flag("--version", version_text());

  CLI::App* serve_command = app.add_subcommand("serve", "run the server in the foreground");
  add_settings_option(serve_command, arguments);

  CLI::App* config = app.add_subcommand("config", "look at settings");
  config->require_subcommand(1);
  CLI::App* check_command =
      config->add_subcommand("check", "tell everything that is wrong with the settings");
  add_settings_option(check_command, arguments);
  CLI::App* show_command =
      config->add_subcommand("show", "print every value and where it comes from");
  add_settings_option(show_command, arguments);
  CLI::App* defaults_command =
      config->add_subcommand("defaults", "print a settings file with every default");
  CLI::App* documentation_command = config->add_subcommand("documentation")->group("");

  CLI::App* deliver_command =
      app.add_subcommand("deliver", "put the mail on standard input into a user's mailbox");
  deliver_command->add_option("user", arguments.user, "whose mailbox")->required();
  deliver_command->add_option("--mailbox,-m", arguments.mailbox, "which")->capture_default_str();
  add_settings_option(deliver_command, arguments);

  CLI::App* who_command = app.add_subcommand("who", "tell what the server's connections are doing");
  who_command
      ->add_flag("--sockets", arguments.sockets,
                 "a census of their TCP sockets: states, memory, round trips, dead peers")
      ->required();
  who_command->add_flag("--each", arguments.each, "a line for every socket, too");
  add_settings_option(who_command, arguments);

  CLI::App* notify_command = add_notify_command(app, arguments);

  CLI::App* certificate_command = app.add_subcommand(
      "make-certificate", "make a self-signed certificate, for a first try and for tests");
  certificate_command->add_option("--certificate", arguments.certificate)->capture_default_str();
  certificate_command->add_option("--key", arguments.key)->capture_default_str();
  certificate_command->add_option("--name", arguments.names, "names and addresses it is for")
      ->capture_default_str();
  certificate_command->add_option("--days", arguments.days)
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  certificate_command->add_flag("--rsa", arguments.rsa, "RSA instead of ECDSA");

  CLI::App* tune_command = app.add_subcommand(
      "tune", "compare what the sessions need with what this machine's limits allow");
  tune_command
      ->add_option("--sessions,-n", arguments.tune.sessions,
                   "how many (default: den.sessions of the settings)")
      ->check(CLI::Range(1, 100'000'000));
  tune_command->add_flag("--apply", arguments.tune.apply,
                         "set what is missing, now and for every boot");
  tune_command->add_flag("--inotify", arguments.tune.inotify, "as if there were no fanotify");
  tune_command->add_option("--root", arguments.tune.root,
                           "a directory to read and write instead of /, for a try");
  add_settings_option(tune_command, arguments);

  CLI::App* trace_command = app.add_subcommand(
      "trace", "record when sessions are used, without names, for dormouse-load simulate");
  trace_command->add_option("file", arguments.trace.file, "where to write it")->required();
  trace_command->add_option("--secs", arguments.trace.seconds, "how long; Ctrl-C ends it sooner")
      ->check(CLI::Range(1, 31 * 24 * 3600))
      ->capture_default_str();
  add_settings_option(trace_command, arguments);

  CLI::App* role_command = app.add_subcommand("role")->group("");
  role_command->add_option("name", arguments.role)->required();
  role_command->add_option("index", arguments.role_index);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EX_OK : EX_USAGE;
  }
  if (serve_command->parsed()) return serve(arguments.settings_file);
  if (check_command->parsed()) return check(arguments);
  if (show_command->parsed()) return show(arguments);
  if (defaults_command->parsed()) return print(default_settings_text());
  if (documentation_command->parsed()) return print(settings_documentation());
  if (deliver_command->parsed()) {
    return deliver(arguments.settings_file, arguments.user, arguments.mailbox);
  }
  if (who_command->parsed()) return who_sockets(arguments.settings_file, arguments.each);
  if (tune_command->parsed()) {
    arguments.tune.settings_file = arguments.settings_file;
    return tune(arguments.tune);
  }
  if (trace_command->parsed()) {
    arguments.trace.settings_file = arguments.settings_file;
    return trace(arguments.trace);
  }
  if (notify_command->parsed()) return notify(arguments.settings_file, arguments.notice);
  if (certificate_command->parsed()) return make_certificate(arguments);
  return run_role(arguments.role);
}

}  // namespace dormouse::master
