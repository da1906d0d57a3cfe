#pragma once
// Steering: which login process a new connection goes to. A listening address is a group of sockets
// (SO_REUSEPORT), one per login process, all made and kept by the master; this says which of them
// the kernel takes.
//
//   kBpf   steering.bpf.c: the shortest queue, an address to the same process while it is well
//   kHash  a classic filter, which needs no privilege: the address's hash among processes that run
//
// In both, a process that is not ready gets nothing; what its socket had queued before waits for
// the next process.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ebpf/page.h"
#include "ebpf/steering_shared.h"
#include "io/fd.h"
#include "io/result.h"

namespace dormouse::ebpf {

using SteeringCounters = std::array<uint64_t, STEERED_VERDICTS>;
const char* steering_verdict_name(unsigned verdict);

// The sockets of one address, in the order of the processes, all listening. Lent.
using SocketGroup = std::vector<int>;

class Steering {
 public:
  virtual ~Steering() = default;

  // The next group; each has as many sockets as there are processes.
  virtual Result<> attach(const SocketGroup& group) = 0;
  // Nobody is at first.
  virtual void set_ready(uint32_t process, bool ready) = 0;
  // For the process's own page of struct steering_queue; ours. -1 where nobody reads it.
  virtual int queue_fd(uint32_t process) const = 0;
  virtual SteeringCounters counters() const = 0;
};

// kUnsupported or kDenied say why it cannot be had.
Result<std::unique_ptr<Steering>> make_bpf_steering(uint32_t processes);
std::unique_ptr<Steering> make_hash_steering(uint32_t processes);

// A login process's view of its own page.
class QueueReport {
 public:
  static Result<QueueReport> over(int page);
  // `waiting` connections are here. `emptied`: and none is left in the listeners' queues.
  void tell(uint32_t waiting, bool emptied);

 private:
  Page<steering_queue> page_;
};

}  // namespace dormouse::ebpf
