#include "master/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "io/probe.h"
#include "master/admin.h"
#include "master/pressure_keeper.h"
#include "master/resources.h"
#include "master/service_manager.h"
#include "master/settings.h"
#include "master/supervisor.h"
#include "master/tune.h"
#include "master/who.h"
#include "master/write_back.h"
#include "role/log.h"
#include "role/process.h"
#include "role/sandbox.h"
#include "store/boots.h"

namespace dormouse::master {
namespace {

constexpr std::string_view kGoodbye = "Server shutting down.";
// Descriptors of the master itself beside the sessions: a few per role.
constexpr uint64_t kOwnFiles = 1024;

void print_lines(std::string_view text) {
  fmt::print(stderr, "{}{}", text, text.ends_with('\n') ? "" : "\n");
  std::fflush(stderr);
}

Result<io::Fd> block_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  io::Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "signalfd");
  return fd;
}

// One master per base_dir; the file holds its pid.
Result<io::Fd> lock_base_dir(const std::string& base_dir) {
  std::error_code error;
  std::filesystem::create_directories(base_dir, error);
  if (error) return fail_errno(error.value(), "server.base_dir: " + base_dir);
  std::string path = base_dir + "/master.pid";
  io::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail_errno(errno, path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail_errno(errno, path + ": another dormouse serves from here");
  }
  std::string pid = fmt::format("{}\n", getpid());
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), pid.data(), pid.size(), 0) != ssize_t(pid.size())) {
    return fail_errno(errno, path);
  }
  return fd;
}

class Server final : public SupervisorEvents {
 public:
  Server(io::Loop& loop, Settings settings, Resources resources, io::ProbeReport probe,
         io::Fd signals, uint64_t open_files)
      : loop_(loop),
        settings_(std::move(settings)),
        resources_(std::move(resources)),
        probe_(std::move(probe)),
        signals_(std::move(signals)),
        open_files_(open_files),
        started_ms_(loop.now_ms()),
        supervisor_(loop, settings_, resources_, *this, {}),
        write_back_(settings_.mail_root),
        pressure_(
            loop, settings_.wire.pressure(),
            {.level = [this](tuning::Pressure level,
                             const std::string& text) { supervisor_.tell_pressure(level, text); },
             .pace = [this](uint32_t per_second) { resources_.admission.set_pace(per_second); },
             .write_back = [this] { write_back_.begin(loop_.now_ms()); }}),
        admin_(loop, supervisor_),
        stop_(loop) {}

  io::Task<int> live() {
    supervisor_.start();
    loop_.root().spawn(serve_signals());
    loop_.root().spawn(feed_watchdog());
    loop_.root().spawn(pressure_.keep());
    if (resources_.admission.filter) loop_.root().spawn(watch_for_floods());
    loop_.root().spawn(admin_.serve(settings_.base_dir));
    [[maybe_unused]] auto asked = co_await stop_.wait();
    role::log_info("server-stopping");
    manager_.stopping();
    co_await supervisor_.drain(settings_.drain_grace_ms, std::string(kGoodbye));
    if (supervisor_.all_ended()) note_clean_stop();
    role::log_info("server-stopped");
    co_return status_;
  }

  void all_ready() override {
    role::log_info("server-ready",
                   {{"roles", supervisor_.seats().size()}, {"ms", loop_.now_ms() - started_ms_}});
    manager_.ready();
  }

  void strain(const wire::RoleToMaster::Strain& strain) override { pressure_.strain(strain); }

  void cannot_start(const std::string& reason) override {
    role::log_error("server-cannot-start", {{"reason", reason}});
    status_ = EX_SOFTWARE;
    stop_.set();
  }

 private:
  // Without it the indexes are taken for those of a power failure at the next boot, if there is
  // one: sound, only dear.
  void note_clean_stop() {
    auto noted = store::enter_clean_boot(clean_boots_path(settings_));
    if (!noted) role::log_warning("clean-stop-not-noted", {{"reason", noted.error().message}});
  }

