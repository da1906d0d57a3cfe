#pragma once
// The verdict over a packet, whatever hook it came by: finds TCP's header, lets everything pass but
// the opening SYN of a connection, and asks the listener's and the prefix's bucket for that.

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ebpf/admission_shared.h"
#include "ebpf/bucket.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
// IPv6 extension headers that may stand before TCP's (RFC 8200 4).
#define HOP_BY_HOP 0
#define ROUTING 43
#define DESTINATION_OPTIONS 60

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, uint32_t);
  __type(value, struct admission_rates);
} rates SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, uint32_t);
  __type(value, uint64_t);
} listener_bucket SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, ADMISSION_PREFIXES_MAX);
  __type(key, struct admission_prefix);
  __type(value, uint64_t);
} prefix_buckets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, ADMISSION_VERDICTS);
  __type(key, uint32_t);
  __type(value, uint64_t);
} verdicts SEC(".maps");

// Tests give the time; in service these are false and 0, and the verifier drops the branch.
const volatile bool clock_is_given = false;
uint64_t given_clock_ns = 0;

// Attempts to change a bucket that other CPUs change too: each failure means that another got
// through, so 8 in a row are rare, and letting one in then is harmless.
#define BUCKET_ATTEMPTS 8

// Headers between IPv6's and TCP's that are looked past. No client sends more than one.
#define EXTENSIONS_MAX 4

// PACKET_ACK: an acknowledgement, whatever else it brings.
enum packet_kind { PACKET_OTHER, PACKET_SYN, PACKET_ACK, PACKET_UNREADABLE };

struct packet_facts {
  struct admission_prefix from;
  uint16_t port;  // TCP's destination, host order
  uint64_t flow;  // a hash of the source and both ports
};

static __always_inline uint64_t policy_clock_ns(void) {
  return clock_is_given ? given_clock_ns : bpf_ktime_get_ns();
}

static __always_inline void count_verdict(uint32_t verdict) {
  uint64_t* counter = bpf_map_lookup_elem(&verdicts, &verdict);
  if (counter) ++*counter;
}

static __always_inline int load(const struct __sk_buff* skb, uint32_t offset, void* to,
                                uint32_t bytes) {
  return bpf_skb_load_bytes_relative(skb, offset, to, bytes, BPF_HDR_START_NET);
}

// Where TCP begins after an IPv6 header; negative: not TCP, 0: unreadable.
static __always_inline int tcp_after_ipv6(const struct __sk_buff* skb, uint8_t next) {
  uint32_t offset = sizeof(struct ipv6hdr);
  for (int i = 0; i < EXTENSIONS_MAX; ++i) {
    uint8_t extension[2];  // next header, length in 8 bytes beyond the first 8
    if (next == IPPROTO_TCP) return offset;
    if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION_OPTIONS) return -1;
    if (load(skb, offset, extension, sizeof extension)) return 0;
    next = extension[0];
    offset += 8 + extension[1] * 8;
  }
  return next == IPPROTO_TCP ? (int)offset : -1;
}

// No secret in it: who makes two flows alike gains nothing (handshake_race.bpf.h).
static __always_inline uint64_t mix(uint64_t hash, uint64_t more) {
  hash = (hash ^ more) * 0x9E3779B97F4A7C15ULL;
  return hash ^ hash >> 29;
}

