// Which hook should drop SYNs? Runs the same policy on each that could, in a network namespace of
// its own, and prints a table: what a drop looks like to the client, and what the program costs the
// packets of connections that are in. Needs root. docs/ebpf.md quotes the medians.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ebpf/admission.h"
#include "ebpf/admission.skel.h"
#include "ebpf/hooks_bench.skel.h"
#include "ebpf/test_packets.h"
#include "ebpf/test_sockets.h"

namespace dormouse::ebpf {
namespace {

constexpr uint32_t kRepeat = 200'000;
constexpr int kRoundTrips = 5'000;
constexpr int kRuns = 15;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "hooks_bench: {}: {}\n", what, strerror(errno));
  std::exit(1);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// By the kernel's own count of the time, in ns a run.
double cost_ns(int program, const test::Packet& packet) {
  auto bytes = test::bytes_of(packet);
  std::vector<double> runs;
  for (int i = 0; i < kRuns; ++i) {
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.data_in = bytes.data();
    run.data_size_in = uint32_t(bytes.size());
    run.repeat = int(kRepeat);
    if (bpf_prog_test_run_opts(program, &run) != 0) return -1;
    runs.push_back(run.duration);
  }
  return median(runs);
}

// Of this thread's CPU: on loopback the sender's thread takes a packet all the way to the
// receiver's queue, so nothing is left out, and other work on the machine is.
double now_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) * 1e9 + double(now.tv_nsec);
}

// One byte there and back, in ns.
double round_trip_ns(int a, int b) {
  std::vector<double> runs;
  char byte = 'x';
  for (int i = 0; i < kRuns; ++i) {
    const double begin = now_ns();
    for (int trip = 0; trip < kRoundTrips; ++trip) {
      if (::send(a, &byte, 1, 0) != 1 || ::recv(b, &byte, 1, MSG_WAITALL) != 1 ||
          ::send(b, &byte, 1, 0) != 1 || ::recv(a, &byte, 1, MSG_WAITALL) != 1) {
        die("round trip");
      }
    }
    runs.push_back((now_ns() - begin) / kRoundTrips);
  }
  return median(runs);
}

