#include "role/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include "role/idle_memory.h"
#include "role/log.h"
#include "role/scheduling.h"
#include "wire/link.h"

namespace dormouse::role {
namespace {

// A view's piece: with its envelope well below io::kMaxMessageBytes.
constexpr size_t kViewPieceBytes = 32 * 1024;
// After its last word a role has this long to join its coroutines; then SIGALRM ends it. Well below
// the master's grace, which ends in SIGKILL.
constexpr unsigned kExitSecondsMax = 10;

constexpr uint32_t kHighestPressure = uint32_t(tuning::Pressure::kCritical);

[[noreturn]] void give_up(std::string_view what, const Error& error) {
  log_error("role-cannot-start", {{"step", what}, {"reason", error.message}});
  std::exit(EXIT_FAILURE);
}

// Roles whose memory holds keys of clients or of the server.
bool holds_keys(wire::Role role) {
  return role == wire::LOGIN || role == wire::AUTH || role == wire::DEN || role == wire::TRACKER;
}

// Roles whose every act a client that sleeps is waiting for; the others have logins and IMAP to do.
bool serves_sleepers(wire::Role role) {
  return role == wire::DEN || role == wire::WATCH || role == wire::TRACKER;
}

// Of real time only the two that tell a sleeper what is new: the tracker finds workers, for those
// who come in as well.
std::string_view scheduling_of(wire::Role role, std::string_view wanted) {
  return wanted == "realtime" && role == wire::TRACKER ? "weight" : wanted;
}

// Worker and watch look at the mail store through their ring. A den's ring is the master's.
io::RingUse ring_use(wire::Role role) {
  bool files = role == wire::WORKER || role == wire::WATCH;
  return files ? io::RingUse::kFiles : io::RingUse::kMessages;
}

// The terminal's signals are for the master, which tells the roles; SIGUSR2 asks this one process
// for its view (SIGTERM keeps its meaning, so one role can be ended by hand). Before any thread.
io::Fd take_signals() {
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, nullptr);  // what the master had blocked is inherited
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) give_up("signalfd", fail_errno(errno, "signalfd").error());
  return io::Fd(fd);
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = ::write(fd, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(size_t(written));
  }
}

std::vector<io::Fd> take_fds(wire::Received<wire::MasterToRole>& received) {
  std::vector<io::Fd> fds;
  for (size_t i = 0; i < received.fd_count; ++i) fds.push_back(std::move(received.fds[i]));
  return fds;
}

}  // namespace

std::string_view role_name(wire::Role role) {
  switch (role) {
    case wire::MASTER:
      return "master";
    case wire::LOGIN:
      return "login";
    case wire::AUTH:
      return "auth";
    case wire::DEN:
      return "den";
    case wire::TRACKER:
      return "tracker";
    case wire::WORKER:
      return "worker";
    case wire::WATCH:
      return "watch";
    default:
      return "unknown";
  }
}

struct Process::Impl {
  io::Channel control;
  io::Fd inherited;
  wire::MasterToRole::Start start;
  wire::Settings settings;
  std::vector<Resource> resources;
  std::vector<Resource> arriving;  // since the start; they count from the next Reload on
  std::unique_ptr<io::Loop> loop;
  std::unique_ptr<io::Event> done;
  Sandbox sandbox;
  std::optional<WakeScheduling> scheduling;  // of roles that sleepers wait for
  Role* role = nullptr;
  io::Fd signals;  // SIGUSR2
  bool master_gone = false;
  tuning::Pressure pressure = tuning::Pressure::kCalm;

  void read_to_go();
  io::Loop& ensure_loop();
  void take_arrived();
  void handle(wire::Received<wire::MasterToRole> received);
  void finish();
  io::Task<void> serve_control();
  io::Task<void> serve_signals();
  io::Task<void> send_view(uint64_t request, std::string text);
  io::Task<void> send(wire::RoleToMaster message);
  io::Task<int> live();
};

