// When a sleeper is told what it is owed, and when its DONE is taken: at once while the server is
// calm, later and more at a time the harder it is pressed (docs/pressure.md). And those that leave:
// after those that stay.

#include <algorithm>
#include <utility>

#include "hibernate/den.h"

namespace dormouse::hibernate {

using Parked = wire::WorkerToDen::Parked;

namespace {

// Sleepers that are told something before others' input has its turn: some 10 us each.
constexpr uint32_t kTurnSlots = 64;
// The same of sleepers that leave: some 40 us each, with what watch and tracker are told, and a
// command of another one takes several turns until it is with the tracker.
constexpr uint32_t kTurnEnds = 4;
// What waits for the end of a window is looked at as often: the ends come nearer when the pressure
// falls.
constexpr uint64_t kLookMs = 1000;

}  // namespace

// Tells a sleeper that is told unasked what it does not know yet: now, or with what else comes in
// its present window.
// `held`: its window has just ended.
void Den::push_changes(uint32_t slot, bool held) {
  RecordView view = RecordView::trusted(slab_.block(slot));
  if (!view.pushed()) return;
  bool refresh = view.flag(kFlagChanged);
  // While something is on its way an announcement waits for it (fall_asleep, talk).
  bool announcement = view.pending() > 0 && !outgoing_.contains(slot) && !input_under_way(slot);
  if (!refresh && !announcement) return;
  if (held) coalescer_.open(slot, loop().now_ms());
  if (!held && coalescer_.hold(slot, loop().now_ms())) {
    if (!std::exchange(pushing_held_, true)) process_.scope().spawn(push_held());
  } else if (refresh) {
    refreshes_.add(slot, false);
  } else {
    announce(slot);
  }
}

io::Task<void> Den::push_held() {
  while (auto end_ms = coalescer_.next_end_ms()) {
    uint64_t now = loop().now_ms();
    if (*end_ms > now) {
      if (auto slept = co_await loop().sleep(std::min(*end_ms - now, kLookMs)); !slept) break;
    }
    bool cancelled = false;
    uint32_t told = 0;
    for (uint32_t slot : coalescer_.due(loop().now_ms())) {
      if (slab_.state(slot) == SlotState::kParked && !sessions_.contains(slot)) {
        push_changes(slot, true);
      }
      // Clients' input does not wait for a storm of ours.
      if (++told % kTurnSlots == 0) cancelled = !co_await loop().yield();
      if (cancelled) break;
    }
    if (cancelled) break;
    start_refreshes();
  }
  pushing_held_ = false;
}

// What the level of pressure means here (docs/pressure.md).
void Den::bend() {
  const auto& settings = process_.settings().pressure();
  uint64_t window_ms = process_.settings().den().coalesce_ms();
  if (pressure_ >= tuning::Pressure::kBusy) {
    window_ms = std::max<uint64_t>(window_ms, settings.coalesce_busy_ms());
  }
  if (pressure_ >= tuning::Pressure::kPressed) {
    window_ms = std::max<uint64_t>(window_ms, settings.coalesce_pressed_ms());
  }
  if (pressure_ >= tuning::Pressure::kCritical) {
    window_ms = std::max<uint64_t>(window_ms, settings.coalesce_critical_ms());
  }
  coalescer_.set_window(window_ms, pressure_ >= tuning::Pressure::kPressed, loop().now_ms());
}

void Den::pressure(tuning::Pressure level, const std::string& /*text*/) {
  pressure_ = level;
  bend();
}

void Den::reload() { bend(); }

// Somebody reads or will read what this sleeper has sent: nothing of ours comes in between.
bool Den::input_under_way(uint32_t slot) const {
  return table_->receiving(slot) || delayed_.contains(slot) || leaving_.contains(slot);
}

// A sleeper in IDLE has spoken. What it says is DONE, and what follows is work, as a rule: under
// pressure it is left in the socket for a while. True: it waits.
bool Den::delay_input(uint32_t slot) {
  if (delayed_.contains(slot)) return true;
  if (pressure_ < tuning::Pressure::kPressed || draining_) return false;
  if (RecordView::trusted(slab_.block(slot)).mode() != Parked::IDLE) return false;
  uint64_t delay_ms = process_.settings().pressure().done_delay_ms();
  if (pressure_ < tuning::Pressure::kCritical) delay_ms /= 2;
  if (delay_ms == 0) return false;
  ++counters_.talk_delayed;
  delayed_.add(slot, loop().now_ms() + delay_ms);
  if (!std::exchange(taking_delayed_, true)) process_.scope().spawn(take_delayed());
  return true;
}

io::Task<void> Den::take_delayed() {
  uint32_t taken = 0;
  while (auto due_ms = delayed_.next_due_ms()) {
    uint64_t now = loop().now_ms();
    if (*due_ms > now) {
      if (auto slept = co_await loop().sleep(*due_ms - now); !slept) co_return;
      continue;
    }
    if (auto slot = delayed_.take(now)) take_input(*slot);
    if (++taken % kTurnSlots == 0) {
      if (auto turn = co_await loop().yield(); !turn) co_return;
    }
  }
  delayed_ = {};  // the memory of a burst goes back
  taking_delayed_ = false;
}

// A sleeper's client has closed its end, or is gone. Nobody waits for that, and where a network
// fails it is many thousands at once: they go a few in each turn, behind what the others say.
void Den::leave(uint32_t slot) {
  leaving_.add(slot, 0);
  if (!std::exchange(seeing_off_, true)) process_.scope().spawn(see_off());
}

io::Task<void> Den::see_off() {
  uint32_t taken = 0;
  while (auto slot = leaving_.take(loop().now_ms())) {
    take_input(*slot);  // it may have said something before
    if (++taken % kTurnEnds == 0) {
      if (auto turn = co_await loop().yield(); !turn) co_return;
    }
  }
  leaving_ = {};  // the memory of a burst goes back
  seeing_off_ = false;
}

}  // namespace dormouse::hibernate
