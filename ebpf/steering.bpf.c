// Steering: which login process's socket gets a new connection. Attached to a group of listening
// sockets of one address (SO_REUSEPORT), one socket per process; loaded once for each group, with
// all maps but the numbers in rodata shared.
//
// The process with the shortest queue; an address stays with the process it had before while that
// is well, so that login's limits per address and its penalties for failed attempts see all of it,
// and what it has in its caches is used. A process that is not ready gets nothing. When none is,
// the kernel's hash decides: the connection waits in that socket's queue for the next process.
//
// SK_PASS without a choice means the hash too. SK_DROP is never answered: TCP would send a reset.

// clang-format off
#include "vmlinux.h"
// clang-format on
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ebpf/steering_shared.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD

const volatile uint32_t processes_count = 1;
const volatile uint32_t first_socket = 0;  // of this group in `sockets`

struct queue_page {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(uint32_t));
  __uint(value_size, sizeof(struct steering_queue));
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, STEERING_PROCESSES_MAX);
  __type(key, uint32_t);
  __array(values, struct queue_page);
} queues SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, STEERING_PROCESSES_MAX);
  __type(key, uint32_t);
  __type(value, struct steering_process);
} processes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
  __uint(max_entries, STEERING_PROCESSES_MAX* STEERING_GROUPS_MAX);
  __type(key, uint32_t);
  __type(value, uint64_t);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, STEERING_ADDRESSES_MAX);
  __type(key, struct steering_address);
  __type(value, uint32_t);
} homes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, STEERED_VERDICTS);
  __type(key, uint32_t);
  __type(value, uint64_t);
} verdicts SEC(".maps");

static __always_inline int finish(uint32_t verdict) {
  uint64_t* counter = bpf_map_lookup_elem(&verdicts, &verdict);
  if (counter) ++*counter;
  return SK_PASS;
}

static __always_inline struct steering_queue* queue_of(uint32_t process) {
  uint32_t first = 0;
  void* page = bpf_map_lookup_elem(&queues, &process);
  return page ? bpf_map_lookup_elem(page, &first) : NULL;
}

// Connections that wait there; all ones: not ready.
#define NOT_READY 0xffffffffffffffff
static __always_inline uint64_t length_of(uint32_t process) {
  struct steering_process* state = bpf_map_lookup_elem(&processes, &process);
  struct steering_queue* queue = queue_of(process);
  if (!state || !state->ready || !queue) return NOT_READY;
  return (uint64_t)queue->waiting + queue->given;
}

struct search {
  uint32_t start;  // any: so that equals share
  uint32_t shortest;
  uint64_t length;
};

static long look_at_process(uint32_t step, struct search* found) {
  uint32_t process = (found->start + step) % processes_count;
  uint64_t length = length_of(process);
  if (length < found->length) {
    found->length = length;
    found->shortest = process;
  }
  return 0;
}

// 1 when the address could be read.
static __always_inline int read_address(struct sk_reuseport_md* md, struct steering_address* from) {
  const uint32_t source_v4 = 12;  // in the IP header
  const uint32_t source_v6 = 8;
  if (md->eth_protocol == bpf_htons(ETH_P_IP)) {
    from->family = 4;
    return !bpf_skb_load_bytes_relative(md, source_v4, from->bytes, 4, BPF_HDR_START_NET);
  }
  if (md->eth_protocol != bpf_htons(ETH_P_IPV6)) return 0;
  from->family = 6;
  return !bpf_skb_load_bytes_relative(md, source_v6, from->bytes, 8, BPF_HDR_START_NET);
}

SEC("sk_reuseport")
int steering(struct sk_reuseport_md* md) {
  struct search found = {.start = bpf_get_prandom_u32() % STEERING_PROCESSES_MAX,
                         .length = NOT_READY};
  if (processes_count == 0 || processes_count > STEERING_PROCESSES_MAX) return SK_PASS;
  bpf_loop(processes_count, look_at_process, &found, 0);
  if (found.length == NOT_READY) return finish(STEERED_NOWHERE);
  struct steering_address from = {};
  uint32_t verdict = STEERED_NEW;
  uint32_t process = found.shortest;
  int known = read_address(md, &from);
  uint32_t* home = known ? bpf_map_lookup_elem(&homes, &from) : NULL;
  if (home) {
    uint64_t length = length_of(*home);
    int stays = length != NOT_READY && length <= 2 * found.length + STEERING_SLACK;
    if (stays) process = *home;
    verdict = stays ? STEERED_HOME : STEERED_AWAY;
  }
  uint32_t socket = first_socket + process;
  if (bpf_sk_select_reuseport(md, &sockets, &socket, 0)) return finish(STEERED_NOWHERE);
  struct steering_queue* queue = queue_of(process);
  if (queue) __sync_fetch_and_add(&queue->given, 1);
  if (known && verdict != STEERED_HOME) bpf_map_update_elem(&homes, &from, &process, BPF_ANY);
  return finish(verdict);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