// Blocking: there is nothing else to do before Go.
void Process::Impl::read_to_go() {
  while (true) {
    auto received = wire::try_receive<wire::MasterToRole>(control);
    if (!received && received.error().kind == ErrorKind::kUnavailable) {
      pollfd wait{.fd = control.fd(), .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, -1);
      continue;
    }
    if (!received) give_up("reading the control channel", received.error());
    if (received->message.has_start()) {
      start = received->message.start();
      settings = start.settings();
      set_log_identity(role_name(start.role()), start.index());
      set_log_level(log_level_from(settings.log_level()));
    } else if (received->message.has_resource()) {
      resources.push_back({received->message.resource(), take_fds(*received)});
      if (resources.back().message.kind() == wire::MasterToRole::Resource::SHARD_RING &&
          inherited) {
        resources.back().fds.push_back(std::move(inherited));
      }
    } else if (received->message.has_go()) {
      inherited.reset();
      if (start.role() != wire::ROLE_UNKNOWN) return;
      give_up("Go before Start", Error{ErrorKind::kInvalid, "the master speaks out of turn", 0});
    }
  }
}

io::Loop& Process::Impl::ensure_loop() {
  if (!loop) {
    io::LoopOptions options;
    options.use = ring_use(start.role());
    auto made = io::Loop::create(options);
    if (!made) give_up("making a ring", made.error());
    loop = std::move(*made);
  }
  return *loop;
}

// New resources replace all old ones of their kind.
void Process::Impl::take_arrived() {
  for (const Resource& resource : arriving) {
    std::erase_if(resources, [&](const Resource& old) {
      return old.message.kind() == resource.message.kind();
    });
  }
  for (Resource& resource : arriving) resources.push_back(std::move(resource));
  arriving.clear();
}

void Process::Impl::finish() {
  ::alarm(kExitSecondsMax);
  done->set();
}

void Process::Impl::handle(wire::Received<wire::MasterToRole> received) {
  auto& message = received.message;
  switch (message.kind_case()) {
    case wire::MasterToRole::kResource:
      arriving.push_back({message.resource(), take_fds(received)});
      break;
    case wire::MasterToRole::kLink: {
      const auto& from = message.link();
      if (received.fd_count != 1) return;
      role->link({.peer = from.peer(),
                  .index = from.index(),
                  .uid = from.uid(),
                  .pid = from.pid(),
                  .user = from.user(),
                  .request = from.request(),
                  .channel = io::Channel(std::move(received.fds[0]))});
      break;
    }
    case wire::MasterToRole::kReload:
      settings = message.reload().settings();
      set_log_level(log_level_from(settings.log_level()));
      take_arrived();
      role->reload();
      break;
    case wire::MasterToRole::kPressure:
      pressure = tuning::Pressure(std::min(message.pressure().level(), kHighestPressure));
      role->pressure(pressure, message.pressure().text());
      break;
    case wire::MasterToRole::kDrain:
      role->drain(message.drain().grace_ms(), message.drain().text());
      break;
    case wire::MasterToRole::kView:
      loop->root().spawn(send_view(message.view().request(), role->view()));
      break;
    case wire::MasterToRole::kStartWorkerFailed:
      role->worker_failed(message.start_worker_failed().request(),
                          message.start_worker_failed().reason());
      break;
    default:
      break;  // Start and Go are over; what a later master may say is not for this release
  }
}

io::Task<void> Process::Impl::serve_control() {
  while (true) {
    auto received = co_await wire::receive<wire::MasterToRole>(*loop, control);
    if (!received) {
      if (received.error().kind == ErrorKind::kCancelled) co_return;
      master_gone = true;
      log_warning("master-gone", {{"reason", received.error().message}});
      finish();
      co_return;
    }
    handle(std::move(*received));
  }
}

io::Task<void> Process::Impl::serve_signals() {
  while (true) {
    auto ready = co_await loop->poll(signals.get(), POLLIN);
    if (!ready) co_return;
    signalfd_siginfo info;
    while (::read(signals.get(), &info, sizeof info) == ssize_t(sizeof info)) {
      write_all(STDERR_FILENO, role->view());
    }
  }
}

io::Task<void> Process::Impl::send(wire::RoleToMaster message) {
  // A master that is gone is noticed by serve_control().
  [[maybe_unused]] auto ignored = co_await wire::send(*loop, control, message);
}

io::Task<void> Process::Impl::send_view(uint64_t request, std::string text) {
  size_t offset = 0;
  do {
    size_t length = std::min(text.size() - offset, kViewPieceBytes);
    wire::RoleToMaster message;
    auto* piece = message.mutable_view_text();
    piece->set_request(request);
    piece->set_text(text.substr(offset, length));
    offset += length;
    piece->set_last(offset == text.size());
    co_await send(std::move(message));
  } while (offset < text.size());
}

