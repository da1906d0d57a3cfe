// For handshake_race.cc: where requests lie in memory, and a delay between the kernel's taking one
// out of its table and its putting the connection in. Never loaded by the server.

// clang-format off
#include "vmlinux.h"
// clang-format on
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "ebpf/shared_types.h"

// Addresses of requests, and how often each was one. The kernel uses few, again and again.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, uint64_t);
  __type(value, uint64_t);
} requests SEC(".maps");

uint64_t stretch_ns = 0;
uint64_t stretched = 0;

SEC("raw_tp/kmem_cache_alloc")
int on_alloc(struct bpf_raw_tracepoint_args* ctx) {
  static const char wanted[] = "request_sock_TCP";
  char name[sizeof wanted] = {};
  uint64_t address = ctx->args[1];
  uint64_t first = 1;
  struct kmem_cache* cache = (struct kmem_cache*)ctx->args[2];
  bpf_probe_read_kernel_str(name, sizeof name, BPF_CORE_READ(cache, name));
  if (__builtin_memcmp(name, wanted, sizeof name) != 0) return 0;
  uint64_t* count = bpf_map_lookup_elem(&requests, &address);
  if (count) {
    ++*count;
  } else {
    bpf_map_update_elem(&requests, &address, &first, BPF_ANY);
  }
  return 0;
}

static long wait_on(uint32_t turn, uint64_t* until_ns) { return bpf_ktime_get_ns() >= *until_ns; }

// The processor stopped since the request's link in the table was written: it is in, or it is out.
SEC("perf_event")
int on_link_written(void* ctx) {
  uint64_t until_ns = bpf_ktime_get_ns() + stretch_ns;
  __sync_fetch_and_add(&stretched, 1);
  bpf_loop(1 << 20, wait_on, &until_ns, 0);
  return 0;
}

// Where that link is in a request, for user space.
uint64_t link_offset = 0;
SEC("syscall")
int tell_offset(void* ctx) {
  link_offset = bpf_core_field_offset(struct sock_common, skc_nulls_node.pprev);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
