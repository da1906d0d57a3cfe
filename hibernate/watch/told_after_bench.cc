// How long after a change a den is told of it, by a watch in a process of its own, and what that
// process keeps for a watched mailbox (docs/watch.md).

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "hibernate/watch/bench_folder.h"
#include "hibernate/watch/fanotify_group.h"
#include "hibernate/watch/notice_sockets.h"
#include "hibernate/watch/stores.h"
#include "hibernate/watch/watch.h"
#include "role/idle_memory.h"
#include "wire/link.h"
#include "wire/topic.h"

namespace dormouse::hibernate {
namespace {

enum Backend : int64_t { kFanotify, kInotify, kPolling, kNotices };
constexpr const char* kNames[] = {"fanotify", "inotify", "polling", "notices"};

io::Task<int> watch_until_killed(io::Loop* loop, WatchOptions* options, io::Channel* den) {
  io::Scope scope(*loop, co_await io::current_scope());
  auto watch = Watch::create(*loop, scope, std::move(*options));
  if (!watch) co_return 1;
  (*watch)->start();
  tuning::Pressure level = tuning::Pressure::kCalm;
  scope.spawn(role::give_idle_memory_back(*loop, &level));  // as every role
  role::Link link;
  link.peer = wire::DEN;
  link.channel = std::move(*den);
  (*watch)->link(std::move(link));
  while (co_await loop->sleep(60'000)) {
  }
  co_return 0;
}

WatchOptions options_for(Backend backend, const fs::path& root) {
  WatchOptions options;
  options.settings.set_backend(backend == kNotices ? "polling" : kNames[backend]);
  // Nothing is found by looking where notices are measured.
  options.settings.set_polling_ms(backend == kNotices ? 3'600'000 : 1'000);
  options.settings.set_mail_root(root.string());
  if (backend == kFanotify) {
    auto marked = mark_stores(root.string(), SharedStore::kNo);
    if (!marked || !marked->group) return options;
    options.fanotify = std::move(marked->group);
    options.stores = std::move(marked->stores);
  }
  if (backend == kNotices) {
    auto socket = make_notice_socket((root / "notices").string(), false);
    if (socket) options.notices.push_back({.fd = std::move(*socket), .sealed = false});
  }
  return options;
}

// A den's end of a watch in another process.
class WatchProcess {
 public:
  explicit WatchProcess(WatchOptions options) {
    auto ends = io::Channel::pair();
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // also where the benchmark is killed itself
      ends->second.close();
      auto loop = io::Loop::create();
      _exit(loop ? (*loop)->run(watch_until_killed(loop->get(), &options, &ends->first)) : 1);
    }
    channel_ = std::move(ends->second);
  }
  ~WatchProcess() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  WatchProcess(const WatchProcess&) = delete;
  WatchProcess& operator=(const WatchProcess&) = delete;

  wire::WatchToDen next() {
    pollfd wait{.fd = channel_.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 10'000) != 1) return {};
    auto got = wire::try_receive<wire::WatchToDen>(channel_);
    return got ? got->message : wire::WatchToDen();
  }
  void forget_what_was_told() {
    while (channel_.try_receive()) {
    }
  }
  bool send(const wire::DenToWatch& message) { return bool(wire::try_send(channel_, message)); }
  // When what nobody uses has gone back to the kernel.
  uint64_t own_bytes() const {
    usleep(3'000'000);
    std::ifstream in(fmt::format("/proc/{}/status", child_));
    for (std::string word; in >> word;) {
      uint64_t kib = 0;
      if (word == "RssAnon:" && in >> kib) return kib * 1024;
    }
    return 0;
  }

 private:
  io::Channel channel_;
  pid_t child_ = -1;
};

bool subscribe(WatchProcess& watch, const std::vector<std::string>& paths, bool by_handle) {
  wire::DenToWatch message;
  for (const std::string& path : paths) {
    auto* directory = message.mutable_subscribe()->add_directories();
    if (by_handle) {
      directory->set_handle(*directory_handle(path));
    } else {
      directory->set_path(path);
    }
  }
  if (!by_handle)
    message.mutable_subscribe()->add_directories()->set_topic(wire::topic_of("ada", "INBOX"));
  return watch.send(message) && watch.next().subscribed().watched();
}

// Mailboxes with the numbers from 1 on, whose handles are on the file system of `handle` and no
// directory's.
bool subscribe_others(WatchProcess& watch, const std::string& handle, uint32_t mailboxes) {
  constexpr uint32_t kUnanswered = 16;
  for (uint32_t sent = 0, answered = 0; answered < mailboxes;) {
    if (sent < mailboxes && sent - answered < kUnanswered) {
      wire::DenToWatch message;
      message.mutable_subscribe()->set_watch(++sent);
      for (const char* name : {"new", "cur"}) {
        message.mutable_subscribe()->add_directories()->set_handle(
            handle + fmt::format("-{}-{}", sent, name));
      }
      if (!watch.send(message)) return false;
    } else {
      if (!watch.next().subscribed().watched()) return false;
      ++answered;
    }
  }
  return true;
}

uint64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint64_t(now.tv_sec) * 1'000'000 + uint64_t(now.tv_nsec) / 1'000;
}

// From before the rename into new/, or before the notice is sent, until a den has read what it
// means. Polling: interval 1 s. Arguments: the backend; how many mailboxes are watched besides.
void told_after(benchmark::State& state) {
  auto backend = Backend(state.range(0));
  int rounds = backend == kPolling ? 20 : 2'000;
  Folder folder;
  folder.make(1);
  auto directories = folder.mailbox(0);
  fs::create_directory(folder.path() / "tmp");
  WatchOptions options = options_for(backend, folder.path());
  if (backend == kFanotify && !options.fanotify) return state.SkipWithError("no fanotify here");
  WatchProcess watch(std::move(options));
  io::Fd notices;
  if (backend == kNotices) {
    auto to = connect_notices((folder.path() / "notices").string());
    if (!to) return state.SkipWithError(to.error().message.c_str());
    notices = std::move(*to);
  }
  bool by_handle = watch.next().mode().by_handle();
  watch.next();
  if (!subscribe(watch, directories, by_handle)) return state.SkipWithError("not watched");
  auto others = uint32_t(state.range(1));
  if (others > 0) {
    uint64_t before = watch.own_bytes();
    if (!subscribe_others(watch, *directory_handle(directories[0]), others)) {
      return state.SkipWithError("not watched");
    }
    state.counters["bytes_per_mailbox"] = double(watch.own_bytes() - before) / others;
  }
  auto stir = [&](const std::string& from, const std::string& to) {
    if (backend != kNotices) return rename(from.c_str(), to.c_str()) == 0;
    return bool(send_notice(notices, {.user = "ada", .mailbox = "INBOX"}, ""));
  };
  std::vector<uint64_t> us;
  std::mt19937 random(1);
  for (auto _ : state) {
    for (int i = 0; i < rounds; ++i) {
      std::string from = (folder.path() / "tmp" / std::to_string(i)).string();
      std::string to = directories[0] + "/" + std::to_string(i);
      close(open(from.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      // Whatever is still told of the one before; and no lockstep with the looks.
      if (backend == kPolling) {
        usleep(2'500'000 + random() % 1'000'000);
        watch.forget_what_was_told();
      }
      uint64_t began = now_us();
      if (!stir(from, to) || !watch.next().has_changed()) return state.SkipWithError("not told");
      us.push_back(now_us() - began);
    }
  }
  std::ranges::sort(us);
  state.SetLabel(kNames[backend]);
  state.counters["us_median"] = double(us[us.size() / 2]);
  state.counters["us_p99"] = double(us[us.size() * 99 / 100]);
}
BENCHMARK(told_after)
    ->Args({kFanotify, 0})
    ->Args({kFanotify, 1'000'000})
    ->Args({kInotify, 0})
    ->Args({kPolling, 0})
    ->Args({kNotices, 0})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dormouse::hibernate
