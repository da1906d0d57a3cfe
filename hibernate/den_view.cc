// What a den says of itself (SIGUSR2).

#include <fmt/format.h>

#include "hibernate/den.h"
#include "wire/hindrance.h"

namespace dormouse::hibernate {
namespace {

// Awake sessions named one by one; beyond it only counted.
constexpr size_t kSessionsShown = 200;

const char* purpose_name(Session::Purpose purpose) {
  switch (purpose) {
    case wire::DenToWorker::NEW:
      return "new";
    case wire::DenToWorker::INPUT:
      return "input";
    case wire::DenToWorker::REFRESH:
      return "refresh";
    default:
      return "?";
  }
}

}  // namespace

std::string Den::view() {
  uint32_t by_mode[3] = {};
  uint64_t record_bytes_sum = 0;
  uint32_t compressed = 0;
  uint32_t pushing = 0;
  uint64_t history_bytes_sum = 0;
  for (uint32_t slot = 0; slot < slab_.slots(); ++slot) {
    if (slab_.state(slot) != SlotState::kParked) continue;
    RecordView view = RecordView::trusted(slab_.block(slot));
    ++by_mode[size_t(view.mode()) % 3];
    record_bytes_sum += view.bytes();
    if (!view.compress().empty()) ++compressed;
    if (view.flag(kFlagPushes)) ++pushing;
    history_bytes_sum += view.compress().size();
  }
  uint32_t parked = by_mode[0] + by_mode[1] + by_mode[2];
  uint64_t awake_bytes = 0;
  for (auto& [slot, session] : sessions_) awake_bytes += session->held_bytes();

  const DenCounters& c = counters_;
  std::string text = fmt::format(
      "den[{}] slots={} free={} parked={} parked_idle={} parked_selected={} "
      "parked_authenticated={} parked_notify={} sessions={} sending={} drowsy={}\n",
      process_.index(), slab_.slots(), free_slots_.size(), parked,
      by_mode[wire::WorkerToDen::Parked::IDLE], by_mode[wire::WorkerToDen::Parked::SELECTED],
      by_mode[wire::WorkerToDen::Parked::AUTHENTICATED], pushing, sessions_.size(),
      outgoing_.size(), drowsy_.size());
  text += fmt::format(
      "den[{}] handed_over={} closed={} parks={} crossed={} attaches={} refreshes={} announced={} "
      "refreshes_put_off={} sweeps={} workers_lost={} broken_records={} adopted={} "
      "settled_sends={} resent={} not_adopted={}\n",
      process_.index(), c.handed_over, c.closed, c.parks, c.crossed, c.attaches, c.refreshes,
      c.announced, c.refreshes_put_off, c.sweeps, c.workers_lost, c.broken_records, c.adopted,
      c.settled_sends, c.resent, c.not_adopted);
  text += fmt::format(
      "den[{}] talk_done={} talk_idle={} talk_noop={} talk_check={} talk_logout={} keepalives={} "
      "pressure={} windows={} talk_delayed={} delayed_now={} leaving_now={} "
      "refreshes_held_back={} refreshes_running_max={}\n",
      process_.index(), c.talk_done, c.talk_idle, c.talk_noop, c.talk_check, c.talk_logout,
      c.keepalives, tuning::name_of(pressure_), coalescer_.open(), c.talk_delayed, delayed_.size(),
      leaving_.size(), c.refreshes_held_back, refreshes_.running_max());
  text += fmt::format(
      "den[{}] record_bytes_mean={} slab_used_bytes={} slab_touched_bytes={} awake_bytes={} "
      "watches={} watch_backend={} refreshes_waiting={} refreshes_put_off_now={} "
      "refreshes_running={} incarnation={} parked_compressed={} history_bytes_mean={}\n",
      process_.index(), parked == 0 ? 0 : record_bytes_sum / parked, slab_.used_bytes(),
      slab_.touched_bytes(), awake_bytes, watches_.count(), watch_backend_, refreshes_.waiting(),
      refreshes_.put_off(), refreshes_.running(), slab_.incarnation(), compressed,
      compressed == 0 ? 0 : history_bytes_sum / compressed);
  text += fmt::format("den[{}]", process_.index());
  for (size_t kind = 1; kind < c.hindered.size(); ++kind) {
    text += fmt::format(" hindered_{}={}", wire::name_of(wire::Hindrance::Kind(kind)),
                        c.hindered[kind]);
  }
  text += '\n';
  size_t shown = 0;
  for (auto& [slot, session] : sessions_) {
    if (++shown > kSessionsShown) {
      text += fmt::format("den[{}] and {} sessions more\n", process_.index(),
                          sessions_.size() - kSessionsShown);
      break;
    }
    text += fmt::format(
        "den[{}] session={} user={} remote={} purpose={} bytes={} hindrance={} "
        "awake_because=\"{}\"\n",
        process_.index(), session->number(), session->parts().user, session->parts().address.text(),
        purpose_name(session->purpose()), session->held_bytes(),
        wire::name_of(session->hindrance()), session->reason());
  }
  return text;
}

}  // namespace dormouse::hibernate
