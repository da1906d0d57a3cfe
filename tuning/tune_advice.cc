#include "tuning/tune_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace dormouse::tuning {
namespace {

using State = TuneRow::State;

// docs/costs.md, "Bytes": of a sleeper with TLS. User: record's block, slot, watch of two
// directories, tracker with its user. Kernel: socket, armed poll, the rest.
constexpr uint64_t kUserBytes = 288 + 36 + 2 * 21 + 30 + 100;
constexpr uint64_t kKernelBytes = 3'566 + 257 + 140;
// An awake one with its user's mail store open and busy (imap/user.h), and how many are awake: the
// mixed trace of the simulator has 1.2 % on average under the default policy, thrice that in its
// busiest hour.
constexpr uint64_t kAwakeBytes = 390 * 1024;
constexpr uint64_t kSessionsPerAwake = 27;
// What every process holds whoever sleeps (docs/costs.md: 3 to 10 MB, a dozen of them), and the
// machine itself.
constexpr uint64_t kBaseBytes = 12 * 10'000'000 + 256'000'000;
// Left to the page cache and everybody else: a mail store without one reads from the disk.
constexpr uint64_t kMemoryTightPercent = 80;

// As master/shards.h: so many shards at most, and a tenth of the descriptors is the den's own.
constexpr uint64_t kShardsMax = 512;
// One ring's table holds no more (IORING_MAX_FIXED_FILES).
constexpr uint64_t kRingFilesMax = 1 << 20;
// Descriptors of the master, listeners, links.
constexpr uint64_t kOwnFiles = 1'024;
// An awake session has two in the worker, three more for its store, one in the den.
constexpr uint64_t kFilesPerAwake = 6;
// The rest of the machine.
constexpr uint64_t kOtherFiles = 65'536;

// Sleepers take no buffers (846,357 idle sockets were seen to take 125 pages in all). One in a
// hundred may have 64 KiB under way at once: what a den queues for a client before it stops.
constexpr uint64_t kSessionsPerBusySocket = 100;
constexpr uint64_t kBusySocketBytes = 64 * 1024;
// A TLS record and its header, without waiting for an acknowledgement.
constexpr uint64_t kSocketBufferBytes = 16'384 + 512;
// After a cut of the network a tenth of all are back within the second that login may be busy; what
// finds no room is tried again by the client's TCP a second later. listen.backlog bounds it too.
constexpr uint64_t kSessionsPerQueued = 10;
constexpr uint64_t kQueueMin = 4'096;
constexpr uint64_t kQueueMax = 65'535;
// A second of deliveries at 60,000 events; a full queue costs a look at every mailbox.
constexpr uint64_t kChangeEvents = 65'536;
constexpr uint64_t kDirectoriesPerSession = 2;
// One of the watch's, and other programs of the same user.
constexpr uint64_t kInotifyInstances = 16;

uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

class Adviser {
 public:
  explicit Adviser(TuneReport& report) : report_(report) {}

  // `least`: below it the sessions do not fit; below `needs` something suffers.
  TuneRow& add(std::string name, uint64_t least, uint64_t needs, std::optional<uint64_t> has,
               std::string why) {
    TuneRow& row = report_.rows.emplace_back();
    row.name = std::move(name);
    row.needs = needs;
    row.has = has;
    row.why = std::move(why);
    if (has) {
      row.state = *has >= needs ? State::kFits : *has >= least ? State::kTight : State::kShort;
    }
    return row;
  }
  void add_sysctl(const std::string& name, uint64_t least, uint64_t needs,
                  std::optional<uint64_t> has, std::string why) {
    TuneRow& row = add(name, least, needs, has, std::move(why));
    row.sysctl = name;
    row.value = fmt::format("{}", needs);
  }
  // Of a sysctl with three values the middle one; the others are kept, and never below it.
  void add_middle(const std::string& name, uint64_t needs,
                  const std::optional<std::array<uint64_t, 3>>& has, std::string why) {
    TuneRow& row =
        add(name, 0, needs, has ? std::optional((*has)[1]) : std::nullopt, std::move(why));
    if (!has) return;
    row.sysctl = name;
    row.value = fmt::format("{} {} {}", (*has)[0], needs, std::max((*has)[2], needs * 3 / 2));
  }

