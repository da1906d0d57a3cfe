#pragma once
// A token bucket in one number, the same code in the kernel (admission.bpf.c) and in login
// (login/accept_pacer.h).
//
// The generic cell rate algorithm: what is kept is the time at which the bucket would be full
// again. Taking a token moves it one interval on, and may not move it further ahead of the present
// than the depth. So a bucket is 8 bytes, needs no refilling, and is taken from with one
// compare-and- exchange. Times are nanoseconds of any clock that does not go back.

#include "ebpf/shared_types.h"

// The bucket under the present depth. Emptier than empty is what slower rates have left behind; to
// be stored where it differs, so that nobody waits longer than for the present ones.
static inline uint64_t bucket_settle(uint64_t full_at_ns, uint64_t now_ns, uint64_t depth_ns) {
  return full_at_ns > now_ns + depth_ns ? now_ns + depth_ns : full_at_ns;
}

// Whether a token is there. `full_at_ns` is the bucket; *taken_ns what it becomes by taking one.
// depth_ns: interval_ns times the tokens that a full bucket holds. kept_ns: of it, what must be
// left for others.
static inline int bucket_take(uint64_t full_at_ns, uint64_t now_ns, uint64_t interval_ns,
                              uint64_t depth_ns, uint64_t kept_ns, uint64_t* taken_ns) {
  uint64_t from_ns = full_at_ns > now_ns ? full_at_ns : now_ns;
  *taken_ns = from_ns + interval_ns;
  return *taken_ns - now_ns + kept_ns <= depth_ns;
}
