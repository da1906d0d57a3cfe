// What the tracker tells an operator (SIGUSR2).

#include <fmt/format.h>

#include <iterator>

#include "tracker/tracker.h"

namespace dormouse::tracker {
namespace {

std::string bound(uint32_t limit) { return limit == 0 ? "none" : fmt::format("{}", limit); }

}  // namespace

std::string Tracker::view() const {
  std::string out;
  auto line = [&out]<class... Args>(fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
    out.push_back('\n');
  };
  const PlacementSettings& settings = placement_.settings();
  line("policy={} workers={} workers_min={} workers_max={} starting={} starts_failed={}",
       policy_name(settings.policy), placement_.workers().size(), settings.workers_min,
       settings.workers_max, placement_.starting(), placement_.starts_failed());
  line("limits sessions_per_user={} sessions_per_address={} sessions_per_worker={}",
       bound(settings_.sessions_per_user()), bound(settings_.sessions_per_address()),
       settings.sessions_per_worker);
  uint64_t sessions = 0;
  for (const auto& [serial, den] : dens_) {
    sessions += den->sessions;
    line("den index={} sessions={} census={}", den->link.index, den->sessions,
         den->census_complete ? "complete" : "awaited");
  }
  for (const auto& worker : placement_.workers()) {
    uint64_t memory_bytes = 0;
    uint32_t pid = 0;
    for (const auto& [serial, peer] : workers_) {
      if (peer->id() != worker.id) continue;
      memory_bytes = peer->memory_bytes;
      pid = peer->link.pid;
    }
    line("worker index={} pid={} uid={} user={} sessions={} memory_bytes={} state={}", worker.id,
         pid, worker.any_uid ? "any" : fmt::format("{}", worker.uid),
         worker.user.empty() ? "-" : worker.user, worker.load(), memory_bytes,
         worker.retiring ? "retiring" : (worker.busy ? "busy" : "serving"));
  }
  line("users={} users_awake={} sessions={} addresses={} kicked_users={} table_bytes={}",
       users_.size(), users_awake_, sessions, addresses_.size(), epochs_.users(),
       users_.bytes() + addresses_.bytes());
  uint32_t refreshing = 0;
  for (const auto& worker : placement_.workers()) refreshing += worker.refreshes;
  line(
      "queue waiting={} of={} input={} open={} refresh={} sweep={} refreshing={} "
      "refreshes_placed={} longest_wait_ms={} places_permille={}",
      waiting_.size(), waiting_.entries_max(), waiting_.size(Rank::kInput),
      waiting_.size(Rank::kOpen), waiting_.size(Rank::kRefresh), waiting_.size(Rank::kSweep),
      refreshing, counters_.refreshes_placed, longest_wait_ms_, placement_.places_permille());
  line("grants={} grants_displaced={} lookups_pending={}", grants_.size(), grants_.displaced(),
       lookups_.size());
  line("since_start opened={} attached={} grants={} lookups={} kicks={} links_ended={}",
       counters_.opened, counters_.attached, counters_.grants, counters_.lookups, counters_.kicks,
       counters_.links_ended);
  line("disagreements closed_unknown={} ended_unknown={}", counters_.closed_unknown,
       counters_.ended_unknown);
  for (size_t i = 0; i < kRefusals; ++i) {
    uint64_t times = refusals_.of(Refusal(i));
    if (times > 0) line("refused reason={} times={}", kRefusalTexts[i].name, times);
  }
  return out;
}

}  // namespace dormouse::tracker