 private:
  TuneReport& report_;
};

void advise_files(const Machine& machine, uint64_t sessions, Adviser& adviser) {
  uint64_t table = sessions + ceil_div(sessions, 9) + kOwnFiles;
  uint64_t wanted = std::min(table, kRingFilesMax);
  uint64_t least = std::min(wanted, ceil_div(ceil_div(sessions, kShardsMax) * 10, 9) + 1);
  adviser.add_sysctl("fs.nr_open", least, wanted, machine.nr_open,
                     "bounds RLIMIT_NOFILE, and with it a den's sessions; with less there are more "
                     "dens, 512 at the most");
  TuneRow& limit = adviser.add("RLIMIT_NOFILE", least, wanted, machine.open_files_hard,
                               "as fs.nr_open; of this process: a unit has its own, and a master "
                               "that is root raises it by itself");
  limit.unit_line = fmt::format("LimitNOFILE={}", wanted);
  uint64_t awake = ceil_div(sessions, kSessionsPerAwake);
  uint64_t files = sessions + awake * kFilesPerAwake + kOtherFiles;
  uint64_t taken = machine.files_open.value_or(0);
  adviser.add_sysctl("fs.file-max", sessions + kOwnFiles, std::max(files, taken + files / 8),
                     machine.file_max, "every socket is an open file of the machine");
  adviser.add("RLIMIT_MEMLOCK", 0, 0, machine.locked_bytes_hard,
              "nothing: since Linux 5.12 neither rings nor BPF maps count");
}

void advise_network(const Machine& machine, uint64_t sessions, Adviser& adviser) {
  uint64_t busy = ceil_div(sessions, kSessionsPerBusySocket);
  adviser.add_middle("net.ipv4.tcp_mem", ceil_div(busy * kBusySocketBytes, machine.page_bytes),
                     machine.tcp_mem,
                     "pages at which the kernel begins to take socket buffers away: one session in "
                     "a hundred with 64 KiB under way");
  adviser.add_middle("net.ipv4.tcp_rmem", kSocketBufferBytes, machine.tcp_rmem,
                     "bytes of a socket's receive buffer at first: a TLS record");
  adviser.add_middle("net.ipv4.tcp_wmem", kSocketBufferBytes, machine.tcp_wmem,
                     "bytes of a socket's send buffer at first: a TLS record");
  uint64_t queue = std::clamp(ceil_div(sessions, kSessionsPerQueued), kQueueMin, kQueueMax);
  std::string storm = "when all come back at once, what does not fit waits another second";
  adviser.add_sysctl("net.core.somaxconn", 0, queue, machine.somaxconn,
                     storm + " (listen.backlog too)");
  adviser.add_sysctl("net.ipv4.tcp_max_syn_backlog", 0, queue, machine.syn_backlog, storm);
  adviser.add("net.ipv4.ip_local_port_range", 0, 0,
              machine.port_range
                  ? std::optional((*machine.port_range)[1] -
                                  std::min((*machine.port_range)[0], (*machine.port_range)[1]))
                  : std::nullopt,
              "nothing: the server connects to nobody (a load tester on this machine does)");
}

void advise_watch(const Machine& machine, const TuneWish& wish, Adviser& adviser) {
  if (!wish.inotify) {
    adviser.add_sysctl("fs.fanotify.max_queued_events", 0, kChangeEvents, machine.fanotify_queued,
                       "a second of deliveries; when it is full every mailbox is looked at");
    return;
  }
  adviser.add_sysctl("fs.inotify.max_user_watches", 0, wish.sessions * kDirectoriesPerSession,
                     machine.inotify_watches,
                     "new/ and cur/ of each mailbox; those beyond it are polled");
  adviser.add_sysctl("fs.inotify.max_user_instances", 0, kInotifyInstances,
                     machine.inotify_instances, "one of the watch's");
  adviser.add_sysctl("fs.inotify.max_queued_events", 0, kChangeEvents, machine.inotify_queued,
                     "a second of deliveries; when it is full every mailbox is looked at");
}

std::string_view name_of(State state) {
  switch (state) {
    case State::kFits:
      return "fits";
    case State::kTight:
      return "tight";
    case State::kShort:
      return "SHORT";
    case State::kUnknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace

TuneReport advise_machine(const Machine& machine, const TuneWish& wish) {
  TuneReport report;
  report.sessions = wish.sessions;
  report.memory_bytes = kBaseBytes + wish.sessions * (kUserBytes + kKernelBytes) +
                        ceil_div(wish.sessions, kSessionsPerAwake) * kAwakeBytes;
  Adviser adviser(report);
  advise_files(machine, wish.sessions, adviser);
  advise_network(machine, wish.sessions, adviser);
  advise_watch(machine, wish, adviser);
  adviser.add("memory", report.memory_bytes, report.memory_bytes * 100 / kMemoryTightPercent,
              machine.memory_bytes,
              fmt::format("bytes: {} a session of the server's, {} of the kernel's, one in {} "
                          "awake with {}; a fifth is left to the page cache",
                          kUserBytes, kKernelBytes, kSessionsPerAwake, kAwakeBytes));
  return report;
}

TuneRow::State TuneReport::state() const {
  State worst = State::kFits;
  for (const TuneRow& row : rows) {
    if (row.state == State::kShort) return State::kShort;
    if (row.state == State::kTight) worst = State::kTight;
  }
  return worst;
}

std::string tune_text(const TuneReport& report) {
  std::string text =
      fmt::format("{} sessions; memory needed in all: {:.2f} GB\n\n{:<32}{:>22}{:>22}  {}\n",
                  report.sessions, double(report.memory_bytes) / 1e9, "", "needs", "has", "");
  auto out = std::back_inserter(text);
  for (const TuneRow& row : report.rows) {
    std::string has = !row.has                 ? "-"
                      : *row.has == UINT64_MAX ? "unlimited"
                                               : fmt::format("{}", *row.has);
    fmt::format_to(out, "{:<32}{:>22}{:>22}  {}\n", row.name, row.needs, has, name_of(row.state));
  }
  for (const TuneRow& row : report.rows) {
    if (row.state != State::kTight && row.state != State::kShort) continue;
    fmt::format_to(out, "\n{}: {}\n", row.name, row.why);
    if (!row.sysctl.empty()) fmt::format_to(out, "  sysctl {} = {}\n", row.sysctl, row.value);
    if (!row.unit_line.empty()) fmt::format_to(out, "  systemd: {}\n", row.unit_line);
  }
  return text;
}

}  // namespace dormouse::tuning
