// Census: one pass over the kernel's TCP tables (an iterator), adding up our own sockets and, if
// asked, writing a record of each. User space reads one descriptor; it touches no socket.

// clang-format off
#include "vmlinux.h"
// clang-format on
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ebpf/census_shared.h"

#define AF_INET6 10

const volatile uint16_t ports[CENSUS_PORTS_MAX];
const volatile uint32_t ports_count = 0;
const volatile uint64_t tick_ns = 4000000;  // one jiffy

bool each_socket = false;
struct census_totals totals;

static __always_inline int is_ours(uint16_t port) {
  for (uint32_t i = 0; i < CENSUS_PORTS_MAX && i < ports_count; ++i) {
    if (ports[i] == port) return 1;
  }
  return 0;
}

static __always_inline uint32_t rtt_class(uint32_t rtt_us) {
  if (rtt_us < 1000) return 0;
  if (rtt_us < 5000) return 1;
  if (rtt_us < 20000) return 2;
  if (rtt_us < 50000) return 3;
  if (rtt_us < 100000) return 4;
  if (rtt_us < 200000) return 5;
  if (rtt_us < 500000) return 6;
  return rtt_us < 1000000 ? 7 : 8;
}

static __always_inline uint32_t age_class(uint64_t silent_ms) {
  if (silent_ms < 10 * 1000) return 0;
  if (silent_ms < 60 * 1000) return 1;
  if (silent_ms < 5 * 60 * 1000) return 2;
  if (silent_ms < 15 * 60 * 1000) return 3;
  return silent_ms < 60 * 60 * 1000 ? 4 : 5;
}

// Since the peer was heard of last: its data or its acknowledgement.
static __always_inline uint64_t silent_ms_of(struct tcp_sock* tp) {
  uint32_t now = (uint32_t)bpf_jiffies64();
  uint32_t since_data = now - tp->inet_conn.icsk_ack.lrcvtime;
  uint32_t since_ack = now - tp->rcv_tstamp;
  uint32_t ticks = since_data < since_ack ? since_data : since_ack;
  return ticks * tick_ns / 1000000;
}

// Returns the bytes reserved.
static __always_inline int describe(struct tcp_sock* tp, struct census_socket* record) {
  struct sock* sk = &tp->inet_conn.icsk_inet.sk;
  uint64_t silent_ms = silent_ms_of(tp);
  record->rtt_us = tp->srtt_us >> 3;
  record->retransmissions = tp->total_retrans;
  record->received_bytes = sk->sk_backlog.rmem_alloc.counter;
  record->queued_bytes = sk->sk_wmem_queued;
  record->unacknowledged = tp->packets_out;
  record->retransmits = tp->inet_conn.icsk_retransmits;
  record->probes = tp->inet_conn.icsk_probes_out;
  record->silent_ms = silent_ms > 0xffffffff ? 0xffffffff : silent_ms;
  return sk->sk_forward_alloc;
}

static __always_inline void add_up(const struct census_socket* record, int reserved) {
  totals.received_bytes += record->received_bytes;
  totals.queued_bytes += record->queued_bytes;
  if (reserved > 0) totals.reserved_bytes += reserved;
  totals.retransmissions += record->retransmissions;
  uint32_t rtt = rtt_class(record->rtt_us);
  if (rtt < CENSUS_RTTS) ++totals.rtts[rtt];
  uint32_t age = age_class(record->silent_ms);
  if (age >= CENSUS_AGES) return;
  ++totals.silent[age];
  if ((record->unacknowledged > 0 && record->retransmits > 0) || record->probes > 0) {
    ++totals.unanswered[age];
  }
}

SEC("iter/tcp")
int census(struct bpf_iter__tcp* ctx) {
  struct sock_common* sk = ctx->sk_common;
  struct census_socket record = {};
  struct tcp_sock* tp = NULL;
  int reserved = 0;
  if (!sk || !is_ours(sk->skc_num)) return 0;
  uint8_t state = sk->skc_state;
  record.state = state;
  record.family = sk->skc_family == AF_INET6 ? 6 : 4;
  record.local_port = sk->skc_num;
  record.peer_port = bpf_ntohs(sk->skc_dport);
  if (record.family == 6) {
    __builtin_memcpy(record.peer, &sk->skc_v6_daddr, 16);
  } else {
    uint32_t peer = sk->skc_daddr;
    __builtin_memcpy(record.peer, &peer, 4);
  }
  if (state != BPF_TCP_LISTEN && state != BPF_TCP_TIME_WAIT && state != BPF_TCP_NEW_SYN_RECV) {
    tp = bpf_skc_to_tcp_sock(sk);
    if (tp) reserved = describe(tp, &record);
  }
  // A record that does not fit any more is asked for again with the next read: counted then.
  if (each_socket && bpf_seq_write(ctx->meta->seq, &record, sizeof record)) return 0;
  if (state < CENSUS_STATES) ++totals.states[state];
  if (tp) add_up(&record, reserved);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
