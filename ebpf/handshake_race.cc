// Does this kernel reset a client that speaks while its connection is being made, and does the
// admission filter spare it that (handshake_race.bpf.h)? Prints a table; docs/ebpf.md quotes it.
//
// The moment is a few nanoseconds long. It is made longer with the processor's own watchpoints on
// requests' links in the kernel's table of connections: at each write a program of ours waits. The
// clients' first SYNs are dropped, so that their TCP asks again from its timer, on CPU 1; who waits
// on CPU 0 hears that it is connected before CPU 1 has the handshake's last packet, and speaks.
// Needs root, two CPUs and hardware watchpoints.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ebpf/admission.h"
#include "ebpf/admission_filter.h"
#include "ebpf/handshake_race.skel.h"
#include "ebpf/test_sockets.h"

namespace dormouse::ebpf {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kRounds = 8;
// As many as connect within the second after which TCP asks again.
constexpr int kClients = 1500;
constexpr auto kApart = std::chrono::microseconds(450);
constexpr auto kPatience = std::chrono::seconds(5);
// Of the processor's, all that there are.
constexpr size_t kWatchpoints = 4;
constexpr int kCpus = 2;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "handshake_race: {}: {}\n", what, strerror(errno));
  std::exit(1);
}

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die(fmt::format("CPU {}", cpu));
}

struct Outcome {
  unsigned clients = 0;
  unsigned answered = 0;
  unsigned reset = 0;
  unsigned unheard = 0;  // neither
};

// Which SYNs a listener takes.
class Gate {
 public:
  virtual ~Gate() = default;
  virtual void attach(int listener) = 0;
  virtual void close(int listener) = 0;
  virtual void open(int listener) = 0;
};

class BareGate : public Gate {
 public:
  void attach(int) override {}
  void close(int listener) override { keep(listener, 0); }
  void open(int listener) override { keep(listener, UINT32_MAX); }

 private:
  static void keep(int listener, uint32_t bytes) {
    sock_filter all{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = bytes};
    sock_fprog program{.len = 1, .filter = &all};
    if (setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
      die("a filter");
    }
  }
};

class AdmissionGate : public Gate {
 public:
  AdmissionGate() : filter_(must(AdmissionFilter::load())) {
    control_ = must(AdmissionControl::over(filter_.rates_fd()));
  }
  void attach(int listener) override {
    if (!filter_.attach(listener)) die("attaching");
  }
  void close(int) override {
    control_.set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  }
  void open(int) override { control_.set_rates({}); }
  uint64_t early() const { return filter_.counters()[ADMISSION_EARLY]; }

 private:
  template <class T>
  static T must(Result<T> result) {
    if (!result) die(result.error().message);
    return std::move(*result);
  }
  AdmissionFilter filter_;
  AdmissionControl control_;
};

// The clients of one round, and who takes them.
class Round {
 public:
  explicit Round(Gate& gate) : gate_(gate), listener_(AF_INET) {
    if (::listen(listener_.socket.get(), kClients) != 0) die("listen");
    gate_.attach(listener_.socket.get());
  }
  Outcome run() {
    io::Fd polled(::epoll_create1(EPOLL_CLOEXEC));
    gate_.close(listener_.socket.get());
    std::thread([&] { connect_all(polled.get()); }).join();
    gate_.open(listener_.socket.get());
    std::atomic<bool> all_spoke{false};
    std::thread acceptor([&] { accept_all(all_spoke); });
    speak(polled.get());
    std::this_thread::sleep_for(milliseconds(500));  // what is said again
    all_spoke = true;
    acceptor.join();
    return look();
  }

 private:
  void connect_all(int polled) {
    stay_on(1);
    for (uint32_t i = 0; i < kClients; ++i) {
      clients_.push_back(listener_.connect());
      epoll_event writable{.events = EPOLLOUT | EPOLLET, .data = {.u32 = i}};
      if (::epoll_ctl(polled, EPOLL_CTL_ADD, clients_.back().get(), &writable) != 0) die("epoll");
      std::this_thread::sleep_for(kApart);
    }
  }
  // At once, so that requests are few and lie where others lay.
  void accept_all(const std::atomic<bool>& all_spoke) {
    stay_on(1);
    while (!all_spoke) {
      pollfd wait{.fd = listener_.socket.get(), .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, 20);
      while (io::Fd accepted = listener_.accept()) accepted_.push_back(std::move(accepted));
    }
  }
  void speak(int polled) {
    stay_on(0);
    const auto end = steady_clock::now() + kPatience;
    std::vector<bool> spoke(kClients);
    for (int speakers = 0; speakers < kClients && steady_clock::now() < end;) {
      std::array<epoll_event, 64> ready;
      const int count = ::epoll_wait(polled, ready.data(), ready.size(), 0);
      for (int i = 0; i < count; ++i) {
        const uint32_t who = ready[size_t(i)].data.u32;
        if (spoke[who]) continue;
        spoke[who] = true;
        ++speakers;
        (void)::send(clients_[who].get(), "x", 1, MSG_NOSIGNAL);
      }
    }
  }
  Outcome look() {
    char byte;
    for (const io::Fd& accepted : accepted_) {
      if (::recv(accepted.get(), &byte, 1, MSG_DONTWAIT) == 1) {
        (void)::send(accepted.get(), "y", 1, MSG_NOSIGNAL);
      }
    }
    Outcome outcome{.clients = kClients};
    for (const io::Fd& client : clients_) {
      const ssize_t got = ::recv(client.get(), &byte, 1, MSG_DONTWAIT);
      if (got == 1)
        ++outcome.answered;
      else if (got < 0 && errno == ECONNRESET)
        ++outcome.reset;
      else
        ++outcome.unheard;
    }
    return outcome;
  }

