// Steering without BPF of the new kind, and what both kinds share.

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "ebpf/steering.h"

namespace dormouse::ebpf {
namespace {

constexpr uint32_t kSourceV4 = 12;  // in the IP header
constexpr uint32_t kSourceV6 = 8;
// 2^32 divided by the golden ratio: spreads neighbouring addresses; the upper half is well mixed.
constexpr uint32_t kMix = 0x9e3779b1;
constexpr uint32_t kMixedBits = 16;

sock_filter statement(uint16_t code, uint32_t value) { return {code, 0, 0, value}; }

// Answers the place of a socket in its group: the hash of the address (IPv4, or IPv6's /64) over
// the processes that are ready.
std::vector<sock_filter> hash_program(int family, const std::vector<uint32_t>& ready) {
  std::vector<sock_filter> program;
  auto add = [&](uint16_t code, uint32_t value) { program.push_back(statement(code, value)); };
  const auto header = uint32_t(SKF_NET_OFF);
  if (family == AF_INET) {
    add(BPF_LD | BPF_W | BPF_ABS, header + kSourceV4);
  } else {
    add(BPF_LD | BPF_W | BPF_ABS, header + kSourceV6);
    add(BPF_ALU | BPF_MUL | BPF_K, kMix);
    add(BPF_MISC | BPF_TAX, 0);
    add(BPF_LD | BPF_W | BPF_ABS, header + kSourceV6 + 4);
    add(BPF_ALU | BPF_XOR | BPF_X, 0);
  }
  add(BPF_ALU | BPF_MUL | BPF_K, kMix);
  add(BPF_ALU | BPF_RSH | BPF_K, kMixedBits);
  add(BPF_ALU | BPF_MOD | BPF_K, uint32_t(ready.size()));
  for (uint32_t place = 0; place + 1 < ready.size(); ++place) {
    program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, place});
    add(BPF_RET | BPF_K, ready[place]);
  }
  add(BPF_RET | BPF_K, ready.back());
  return program;
}

class HashSteering final : public Steering {
 public:
  explicit HashSteering(uint32_t processes) : ready_(processes, false) {}

  Result<> attach(const SocketGroup& group) override {
    if (group.empty()) return fail(ErrorKind::kInvalid, "a group without a socket");
    int family = 0;
    socklen_t length = sizeof family;
    if (getsockopt(group[0], SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) {
      return fail_errno(errno, "SO_DOMAIN of a listener");
    }
    groups_.push_back({.socket = group[0], .family = family});
    return apply(groups_.back());
  }

  void set_ready(uint32_t process, bool ready) override {
    if (process >= ready_.size() || ready_[process] == ready) return;
    ready_[process] = ready;
    // It could be attached once, so it can be again; if not, the former one stays.
    for (const Group& group : groups_) (void)apply(group);
  }

  int queue_fd(uint32_t) const override { return -1; }
  SteeringCounters counters() const override { return {}; }

 private:
  struct Group {
    int socket = -1;
    int family = AF_INET;
  };

  // With nobody ready, any socket will do: as if all were.
  Result<> apply(const Group& group) const {
    std::vector<uint32_t> ready;
    for (uint32_t process = 0; process < ready_.size(); ++process) {
      if (ready_[process]) ready.push_back(process);
    }
    for (uint32_t process = 0; ready.empty() && process < ready_.size(); ++process) {
      ready.push_back(process);
    }
    std::vector<sock_filter> program = hash_program(group.family, ready);
    sock_fprog attached{.len = uint16_t(program.size()), .filter = program.data()};
    if (setsockopt(group.socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached,
                   sizeof attached) != 0) {
      return fail_errno(errno, "SO_ATTACH_REUSEPORT_CBPF");
    }
    return {};
  }

  std::vector<bool> ready_;
  std::vector<Group> groups_;
};

}  // namespace

std::unique_ptr<Steering> make_hash_steering(uint32_t processes) {
  return std::make_unique<HashSteering>(processes);
}

const char* steering_verdict_name(unsigned verdict) {
  switch (verdict) {
    case STEERED_HOME:
      return "home";
    case STEERED_NEW:
      return "new";
    case STEERED_AWAY:
      return "away";
    case STEERED_NOWHERE:
      return "nowhere";
    default:
      return "unknown";
  }
}

Result<QueueReport> QueueReport::over(int page) {
  auto mapped = Page<steering_queue>::map(page, PageUse::kWrite);
  if (!mapped) return std::unexpected(mapped.error());
  QueueReport report;
  report.page_ = std::move(*mapped);
  return report;
}

void QueueReport::tell(uint32_t waiting, bool emptied) {
  if (!page_) return;
  store_field(page_->waiting, waiting);
  // What is sent here between the last accept and this is forgotten: one or two, for a moment.
  if (emptied) store_field(page_->given, uint32_t{0});
}

}  // namespace dormouse::ebpf
