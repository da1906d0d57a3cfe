#pragma once
// What comes for a connection while another CPU is still making it.
//
// When a handshake ends the kernel takes the request out of its table of connections and then puts
// the new socket in (inet_ehash_insert()), and looks nothing up under a lock. A segment that
// another CPU looks up between the two finds neither, comes to the listener as if its connection
// did not exist, and is answered with a reset (seen on 6.18 with ebpf_handshake_race;
// docs/ebpf.md). The listener's filter sees that segment first. Dropped, it comes again, and by
// then the socket is there.
//
// The segment that ends the handshake comes through the same filter before that. So the first of a
// client passes, as everything of which no connection is known: TCP answers that, at once. What
// comes to the listener right behind it is dropped.

#include "ebpf/admission_policy.bpf.h"

// Handshakes remembered, by a hash of the client's address and ports; a newer one takes the place.
// They are needed for some microseconds, or while a host stops a virtual CPU.
#define HANDSHAKES 4096
// Shorter than the time after which a TCP says again what was not acknowledged (Linux: 200 ms).
#define HANDSHAKE_MS 100

// The upper half: of the hash, never 0. The lower: when, in ms. 0: nothing.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HANDSHAKES);
  __type(key, uint32_t);
  __type(value, uint64_t);
} handshakes SEC(".maps");

static __always_inline uint32_t handshake_tag(uint64_t flow) { return (uint32_t)flow | 1; }

static __always_inline volatile uint64_t* handshake_of(uint64_t flow) {
  uint32_t place = (flow >> 32) % HANDSHAKES;
  return bpf_map_lookup_elem(&handshakes, &place);
}

// A SYN begins a connection anew, maybe from the ports of one that has just ended.
static __always_inline void forget_handshake(uint64_t flow) {
  volatile uint64_t* handshake = handshake_of(flow);
  if (handshake && *handshake >> 32 == handshake_tag(flow)) *handshake = 0;
}

// For an acknowledgement that came to a listener: whether it is not the first of late. Remembers it
// if it is.
static __always_inline int is_early(uint64_t flow) {
  uint32_t now_ms = (uint32_t)(policy_clock_ns() / 1000000);
  volatile uint64_t* handshake = handshake_of(flow);
  if (!handshake) return 0;
  uint64_t seen = *handshake;
  if (seen >> 32 == handshake_tag(flow) && now_ms - (uint32_t)seen < HANDSHAKE_MS) return 1;
  *handshake = (uint64_t)handshake_tag(flow) << 32 | now_ms;
  return 0;
}