  io::Task<void> serve_signals() {
    while (true) {
      auto ready = co_await loop_.poll(signals_.get(), POLLIN);
      if (!ready) co_return;
      signalfd_siginfo info;
      while (::read(signals_.get(), &info, sizeof info) == ssize_t(sizeof info)) {
        switch (info.ssi_signo) {
          case SIGHUP:
            reload();
            break;
          case SIGUSR2:
            if (!viewing_) loop_.root().spawn(print_view());
            break;
          default:
            // The second one is impatient.
            if (stop_.is_set()) supervisor_.kill_all();
            stop_.set();
        }
      }
    }
  }

  void reload() {
    manager_.reloading();
    if (auto done = try_reload(); !done) {
      role::log_error("reload-refused", {{"reason", done.error().message}});
    } else {
      role::log_info("reloaded", {{"file", settings_.file}});
    }
    manager_.ready();
  }

  // All or nothing: the roles hear of it only when everything new is in hand.
  Result<> try_reload() {
    auto fresh = load_settings(settings_.file);
    if (!fresh) return std::unexpected(fresh.error());
    warn_of_restart_needed(*fresh);
    keep_what_needs_restart(*fresh);
    if (auto done = complete_settings(*fresh, resources_.privileged, open_files_); !done) {
      return done;
    }
    auto certificates = load_certificates(*fresh);
    if (!certificates) return std::unexpected(certificates.error());
    settings_ = std::move(*fresh);
    resources_.certificates = std::move(*certificates);
    role::set_log_level(role::log_level_from(settings_.wire.log_level()));
    pressure_.configure(settings_.wire.pressure());
    resources_.admission.set_rates(rates_of(settings_));
    return supervisor_.reload();
  }

  void warn_of_restart_needed(const Settings& fresh) const {
    for (const auto& [key, value] : fresh.shown) {
      if (needs_restart(key) && settings_.shown.at(key) != value) {
        role::log_warning("setting-needs-restart",
                          {{"key", key}, {"now", settings_.shown.at(key)}, {"new", value}});
      }
    }
  }

  void keep_what_needs_restart(Settings& fresh) const {
    fresh.base_dir = settings_.base_dir;
    fresh.mail_root = settings_.mail_root;
    fresh.wire.mutable_watch()->set_mail_root(settings_.mail_root);
    fresh.wire.mutable_watch()->set_backend(settings_.wire.watch().backend());
    fresh.wire.mutable_watch()->set_shared_store(settings_.wire.watch().shared_store());
    fresh.notice_socket = settings_.notice_socket;
    fresh.notice_access = settings_.notice_access;
    fresh.notice_listen = settings_.notice_listen;
    fresh.notice_key_file = settings_.notice_key_file;
    fresh.login_user = settings_.login_user;
    fresh.auth_user = settings_.auth_user;
    fresh.den_user = settings_.den_user;
    fresh.tracker_user = settings_.tracker_user;
    fresh.watch_user = settings_.watch_user;
    fresh.imap = settings_.imap;
    fresh.imaps = settings_.imaps;
    fresh.admission_mode = settings_.admission_mode;
    fresh.steering = settings_.steering;
    fresh.sessions = settings_.sessions;
    fresh.wire.mutable_login()->set_processes(settings_.wire.login().processes());
    auto* den = fresh.wire.mutable_den();
    den->set_sockets_per_shard(settings_.wire.den().sockets_per_shard());
    den->set_slab_bytes_per_session(settings_.wire.den().slab_bytes_per_session());
    for (const auto& [key, value] : settings_.shown) {
      if (needs_restart(key)) fresh.shown.insert_or_assign(key, value);
    }
  }

  io::Task<void> print_view() {
    viewing_ = true;
    std::string text = fmt::format(
        "--- view of dormouse {} pid={} uptime_ms={} mode={} kernel={} open_files={}\n",
        settings_.server_name, getpid(), loop_.now_ms() - started_ms_,
        resources_.privileged ? "privileged" : "unprivileged", probe_.kernel, open_files_);
    for (const Listener& listener : resources_.listeners) {
      text += fmt::format("listener {} {}\n", listener.name, listener.address);
    }
    text += admission_view(resources_.admission, resources_.steering);
    text += census_view(resources_.listeners);
    text += fmt::format("shards {} of {} sockets\n", resources_.shards.size(),
                        settings_.wire.den().sockets_per_shard());
    text += resources_.change_group ? "fanotify group on " + settings_.mail_root + "\n"
                                    : "no fanotify group: " + resources_.no_change_group + "\n";
    for (const io::ProbeFinding& finding : probe_.findings) {
      text += fmt::format("machine: {}: {}\n", finding.what, finding.cost);
    }
    text += pressure_.view();
    text += fmt::format("write_backs {}\n", write_back_.done());
    text += co_await supervisor_.view();
    text += "--- end of view\n";
    print_lines(text);
    viewing_ = false;
  }

