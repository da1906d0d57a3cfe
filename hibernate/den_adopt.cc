// A shard that a former den has left: which of its sleepers go on, and what they are still told.

#include <algorithm>
#include <utility>

#include "hibernate/den.h"
#include "role/log.h"

namespace dormouse::hibernate {

// What a former den of this shard has left: its sleepers go on; a connection that was awake, or
// whose bytes may be half sent, cannot be continued without repeating or losing something.
void Den::adopt() {
  for (uint32_t slot = slab_.slots(); slot-- > 0;) adopt_slot(slot);
  if (slab_.incarnation() > 1) {
    role::log_info("shard-adopted", {{"sleepers", counters_.adopted},
                                     {"closed", counters_.not_adopted},
                                     {"incarnation", slab_.incarnation()}});
    sweep_all();
  }
  table_->forget_former();
}

// Whether the record is where the client is, or will be once `again` is sent. What was being sent
// as the former den died is out when the ring still has its completion. Without one the kernel
// never saw it (socket_send_settled); the slab has it then, if it was the last.
bool Den::may_go_on(uint32_t slot, RecordView view, tls::Bytes& again) {
  if (view.flag(kFlagHeld)) return false;
  if (!view.flag(kFlagSending)) return true;
  auto sent = table_->former_send(slot);
  if (sent && *sent >= 0) {
    if (*sent == 0 || *sent != view.sending_bytes()) return false;
    view.set_flag(kFlagSending, false);
    ++counters_.settled_sends;
    return true;
  }
  auto note = slab_.noted_send();
  if (!note || note->slot != slot || note->bytes.size() != view.sending_bytes()) return false;
  view.set_exists(note->exists);
  view.set_pending(std::min(note->pending, kPendingMax));
  view.set_counters(note->counters);
  again.assign(note->bytes.begin(), note->bytes.end());
  ++counters_.resent;
  return true;
}

void Den::adopt_slot(uint32_t slot) {
  SlotState state = slab_.state(slot);
  if (state == SlotState::kParked) {
    auto view = RecordView::attach(slab_.block(slot));
    tls::Bytes again;
    if (view && may_go_on(slot, *view, again)) {
      ++parked_;
      ++counters_.adopted;
      if (view->input().empty()) {
        watch(slot, view->directories());
        if (again.empty()) return fall_asleep(slot);
        return transmit(slot, std::move(again), false);
      }
      auto stream = ClientStream::create(crypto_, view->tls(), view->compress());
      if (stream) {
        RecordParts parts = view->parts();
        std::string input = std::move(parts.input);
        parts.input.clear();
        ++counters_.attaches;
        watch(slot, parts.directories);
        start_session(slot, wire::DenToWorker::INPUT, std::move(parts), std::move(*stream),
                      std::move(input), std::move(again), false);
        return;
      }
    }
  }
  if (state != SlotState::kFree) {
    ++counters_.not_adopted;
    table_->close(slot);
    slab_.set_state(slot, SlotState::kFree);
  }
  free_slots_.push_back(slot);
}

}  // namespace dormouse::hibernate