// Fills in `facts`, which must be zero, for what opens a connection and for acknowledgements.
static __always_inline enum packet_kind look_at(const struct __sk_buff* skb,
                                                struct packet_facts* facts) {
  struct admission_prefix* from = &facts->from;
  int tcp = 0;
  uint64_t source[2];  // address
  __be16 ports[2];
  uint8_t flags;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    if (load(skb, 0, &ip, sizeof ip)) return PACKET_UNREADABLE;
    if (ip.protocol != IPPROTO_TCP) return PACKET_OTHER;
    if (ip.ihl < 5) return PACKET_UNREADABLE;
    tcp = ip.ihl * 4;
    source[0] = ip.saddr;
    source[1] = 0;
    from->family = 4;
    __builtin_memcpy(from->bytes, &ip.saddr, 3);
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr ip;
    if (load(skb, 0, &ip, sizeof ip)) return PACKET_UNREADABLE;
    tcp = tcp_after_ipv6(skb, ip.nexthdr);
    if (tcp == 0) return PACKET_UNREADABLE;
    if (tcp < 0) return PACKET_OTHER;
    __builtin_memcpy(source, &ip.saddr, sizeof source);
    from->family = 6;
    __builtin_memcpy(from->bytes, &ip.saddr, 6);
  } else {
    return PACKET_OTHER;
  }
  // The flags are byte 13 of the header: ... RST 4, SYN 2, ACK 16.
  if (load(skb, tcp, ports, sizeof ports) || load(skb, tcp + 13, &flags, 1)) {
    return PACKET_UNREADABLE;
  }
  facts->port = bpf_ntohs(ports[1]);
  facts->flow = mix(mix(mix(0, source[0]), source[1]), (uint64_t)ports[0] << 16 | ports[1]);
  if ((flags & 0x16) == 0x02) return PACKET_SYN;
  return (flags & 0x16) == 0x10 ? PACKET_ACK : PACKET_OTHER;
}

// Takes a token: 1, there was none: 0, contended: -1.
static __always_inline int take_from(uint64_t* bucket, uint64_t now_ns, uint64_t interval_ns,
                                     uint64_t depth_ns, uint64_t kept_ns) {
  for (int i = 0; i < BUCKET_ATTEMPTS; ++i) {
    uint64_t taken_ns;
    uint64_t seen_ns = *(volatile uint64_t*)bucket;
    uint64_t settled_ns = bucket_settle(seen_ns, now_ns, depth_ns);
    if (settled_ns != seen_ns) {
      __sync_val_compare_and_swap(bucket, seen_ns, settled_ns);
      continue;
    }
    if (!bucket_take(seen_ns, now_ns, interval_ns, depth_ns, kept_ns, &taken_ns)) return 0;
    if (__sync_val_compare_and_swap(bucket, seen_ns, taken_ns) == seen_ns) return 1;
  }
  return -1;
}

// Whether the prefix is within its share. What it asks for counts, also where the listener then has
// no place: else a prefix that always asks would always be first.
static __always_inline int within_share(const struct admission_prefix* from,
                                        const struct admission_rates* limits, uint64_t now_ns) {
  uint64_t* bucket = bpf_map_lookup_elem(&prefix_buckets, from);
  if (!bucket) {
    uint64_t full_at_ns = now_ns + limits->prefix_interval_ns;
    // A full map never fails an LRU update for long; if it does, the newcomer is within its share.
    bpf_map_update_elem(&prefix_buckets, from, &full_at_ns, BPF_NOEXIST);
    return 1;
  }
  return take_from(bucket, now_ns, limits->prefix_interval_ns, limits->prefix_depth_ns, 0) != 0;
}

static __always_inline enum admission_verdict judge_syn(const struct admission_prefix* from) {
  uint32_t first = 0;
  struct admission_rates* limits = bpf_map_lookup_elem(&rates, &first);
  uint64_t* bucket = bpf_map_lookup_elem(&listener_bucket, &first);
  if (!limits || !bucket || limits->interval_ns == 0) return ADMISSION_UNPACED;
  uint64_t now_ns = policy_clock_ns();
  int within = within_share(from, limits, now_ns);
  uint64_t kept_ns = within ? 0 : limits->depth_ns / 2;
  int taken = take_from(bucket, now_ns, limits->interval_ns, limits->depth_ns, kept_ns);
  if (taken < 0) return ADMISSION_CONTENDED;
  if (taken) return within ? ADMISSION_WITHIN : ADMISSION_OVER;
  uint64_t unused;
  int reserve_left =
      !within && bucket_take(*bucket, now_ns, limits->interval_ns, limits->depth_ns, 0, &unused);
  return reserve_left ? ADMISSION_DROPPED_SHARE : ADMISSION_DROPPED_RATE;
}

// 1: the packet goes on. Counts what it decided; says nothing of packets that open nothing.
static __always_inline int admit_syn(const struct admission_prefix* from) {
  enum admission_verdict verdict = judge_syn(from);
  count_verdict(verdict);
  return verdict != ADMISSION_DROPPED_RATE && verdict != ADMISSION_DROPPED_SHARE;
}
