// Admission: which SYN a listening socket sees. Attached to each listener as its socket filter
// (SO_ATTACH_BPF); docs/ebpf.md has why this hook and not another.
//
// What a verdict means: DROP takes the packet away before TCP has looked at it. No answer is sent,
// so the client's TCP sends its SYN again after 1, 2, 3 ... seconds: the queue is in the clients,
// and costs us nothing. PASS leaves everything to TCP, as if we were not here.
//
// Sockets that the listener makes inherit the filter until login takes it off them; whatever
// arrives for such a one passes. So does all that is no opening SYN, but for what TCP would
// answer with a reset by mistake (handshake_race.bpf.h).

// clang-format off
#include "vmlinux.h"
// clang-format on
#include "ebpf/admission_policy.bpf.h"
#include "ebpf/handshake_race.bpf.h"

#define DROP 0
#define PASS 0xffffffff  // keep all bytes

// A run without a socket (BPF_PROG_TEST_RUN) has none that listens.
const volatile bool any_socket = false;

SEC("socket")
int admission(struct __sk_buff* skb) {
  struct packet_facts facts = {};
  if (!any_socket) {
    struct bpf_sock* sk = skb->sk;
    if (!sk || sk->state != BPF_TCP_LISTEN) return PASS;
  }
  switch (look_at(skb, &facts)) {
    case PACKET_SYN:
      forget_handshake(facts.flow);
      return admit_syn(&facts.from) ? PASS : DROP;
    case PACKET_ACK:
      if (is_early(facts.flow)) {
        count_verdict(ADMISSION_EARLY);
        return DROP;
      }
      // For a listener it ends a handshake, or belongs to nothing.
      count_verdict(ADMISSION_COMPLETED);
      return PASS;
    case PACKET_UNREADABLE:
      count_verdict(ADMISSION_UNREADABLE);
      return PASS;
    default:
      return PASS;
  }
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
