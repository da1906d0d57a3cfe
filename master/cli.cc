#include "master/cli.h"

#include <fmt/format.h>
#include <jemalloc/jemalloc.h>
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
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

// What can be said on the command line, and what it then does.
class CommandLine {
 public:
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  int run(int argc, char** argv);

 private:
  // As add_subcommand(); with an empty text it is not in the help.
  CLI::App* add(CLI::App& parent, const char* name, const char* text, std::function<int()> run);
  void add_settings_option(CLI::App* command);
  void add_config();
  void add_deliver();
  void add_who();
  void add_notify();
  void add_make_certificate();
  void add_tune();
  void add_trace();
  void add_role();

  Arguments arguments_;
  CLI::App app_{"Dormouse, an IMAP server whose sleeping connections cost next to nothing"};
  struct Command {
    CLI::App* app = nullptr;
    std::function<int()> run;
  };
  std::vector<Command> commands_;
};

CommandLine::CommandLine() {
  app_.require_subcommand(1);
  app_.set_version_flag("--version", version_text());
  add_settings_option(add(app_, "serve", "run the server in the foreground",
                          [this] { return serve(arguments_.settings_file); }));
  add_config();
  add_deliver();
  add_who();
  add_notify();
  add_make_certificate();
  add_tune();
  add_trace();
  add_role();
}

int CommandLine::run(int argc, char** argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? EX_OK : EX_USAGE;
  }
  auto parsed = std::ranges::find_if(commands_, [](const Command& c) { return c.app->parsed(); });
  return parsed == commands_.end() ? EX_USAGE : parsed->run();
}

CLI::App* CommandLine::add(CLI::App& parent, const char* name, const char* text,
                           std::function<int()> run) {
  CLI::App* command = parent.add_subcommand(name, text);
  if (*text == '\0') command->group("");
  commands_.push_back({.app = command, .run = std::move(run)});
  return command;
}

void CommandLine::add_settings_option(CLI::App* command) {
  command->add_option("--config,-c", arguments_.settings_file, "the settings file")
      ->capture_default_str();
}

void CommandLine::add_config() {
  CLI::App* config = app_.add_subcommand("config", "look at settings");
  config->require_subcommand(1);
  add_settings_option(add(*config, "check", "tell everything that is wrong with the settings",
                          [this] { return check(arguments_); }));
  add_settings_option(add(*config, "show", "print every value and where it comes from",
                          [this] { return show(arguments_); }));
  add(*config, "defaults", "print a settings file with every default",
      [] { return print(default_settings_text()); });
  add(*config, "documentation", "", [] { return print(settings_documentation()); });
}

void CommandLine::add_deliver() {
  CLI::App* command = add(
      app_, "deliver", "put the mail on standard input into a user's mailbox",
      [this] { return deliver(arguments_.settings_file, arguments_.user, arguments_.mailbox); });
  command->add_option("user", arguments_.user, "whose mailbox")->required();
  command->add_option("--mailbox,-m", arguments_.mailbox, "which")->capture_default_str();
  add_settings_option(command);
}

void CommandLine::add_who() {
  CLI::App* command = add(app_, "who", "tell what the server's connections are doing", [this] {
    return who_sockets(arguments_.settings_file, arguments_.each);
  });
  command
      ->add_flag("--sockets", arguments_.sockets,
                 "a census of their TCP sockets: states, memory, round trips, dead peers")
      ->required();
  command->add_flag("--each", arguments_.each, "a line for every socket, too");
  add_settings_option(command);
}

void CommandLine::add_notify() {
  CLI::App* command =
      add(app_, "notify", "tell a server that a mailbox changed, where its file system cannot",
          [this] { return notify(arguments_.settings_file, arguments_.notice); });
  command->add_option("--user,-u", arguments_.notice.user, "whose mailbox")->required();
  command
      ->add_option("--mailbox,-m", arguments_.notice.mailbox,
                   "which; empty: the list of mailboxes changed")
      ->capture_default_str();
  command->add_flag("--arrival", arguments_.notice.arrival, "mail came, and nothing else");
  command->add_option("--to", arguments_.notice.to,
                      "another server's watch.notice_listen, as 192.0.2.1:1234");
  add_settings_option(command);
}

void CommandLine::add_make_certificate() {
  CLI::App* command =
      add(app_, "make-certificate", "make a self-signed certificate, for a first try and for tests",
          [this] { return make_certificate(arguments_); });
  command->add_option("--certificate", arguments_.certificate)->capture_default_str();
  command->add_option("--key", arguments_.key)->capture_default_str();
  command->add_option("--name", arguments_.names, "names and addresses it is for")
      ->capture_default_str();
  command->add_option("--days", arguments_.days)->check(CLI::Range(1, 3650))->capture_default_str();
  command->add_flag("--rsa", arguments_.rsa, "RSA instead of ECDSA");
}

void CommandLine::add_tune() {
  TuneOptions& options = arguments_.tune;
  CLI::App* command = add(
      app_, "tune", "compare what the sessions need with what this machine's limits allow", [this] {
        arguments_.tune.settings_file = arguments_.settings_file;
        return tune(arguments_.tune);
      });
  command
      ->add_option("--sessions,-n", options.sessions,
                   "how many (default: den.sessions of the settings)")
      ->check(CLI::Range(1, 100'000'000));
  command->add_flag("--apply", options.apply, "set what is missing, now and for every boot");
  command->add_flag("--inotify", options.inotify, "as if there were no fanotify");
  command->add_option("--root", options.root,
                      "a directory to read and write instead of /, for a try");
  add_settings_option(command);
}

void CommandLine::add_trace() {
  CLI::App* command =
      add(app_, "trace", "record when sessions are used, without names, for dormouse-load simulate",
          [this] {
            arguments_.trace.settings_file = arguments_.settings_file;
            return trace(arguments_.trace);
          });
  command->add_option("file", arguments_.trace.file, "where to write it")->required();
  command->add_option("--secs", arguments_.trace.seconds, "how long; Ctrl-C ends it sooner")
      ->check(CLI::Range(1, 31 * 24 * 3600))
      ->capture_default_str();
  add_settings_option(command);
}

void CommandLine::add_role() {
  CLI::App* command = add(app_, "role", "", [this] { return run_role(arguments_.role); });
  command->add_option("name", arguments_.role)->required();
  command->add_option("index", arguments_.role_index);
}

}  // namespace

int run_command_line(int argc, char** argv) { return CommandLine().run(argc, argv); }

}  // namespace dormouse::master
