#pragma once
// What admission.bpf.c shares with user space. Units: nanoseconds.

#include "ebpf/shared_types.h"

// Distinct source prefixes remembered; the one that was quiet for longest is forgotten first, and
// begins anew with a full share. A busy provider sees some thousand /24 in a minute. The map takes
// 32,768 * about 80 bytes = 2.6 MB of kernel memory.
#define ADMISSION_PREFIXES_MAX 32768

// The one page that says how much is let in: element 0 of the program's map `rates`, or of a memfd
// where login paces. Written by one process, field by field; readers take each as it is.
//
// Half of the bucket is for everybody. The other half, the reserve, is for prefixes within their
// share: who is over it gets only what others leave.
struct admission_rates {
  uint64_t interval_ns;         // between two connections; 0: no bound at all
  uint64_t depth_ns;            // of the listener's bucket
  uint64_t prefix_interval_ns;  // between two connections of a prefix that is within its share
  uint64_t prefix_depth_ns;
};

// Where a connection comes from: an IPv4 /24 or an IPv6 /48.
struct admission_prefix {
  uint8_t family;  // 4 or 6
  uint8_t bytes[6];
  uint8_t zero;
};

enum admission_verdict {
  ADMISSION_WITHIN,         // let in, the prefix is within its share
  ADMISSION_OVER,           // let in, the prefix is over it, and nobody else wanted the place
  ADMISSION_DROPPED_SHARE,  // dropped: over the share, and the rest is kept for others
  ADMISSION_DROPPED_RATE,   // dropped: the listener's bucket is empty
  ADMISSION_UNPACED,        // let in: there is no bound now
  ADMISSION_UNREADABLE,     // left to TCP: no TCP header where one must be
  ADMISSION_CONTENDED,      // let in: other CPUs changed the bucket all the time
  ADMISSION_COMPLETED,      // a handshake's last packet; no verdict, only counted
  ADMISSION_EARLY,          // dropped: right behind a handshake's end (handshake_race.bpf.h)
  ADMISSION_VERDICTS
};