  Gate& gate_;
  test::Listener listener_;
  std::vector<io::Fd> clients_;
  std::vector<io::Fd> accepted_;
};

class Stretcher {
 public:
  Stretcher() : programs_(handshake_race_bpf__open_and_load()) {
    if (programs_ == nullptr) die("loading");
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    if (bpf_prog_test_run_opts(bpf_program__fd(programs_->progs.tell_offset), &run) != 0) {
      die("asking for an offset");
    }
  }
  ~Stretcher() {
    for (bpf_link* link : links_) bpf_link__destroy(link);
    handshake_race_bpf__destroy(programs_);
  }
  Stretcher(const Stretcher&) = delete;
  Stretcher& operator=(const Stretcher&) = delete;

  // Where requests are while `work` runs.
  template <class Work>
  void learn(const Work& work) {
    bpf_link* link = bpf_program__attach(programs_->progs.on_alloc);
    if (link == nullptr) die("the tracepoint kmem_cache_alloc");
    work();
    bpf_link__destroy(link);
  }
  void watch(uint64_t stretch_ns) {
    programs_->bss->stretch_ns = stretch_ns;
    auto places = places_by_use();
    if (places.empty()) die("no request was seen");
    if (places.size() > kWatchpoints) places.resize(kWatchpoints);
    for (uint64_t place : places) {
      for (int cpu = 0; cpu < kCpus; ++cpu) watch_one(place + programs_->bss->link_offset, cpu);
    }
  }
  uint64_t stretched() const { return programs_->bss->stretched; }

 private:
  std::vector<uint64_t> places_by_use() const {
    const int map = bpf_map__fd(programs_->maps.requests);
    std::vector<std::pair<uint64_t, uint64_t>> uses;
    uint64_t place = 0;
    uint64_t count = 0;
    for (int rc = bpf_map_get_next_key(map, nullptr, &place); rc == 0;
         rc = bpf_map_get_next_key(map, &place, &place)) {
      if (bpf_map_lookup_elem(map, &place, &count) == 0) uses.emplace_back(count, place);
    }
    std::ranges::sort(uses, std::greater());
    std::vector<uint64_t> places;
    places.reserve(uses.size());
    for (const auto& [used, where] : uses) places.push_back(where);
    return places;
  }
  void watch_one(uint64_t address, int cpu) {
    perf_event_attr event{};
    event.size = sizeof event;
    event.type = PERF_TYPE_BREAKPOINT;
    event.bp_type = HW_BREAKPOINT_W;
    event.bp_addr = address;
    event.bp_len = HW_BREAKPOINT_LEN_8;
    event.sample_period = 1;
    const long fd = ::syscall(SYS_perf_event_open, &event, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) die("a watchpoint");
    bpf_link* link = bpf_program__attach_perf_event(programs_->progs.on_link_written, int(fd));
    if (link == nullptr) die("a watchpoint's program");
    links_.push_back(link);
  }
  handshake_race_bpf* programs_;
  std::vector<bpf_link*> links_;
};

Outcome rounds(Gate& gate, int count) {
  Outcome sum;
  for (int i = 0; i < count; ++i) {
    const Outcome one = Round(gate).run();
    sum.clients += one.clients;
    sum.answered += one.answered;
    sum.reset += one.reset;
    sum.unheard += one.unheard;
  }
  return sum;
}

int run(uint64_t stretch_us) {
  rlimit files{.rlim_cur = 10'000, .rlim_max = 10'000};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("descriptors");
  BareGate bare;
  AdmissionGate admission;
  Stretcher stretcher;
  stretcher.learn([&] { rounds(bare, 1); });
  stretcher.watch(stretch_us * 1000);
  fmt::print("each stop of the kernel: {} us\n\n", stretch_us);
  fmt::print("| listener | clients | stops | answered | reset | unheard | dropped as early |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (bool filtered : {false, true}) {
    const uint64_t before = stretcher.stretched();
    const Outcome sum = rounds(filtered ? static_cast<Gate&>(admission) : bare, kRounds);
    fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", filtered ? "admission" : "bare",
               sum.clients, stretcher.stretched() - before, sum.answered, sum.reset, sum.unheard,
               filtered ? std::to_string(admission.early()) : "-");
  }
  return 0;
}

}  // namespace
}  // namespace dormouse::ebpf

// Usage: ebpf_handshake_race [microseconds of each stop, 20]
int main(int argc, char** argv) {
  return dormouse::ebpf::run(argc > 1 ? strtoull(argv[1], nullptr, 10) : 20);
}
