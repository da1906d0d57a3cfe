#pragma once
// What steering.bpf.c shares with user space.

#include "ebpf/shared_types.h"

// login.processes at most.
#define STEERING_PROCESSES_MAX 256
// [listen] allows 16 addresses for imap and 16 for imaps: as many groups of sockets.
#define STEERING_GROUPS_MAX 32
// Client addresses whose process is remembered, the one seen longest ago is forgotten first: as
// many as come within some minutes, 16,384 * about 90 bytes = 1.5 MB of kernel memory.
#define STEERING_ADDRESSES_MAX 16384
// An address leaves its process when the process's queue is longer than twice the shortest and this
// many more: below, a queue is shorter than the batch that login accepts at once (64).
#define STEERING_SLACK 32

// How long a login process's queue is. One page for each process, which alone may write to it, so
// that a process taken over can lie about itself only.
struct steering_queue {
  uint32_t waiting;  // connections that have not logged in yet, when it last looked
  uint32_t given;    // sent to it since; it sets 0 whenever it has accepted all there were
};

// Written by the master.
struct steering_process {
  uint32_t ready;  // 1: it runs and accepts
};

// A client's address: IPv4, or the /64 of IPv6.
struct steering_address {
  uint8_t family;  // 4 or 6
  uint8_t zero[3];
  uint8_t bytes[8];
};

enum steering_verdict {
  STEERED_HOME,     // to the process that the address was sent to before
  STEERED_NEW,      // a new address, to the shortest queue
  STEERED_AWAY,     // its process is not there, or its queue too long: to the shortest
  STEERED_NOWHERE,  // nobody is ready, or the socket is gone: the kernel's own hash decides
  STEERED_VERDICTS
};