void blocking(int fd) {
  int one = 1;
  (void)fcntl(fd, F_SETFL, 0);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

struct Row {
  std::string hook;
  std::string dropped;  // what the client sees
  double established_ns = 0;
  double syn_ns = 0;
  double trip_ns = 0;
};

using Attach = std::function<bool(int listener)>;

// Attaches, looks, measures; `rates` is the map of the program's copy of the policy.
Row measure(const std::string& hook, int rates, bool detaches, uint16_t port, const Attach& attach,
            const std::function<void()>& detach) {
  Row row{.hook = hook, .dropped = "not attached"};
  auto control = AdmissionControl::over(rates);
  if (!control) die(control.error().message);
  control->set_rates({});
  test::Listener listener(AF_INET, true, port);
  if (!attach(listener.socket.get())) {
    row.dropped = fmt::format("not attached: {}", strerror(errno));
    return row;
  }
  io::Fd client = listener.connect();
  io::Fd accepted = listener.accept();
  if (!accepted) die("accept");
  if (detaches) {
    int none = 0;
    (void)setsockopt(accepted.get(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
  }
  blocking(client.get());
  blocking(accepted.get());
  row.trip_ns = round_trip_ns(client.get(), accepted.get());
  control->set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  row.dropped = "lets everything in";
  for (int i = 0; i < 20; ++i) {
    io::Fd next = listener.connect();
    if (test::refused(next))
      row.dropped = "refused at once (reset)";
    else if (!test::connected(next))
      row.dropped = "waits, TCP asks again";
    else
      continue;
    break;
  }
  detach();
  return row;
}

// The program alone, its bucket empty: what a dropped SYN costs.
void add_costs(Row& row, int established, int syn, int rates) {
  auto control = AdmissionControl::over(rates);
  if (!control) die(control.error().message);
  control->set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  row.established_ns = cost_ns(established, {.port = 143, .flags = test::kAck, .payload = 100});
  row.syn_ns = cost_ns(syn, {.port = 143});
}

void write_file(const std::string& path, const char* text) {
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text, strlen(text)) < 0) die(path);
}

// With the sockets made in it. Left and removed at the end.
class OwnCgroup {
 public:
  OwnCgroup() {
    for (const char* root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      if (::access((std::string(root) + "/cgroup.procs").c_str(), W_OK) == 0) parent_ = root;
      if (!parent_.empty()) break;
    }
    path_ = parent_ + "/dormouse-hooks-bench";
    if (parent_.empty() || (::mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST)) die("a cgroup");
    write_file(path_ + "/cgroup.procs", "0");
    fd_ = io::Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~OwnCgroup() {
    write_file(parent_ + "/cgroup.procs", "0");
    ::rmdir(path_.c_str());
  }
  int fd() const { return fd_.get(); }

 private:
  std::string parent_;
  std::string path_;
  io::Fd fd_;
};

void own_network() {
  if (unshare(CLONE_NEWNET) != 0) die("a network namespace");
  io::Fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
  if (ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) die("lo up");
}

std::vector<Row> measure_all(const OwnCgroup& cgroup) {
  std::vector<Row> rows;
  const uint16_t port = test::Listener(AF_INET, true).port();
  auto nothing = [] {};
  admission_bpf* chosen = admission_bpf__open_and_load();
  hooks_bench_bpf* hooks = hooks_bench_bpf__open();
  if (chosen == nullptr || hooks == nullptr) die("loading");
  hooks->rodata->our_port = port;
  if (hooks_bench_bpf__load(hooks) != 0) die("loading");
  hooks_bench_bpf* for_test_run = hooks_bench_bpf__open_and_load();  // port 143
  if (for_test_run == nullptr) die("loading");
  const int rates = bpf_map__fd(hooks->maps.rates);
  const int filter = bpf_program__fd(chosen->progs.admission);
  auto attach_filter = [&](int listener) {
    return setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof filter) == 0;
  };
  rows.push_back(measure("none", rates, false, port, [](int) { return true; }, nothing));
  // A run without a socket must not ask whether it listens; the packet of a connection is asked
  // nothing else.
  admission_bpf* judging = admission_bpf__open();
  if (judging == nullptr) die("loading");
  judging->rodata->any_socket = true;
  if (admission_bpf__load(judging) != 0) die("loading");
  for (bool detaches : {true, false}) {
    Row row = measure(detaches ? "filter of the listener, taken off after accept"
                               : "filter of the listener, left on",
                      bpf_map__fd(chosen->maps.rates), detaches, port, attach_filter, nothing);
    add_costs(row, filter, bpf_program__fd(judging->progs.admission),
              bpf_map__fd(judging->maps.rates));
    if (detaches) row.established_ns = 0;
    rows.push_back(row);
  }
  admission_bpf__destroy(judging);
  auto add = [&](const char* name, bpf_program* alone, const Attach& attach,
                 const std::function<void()>& detach) {
    Row row = measure(name, rates, false, port, attach, detach);
    if (alone != nullptr) {
      add_costs(row, bpf_program__fd(alone), bpf_program__fd(alone),
                bpf_map__fd(for_test_run->maps.rates));
    }
    rows.push_back(row);
  };
  bpf_link* link = nullptr;
  auto drop_link = [&] { bpf_link__destroy(link); };

  add(
      "cgroup_skb ingress", for_test_run->progs.on_cgroup,
      [&](int) {
        link = bpf_program__attach_cgroup(hooks->progs.on_cgroup, cgroup.fd());
        return link != nullptr;
      },
      drop_link);
  const int lo = int(if_nametoindex("lo"));
  bpf_tc_hook tc_hook{};
  tc_hook.sz = sizeof tc_hook;
  tc_hook.ifindex = lo;
  tc_hook.attach_point = BPF_TC_INGRESS;
  add(
      "tc ingress of lo", for_test_run->progs.on_tc,
      [&](int) {
        bpf_tc_opts options{};
        options.sz = sizeof options;
        options.prog_fd = bpf_program__fd(hooks->progs.on_tc);
        return bpf_tc_hook_create(&tc_hook) == 0 && bpf_tc_attach(&tc_hook, &options) == 0;
      },
      [&] {
        // Both: libbpf's way to say that the whole queue goes.
        // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange)
        tc_hook.attach_point = bpf_tc_attach_point(BPF_TC_INGRESS | BPF_TC_EGRESS);
        bpf_tc_hook_destroy(&tc_hook);
      });
  add(
      "XDP of lo (generic)", for_test_run->progs.on_xdp,
      [&](int) {
        link = bpf_program__attach_xdp(hooks->progs.on_xdp, lo);
        return link != nullptr;
      },
      drop_link);
  io::Fd network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  add(
      "sk_lookup", nullptr,
      [&](int) {
        link = bpf_program__attach_netns(hooks->progs.on_sk_lookup, network.get());
        return link != nullptr;
      },
      drop_link);
  const int reuseport = bpf_program__fd(hooks->progs.on_sk_reuseport);
  add(
      "sk_reuseport", nullptr,
      [&](int listener) {
        return setsockopt(listener, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &reuseport,
                          sizeof reuseport) == 0;
      },
      nothing);
  hooks_bench_bpf__destroy(for_test_run);
  hooks_bench_bpf__destroy(hooks);
  admission_bpf__destroy(chosen);
  return rows;
}

int run() {
  own_network();
  OwnCgroup cgroup;
  fmt::print("| hook | a dropped SYN | established packet, ns | SYN, ns | round trip, ns |\n");
  fmt::print("|---|---|---|---|---|\n");
  for (const Row& row : measure_all(cgroup)) {
    auto cell = [](double ns) { return ns > 0 ? fmt::format("{:.0f}", ns) : std::string("-"); };
    fmt::print("| {} | {} | {} | {} | {} |\n", row.hook, row.dropped, cell(row.established_ns),
               cell(row.syn_ns), cell(row.trip_ns));
  }
  return 0;
}

}  // namespace
}  // namespace dormouse::ebpf

int main() { return dormouse::ebpf::run(); }