io::Task<int> Process::Impl::live() {
  if (auto started = role->start(); !started) {
    log_error("role-cannot-start", {{"step", "start"}, {"reason", started.error().message}});
    ::alarm(kExitSecondsMax);
    co_return EXIT_FAILURE;
  }
  wire::RoleToMaster ready;
  ready.mutable_ready();
  co_await send(std::move(ready));
  loop->root().spawn(serve_control());
  loop->root().spawn(serve_signals());
  loop->root().spawn(give_idle_memory_back(*loop, &pressure));
  if (scheduling) loop->tell_busy([this](unsigned permille) { scheduling->busy(permille); });
  [[maybe_unused]] auto ended = co_await done->wait();
  if (!master_gone) {
    wire::RoleToMaster drained;
    drained.mutable_drained();
    co_await send(std::move(drained));
  }
  co_return master_gone ? EXIT_FAILURE : EXIT_SUCCESS;
}

Process::Process() : impl_(std::make_unique<Impl>()) {
  // Whatever else the master may have left open is not ours.
  ::close_range(kInheritedRingFd + 1, ~0U, 0);
  if (::fcntl(kInheritedRingFd, F_SETFD, FD_CLOEXEC) == 0)
    impl_->inherited = io::Fd(kInheritedRingFd);
  impl_->control = io::Channel(io::Fd(kControlFd));
  impl_->signals = take_signals();
  impl_->read_to_go();
  wire::Role role = impl_->start.role();
  if (serves_sleepers(role)) {
    impl_->scheduling.emplace(scheduling_of(role, impl_->settings.wake_scheduling()));
  }
  if (holds_keys(impl_->start.role())) {
    if (auto done = forbid_dumps(); !done) give_up("forbidding dumps", done.error());
  }
}

Process::~Process() = default;

wire::Role Process::role() const { return impl_->start.role(); }
uint32_t Process::index() const { return impl_->start.index(); }
const wire::Settings& Process::settings() const { return impl_->settings; }
const wire::MasterToRole::Start& Process::start_message() const { return impl_->start; }

std::vector<Resource> Process::take_resources(wire::MasterToRole::Resource::Kind kind) {
  std::vector<Resource> taken;
  auto& all = impl_->resources;
  for (Resource& resource : all) {
    if (resource.message.kind() == kind) taken.push_back(std::move(resource));
  }
  std::erase_if(all, [&](const Resource& r) { return r.message.kind() == kind; });
  return taken;
}

void Process::use_loop(std::unique_ptr<io::Loop> loop) {
  DORMOUSE_CHECK(!impl_->loop, "a loop is chosen before it is used");
  impl_->loop = std::move(loop);
}

io::Loop& Process::loop() { return impl_->ensure_loop(); }
io::Scope& Process::scope() { return impl_->ensure_loop().root(); }
void Process::set_sandbox(const Sandbox& sandbox) { impl_->sandbox = sandbox; }

int Process::run(Role& role) {
  io::Loop& loop = impl_->ensure_loop();
  impl_->role = &role;
  impl_->done = std::make_unique<io::Event>(loop);
  const auto& start = impl_->start;
  Confinement who{.privileged = start.privileged(),
                  .root_directory = start.root_directory(),
                  .uid = start.uid(),
                  .gid = start.gid()};
  if (auto entered = enter_sandbox(impl_->sandbox, who); !entered) {
    give_up("entering the sandbox", entered.error());
  }
  // exit, not _exit: leak checkers want their say. Coroutines are joined by Loop::run.
  return loop.run(impl_->live());
}

void Process::start_worker(const wire::RoleToMaster::StartWorker& request) {
  wire::RoleToMaster message;
  *message.mutable_start_worker() = request;
  scope().spawn(impl_->send(std::move(message)));
}

void Process::tell_strain(const wire::RoleToMaster::Strain& strain) {
  wire::RoleToMaster message;
  *message.mutable_strain() = strain;
  scope().spawn(impl_->send(std::move(message)));
}

void Process::drained() { impl_->finish(); }

}  // namespace dormouse::role
