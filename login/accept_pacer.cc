#include "login/accept_pacer.h"

#include <algorithm>

#include "ebpf/bucket.h"

namespace dormouse::login {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
// Rates may change meanwhile: nobody sleeps on old ones for longer.
constexpr uint64_t kWaitMsMax = 100;

}  // namespace

// The key's first byte is the family. IPv4 /24, IPv6 /48, as in ebpf/admission_shared.h.
AcceptPacer::Prefix AcceptPacer::prefix_of(const AddressKey& from) {
  Prefix prefix;
  const size_t kept = from.bytes[0] == 4 ? 1 + 3 : 1 + 6;
  std::copy_n(from.bytes.begin(), kept, prefix.bytes.begin());
  return prefix;
}

AcceptPacer::Bucket& AcceptPacer::bucket_of(const Prefix& prefix) {
  auto [found, fresh] = buckets_.try_emplace(prefix);
  if (!fresh) {
    order_.splice(order_.begin(), order_, found->second.place);
    return found->second;
  }
  order_.push_front(prefix);
  found->second.place = order_.begin();
  if (buckets_.size() > prefixes_max_) {
    buckets_.erase(order_.back());
    order_.pop_back();
  }
  return found->second;
}

bool AcceptPacer::take(const Prefix& prefix, const admission_rates& rates, uint64_t now_ns,
                       bool first_try) {
  Bucket& bucket = bucket_of(prefix);
  bucket.full_at_ns = bucket_settle(bucket.full_at_ns, now_ns, rates.prefix_depth_ns);
  full_at_ns_ = bucket_settle(full_at_ns_, now_ns, rates.depth_ns);
  uint64_t prefix_taken_ns = 0;
  const bool within = bucket_take(bucket.full_at_ns, now_ns, rates.prefix_interval_ns,
                                  rates.prefix_depth_ns, 0, &prefix_taken_ns) != 0;
  uint64_t taken_ns = 0;
  const bool taken = bucket_take(full_at_ns_, now_ns, rates.interval_ns, rates.depth_ns,
                                 within ? 0 : rates.depth_ns / 2, &taken_ns) != 0;
  // One that is held does not ask again, it waits: the prefix pays when it gets its place.
  if (taken) {
    full_at_ns_ = taken_ns;
    if (within) bucket.full_at_ns = prefix_taken_ns;
    last_paid_ = within ? std::optional(prefix) : std::nullopt;
    ++counters_[within ? ADMISSION_WITHIN : ADMISSION_OVER];
  } else if (first_try) {
    ++counters_[within ? ADMISSION_DROPPED_RATE : ADMISSION_DROPPED_SHARE];
  }
  return taken;
}

void AcceptPacer::hold(const Prefix& prefix, uint64_t id) {
  auto& queue = queues_[prefix];
  if (queue.empty()) turns_.push_back(prefix);
  queue.push_back(id);
  ++held_;
}

uint64_t AcceptPacer::take_oldest(std::list<Prefix>::iterator turn) {
  auto queue = queues_.find(*turn);
  const uint64_t id = queue->second.front();
  queue->second.pop_front();
  --held_;
  if (queue->second.empty()) {
    queues_.erase(queue);
    turns_.erase(turn);
  } else {
    turns_.splice(turns_.end(), turns_, turn);
  }
  return id;
}

bool AcceptPacer::admit(const AddressKey& from, uint64_t id, const admission_rates& rates,
                        uint64_t now_ns) {
  if (rates.interval_ns == 0) {
    ++counters_[ADMISSION_UNPACED];
    return true;
  }
  const Prefix prefix = prefix_of(from);
  // Nobody overtakes those of his own prefix.
  if (!queues_.contains(prefix) && take(prefix, rates, now_ns, true)) return true;
  hold(prefix, id);
  return false;
}

std::optional<uint64_t> AcceptPacer::next(const admission_rates& rates, uint64_t now_ns) {
  if (rates.interval_ns == 0) return next_unpaced();
  uint64_t unused = 0;
  full_at_ns_ = bucket_settle(full_at_ns_, now_ns, rates.depth_ns);
  // Without a token for anybody there is no need to look through them all.
  if (!bucket_take(full_at_ns_, now_ns, rates.interval_ns, rates.depth_ns, 0, &unused)) return {};
  for (auto turn = turns_.begin(); turn != turns_.end(); ++turn) {
    if (take(*turn, rates, now_ns, false)) return take_oldest(turn);
  }
  return {};
}

void AcceptPacer::give_back(const admission_rates& rates) {
  full_at_ns_ -= std::min(full_at_ns_, rates.interval_ns);
  if (!last_paid_) return;
  Bucket& bucket = bucket_of(*last_paid_);
  bucket.full_at_ns -= std::min(bucket.full_at_ns, rates.prefix_interval_ns);
}

std::optional<uint64_t> AcceptPacer::next_unpaced() {
  if (turns_.empty()) return {};
  ++counters_[ADMISSION_UNPACED];
  return take_oldest(turns_.begin());
}

uint64_t AcceptPacer::wait_ms(const admission_rates& rates, uint64_t now_ns) const {
  if (held_ == 0) return 0;
  const uint64_t token_ns = full_at_ns_ + rates.interval_ns;
  const uint64_t due_ns = token_ns > rates.depth_ns ? token_ns - rates.depth_ns : 0;
  const uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
  return std::clamp<uint64_t>((wait_ns + kMillisecondNs - 1) / kMillisecondNs, 1, kWaitMsMax);
}

}  // namespace dormouse::login