  io::Task<void> watch_for_floods() {
    Admission& admission = resources_.admission;
    while (co_await loop_.sleep(admission.flood.next_look_ms())) admission.watch_for_floods();
  }

  io::Task<void> feed_watchdog() {
    uint64_t interval_ms = manager_.watchdog_interval_ms();
    while (interval_ms != 0) {
      manager_.alive();
      auto slept = co_await loop_.sleep(interval_ms);
      if (!slept) co_return;
    }
  }

  io::Loop& loop_;
  Settings settings_;
  Resources resources_;
  io::ProbeReport probe_;
  io::Fd signals_;
  uint64_t open_files_;
  uint64_t started_ms_;
  ServiceManager manager_;
  Supervisor supervisor_;
  WriteBack write_back_;
  PressureKeeper pressure_;
  Admin admin_;
  io::Event stop_;
  bool viewing_ = false;
  int status_ = EX_OK;
};

int refuse(int status, std::string_view event, const Error& error) {
  role::log_error(event, {{"reason", error.message}});
  return status;
}

void tell_admission(const Resources& resources) {
  const Admission& admission = resources.admission;
  role::log_info("admission", {{"mode", admission.mode}, {"steering", resources.steering.mode}});
  if (!admission.without_bpf.empty()) {
    role::log_warning("admission-without-bpf", {{"reason", admission.without_bpf}});
  }
  if (!resources.steering.without_bpf.empty()) {
    role::log_warning("steering-without-bpf", {{"reason", resources.steering.without_bpf}});
  }
}

}  // namespace

int serve(const std::string& settings_file) {
  role::set_log_identity("master", 0);
  auto settings = load_settings(settings_file);
  if (!settings) {
    print_lines(settings.error().message);
    return EX_CONFIG;
  }
  role::set_log_level(role::log_level_from(settings->wire.log_level()));
  io::ProbeReport probe = io::probe_machine();
  for (const io::ProbeFinding& finding : probe.findings) {
    role::log(finding.fatal ? role::LogLevel::kError : role::LogLevel::kWarning, "machine",
              {{"what", finding.what}, {"then", finding.cost}});
  }
  if (probe.fatal()) return EX_UNAVAILABLE;
  auto signals = block_signals();
  if (!signals) return refuse(EX_OSERR, "server-cannot-start", signals.error());
  // Ticket and cookie keys lie in this process.
  if (auto done = role::forbid_dumps(); !done) {
    return refuse(EX_OSERR, "server-cannot-start", done.error());
  }
  auto lock = lock_base_dir(settings->base_dir);
  if (!lock) return refuse(EX_OSERR, "server-cannot-start", lock.error());
  uint64_t open_files = io::raise_open_files(settings->sessions + kOwnFiles);
  bool privileged = geteuid() == 0;
  auto resources = make_resources(*settings, privileged, open_files);
  if (!resources) return refuse(EX_OSERR, "server-cannot-start", resources.error());
  role::log_info("server-starting", {{"version", DORMOUSE_VERSION},
                                     {"mode", privileged ? "privileged" : "unprivileged"},
                                     {"kernel", probe.kernel},
                                     {"shards", resources->shards.size()}});
  for (const Listener& listener : resources->listeners) {
    role::log_info("listening", {{"name", listener.name}, {"address", listener.address}});
  }
  tell_admission(*resources);
  if (!resources->no_change_group.empty()) {
    role::log_warning("no-fanotify", {{"reason", resources->no_change_group}});
  }
  warn_of_limits(*settings, open_files, !resources->no_change_group.empty());
  auto loop = io::Loop::create();
  if (!loop) return refuse(EX_OSERR, "server-cannot-start", loop.error());
  Server server(**loop, std::move(*settings), std::move(*resources), std::move(probe),
                std::move(*signals), open_files);
  return (*loop)->run(server.live());
}

}  // namespace dormouse::master
