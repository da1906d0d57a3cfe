#pragma once
// AcceptPacer: the pace at which connections are served (docs/pressure.md), and admission where the
// kernel cannot do it. The same policy as ebpf/admission.bpf.c, on connections that are accepted
// already instead of on SYNs: a bucket for all, a bucket for each source prefix, half of the first
// kept for prefixes within their share. What finds no token is held: open, but not greeted, until
// its turn. Prefixes take turns, connections of one are in order.
//
// An engine: it knows connections by number and is told the time. Bounded: as many are held as
// kHeldMax; then nothing more is accepted, and waits in the kernel's queue, and in the clients'
// TCP when that is full too. What waits there cannot be told apart: so fairness begins at accept(),
// and a flood delays others more than with the kernel's filter (docs/ebpf.md has both).

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>

#include "ebpf/admission_shared.h"
#include "login/peer_address.h"

namespace dormouse::login {

// A held connection costs its socket (4 KB of kernel memory) and about 150 bytes here.
inline constexpr size_t kHeldMax = 1024;
// As ADMISSION_PREFIXES_MAX, for one process of several: about 150 bytes each.
inline constexpr size_t kPacedPrefixesMax = 8192;

class AcceptPacer {
 public:
  explicit AcceptPacer(size_t held_max = kHeldMax, size_t prefixes_max = kPacedPrefixesMax)
      : held_max_(held_max), prefixes_max_(prefixes_max) {}

  // Whether one more may be accepted.
  bool has_room() const { return held_ < held_max_; }
  // A connection was accepted. True: it is served now. False: it is held under `id`.
  bool admit(const AddressKey& from, uint64_t id, const admission_rates& rates, uint64_t now_ns);
  // Held whatever the rates say: this process is behind with what it has.
  void hold_back(const AddressKey& from, uint64_t id) { hold(prefix_of(from), id); }
  // One that was held and whose turn it is. Call again until there is none.
  std::optional<uint64_t> next(const admission_rates& rates, uint64_t now_ns);
  // The one that next() gave last did not need its turn.
  void give_back(const admission_rates& rates);
  // How long until next() may have one: 0 when nothing is held, else 1 ms at the least.
  uint64_t wait_ms(const admission_rates& rates, uint64_t now_ns) const;
  // Gives up everything that is held, one by one.
  std::optional<uint64_t> next_unpaced();

  size_t held() const { return held_; }
  const uint64_t* counters() const { return counters_; }  // by admission_verdict; dropped: held

 private:
  using Prefix = AddressKey;  // of which the end is zero
  struct Bucket {
    uint64_t full_at_ns = 0;
    std::list<Prefix>::iterator place;
  };
  static Prefix prefix_of(const AddressKey& from);
  Bucket& bucket_of(const Prefix& prefix);
  // Takes a token from the listener's bucket, and from the prefix's where it has one.
  bool take(const Prefix& prefix, const admission_rates& rates, uint64_t now_ns, bool first_try);
  void hold(const Prefix& prefix, uint64_t id);
  uint64_t take_oldest(std::list<Prefix>::iterator turn);

  size_t held_max_;
  size_t prefixes_max_;
  uint64_t full_at_ns_ = 0;
  std::optional<Prefix> last_paid_;  // the prefix whose bucket, too, the last token came from
  std::unordered_map<Prefix, Bucket, AddressKeyHash> buckets_;
  std::list<Prefix> order_;  // of buckets_, the latest in front
  size_t held_ = 0;
  std::unordered_map<Prefix, std::deque<uint64_t>, AddressKeyHash> queues_;
  std::list<Prefix> turns_;  // prefixes with something held; whose turn is next in front
  uint64_t counters_[ADMISSION_VERDICTS] = {};
};

}  // namespace dormouse::login
