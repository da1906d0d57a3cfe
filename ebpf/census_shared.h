#pragma once
// What census.bpf.c shares with user space.

#include "ebpf/shared_types.h"

// Local ports that are ours: as many addresses as [listen] allows.
#define CENSUS_PORTS_MAX 32
// States of TCP as the kernel numbers them: 1 ESTABLISHED ... 12 NEW_SYN_RECV.
#define CENSUS_STATES 13
// Smoothed round-trip times below 1, 5, 20, 50, 100, 200, 500 ms, 1 s, and above.
#define CENSUS_RTTS 9
// Silent for less than 10 s, 1 min, 5 min, 15 min, 1 h, and longer.
#define CENSUS_AGES 6

struct census_totals {
  uint64_t states[CENSUS_STATES];
  // Of sockets that can carry data (not LISTEN, TIME_WAIT, NEW_SYN_RECV), in bytes:
  uint64_t received_bytes;   // buffers of what was received and not read yet
  uint64_t queued_bytes;     // buffers of what is to be sent or acknowledged
  uint64_t reserved_bytes;   // memory taken from the system and not used now
  uint64_t retransmissions;  // segments sent again, over these sockets' lives
  uint64_t rtts[CENSUS_RTTS];
  uint64_t silent[CENSUS_AGES];  // by the time since anything was heard of the peer
  // Of them, those that owe us an acknowledgement and were asked again: peers that are dying (the
  // first ages) or dead (the last ones; TCP gives up after about 15 minutes).
  uint64_t unanswered[CENSUS_AGES];
};

// One socket, where each is asked for. Byte order is the machine's, but for the address.
struct census_socket {
  uint8_t family;  // 4 or 6
  uint8_t state;
  uint8_t retransmits;  // in a row, of the oldest segment
  uint8_t probes;       // unanswered keepalive and window probes
  uint16_t local_port;
  uint16_t peer_port;
  uint8_t peer[16];
  uint32_t rtt_us;
  uint32_t retransmissions;
  uint32_t received_bytes;
  uint32_t queued_bytes;
  uint32_t unacknowledged;  // segments
  uint32_t silent_ms;
};
