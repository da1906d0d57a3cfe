#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <numeric>

#include "ebpf/steering.h"
#include "ebpf/steering.skel.h"
#include "ebpf/support.h"

namespace dormouse::ebpf {
namespace {

struct Destroy {
  void operator()(steering_bpf* programs) const { steering_bpf__destroy(programs); }
};
using Programs = std::unique_ptr<steering_bpf, Destroy>;

class BpfSteering final : public Steering {
 public:
  explicit BpfSteering(uint32_t processes) : processes_(processes) {}

  // The first group's programs own the maps. Here, so that what is missing shows at once.
  Result<> load() {
    auto first = load_group(0, nullptr);
    if (!first) return std::unexpected(first.error());
    groups_.push_back(std::move(*first));
    return make_queues();
  }

  Result<> attach(const SocketGroup& group) override {
    if (group.size() != processes_) return fail(ErrorKind::kInvalid, "a socket per process");
    const uint32_t number = attached_;
    if (number >= STEERING_GROUPS_MAX) {
      return fail(ErrorKind::kLimit, fmt::format("more than {} addresses", STEERING_GROUPS_MAX));
    }
    if (number > 0) {
      auto programs = load_group(number, groups_[0].get());
      if (!programs) return std::unexpected(programs.error());
      groups_.push_back(std::move(*programs));
    }
    const int sockets = bpf_map__fd(groups_[0]->maps.sockets);
    for (uint32_t process = 0; process < processes_; ++process) {
      const uint32_t place = number * STEERING_PROCESSES_MAX + process;
      const uint64_t socket = uint64_t(group[process]);
      if (bpf_map_update_elem(sockets, &place, &socket, BPF_ANY) != 0) {
        return fail_libbpf(errno, "steering: taking a listener");
      }
    }
    int program = bpf_program__fd(groups_[number]->progs.steering);
    if (setsockopt(group[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof program) != 0) {
      return fail_errno(errno, "SO_ATTACH_REUSEPORT_EBPF");
    }
    ++attached_;
    return {};
  }

  void set_ready(uint32_t process, bool ready) override {
    const steering_process state{.ready = ready ? 1U : 0U};
    // A new process has no queue yet, a dead one none any more.
    const uint32_t first = 0;
    const steering_queue empty{};
    if (process < queues_.size()) {
      (void)bpf_map_update_elem(queues_[process].get(), &first, &empty, BPF_ANY);
    }
    (void)bpf_map_update_elem(bpf_map__fd(groups_[0]->maps.processes), &process, &state, BPF_ANY);
  }

  int queue_fd(uint32_t process) const override { return queues_.at(process).get(); }

  SteeringCounters counters() const override {
    SteeringCounters counters{};
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0) return counters;
    std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
    const int map = bpf_map__fd(groups_[0]->maps.verdicts);
    for (uint32_t verdict = 0; verdict < STEERED_VERDICTS; ++verdict) {
      if (bpf_map_lookup_elem(map, &verdict, per_cpu.data()) != 0) continue;
      counters[verdict] = std::accumulate(per_cpu.begin(), per_cpu.end(), uint64_t{0});
    }
    return counters;
  }

 private:
  Result<Programs> load_group(uint32_t number, steering_bpf* owner) const {
    Programs programs(steering_bpf__open());
    if (!programs) return fail_libbpf(errno, "opening the steering program");
    programs->rodata->processes_count = processes_;
    programs->rodata->first_socket = number * STEERING_PROCESSES_MAX;
    if (owner != nullptr) {
      auto share = [](bpf_map* mine, const bpf_map* theirs) {
        return bpf_map__reuse_fd(mine, bpf_map__fd(theirs));
      };
      auto& maps = programs->maps;
      if (share(maps.queues, owner->maps.queues) != 0 ||
          share(maps.processes, owner->maps.processes) != 0 ||
          share(maps.sockets, owner->maps.sockets) != 0 ||
          share(maps.homes, owner->maps.homes) != 0 ||
          share(maps.verdicts, owner->maps.verdicts) != 0) {
        return fail_libbpf(errno, "steering: sharing maps");
      }
    }
    if (int error = steering_bpf__load(programs.get()); error != 0) {
      return fail_libbpf(-error, "loading the steering program");
    }
    return programs;
  }

  Result<> make_queues() {
    bpf_map_create_opts options{};
    options.sz = sizeof options;
    options.map_flags = BPF_F_MMAPABLE;
    const int outer = bpf_map__fd(groups_[0]->maps.queues);
    for (uint32_t process = 0; process < processes_; ++process) {
      io::Fd page(bpf_map_create(BPF_MAP_TYPE_ARRAY, "login_queue", sizeof(uint32_t),
                                 sizeof(steering_queue), 1, &options));
      const uint32_t inner = uint32_t(page.get());
      if (!page || bpf_map_update_elem(outer, &process, &inner, BPF_ANY) != 0) {
        return fail_libbpf(errno, "steering: making a queue's page");
      }
      queues_.push_back(std::move(page));
    }
    return {};
  }

  uint32_t processes_;
  uint32_t attached_ = 0;
  std::vector<Programs> groups_;
  std::vector<io::Fd> queues_;
};

}  // namespace

Result<std::unique_ptr<Steering>> make_bpf_steering(uint32_t processes) {
  keep_complaints();
  if (processes == 0 || processes > STEERING_PROCESSES_MAX) {
    return fail(ErrorKind::kInvalid, "steering: a number of processes that cannot be");
  }
  auto steering = std::make_unique<BpfSteering>(processes);
  if (auto loaded = steering->load(); !loaded) return std::unexpected(loaded.error());
  return steering;
}

}  // namespace dormouse::ebpf
