// Parked connections: input and small talk, keepalive, announcements, refreshes.

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hibernate/den.h"
#include "role/log.h"
#include "wire/small_talk.h"

namespace dormouse::hibernate {

using Parked = wire::WorkerToDen::Parked;

// The slot has its record and no Session: arm what can wake it.
void Den::fall_asleep(uint32_t slot) {
  set_due(slot);
  table_->arm(slot);
  push_changes(slot);
}

void Den::socket_readable(uint32_t slot, bool ended) {
  if (auto session = sessions_.find(slot); session != sessions_.end()) {
    session->second->readable();
    return;
  }
  if (slab_.state(slot) != SlotState::kParked) return;
  if (ended) return leave(slot);
  if (!delay_input(slot)) take_input(slot);
}

void Den::take_input(uint32_t slot) {
  if (auto out = outgoing_.find(slot); out != outgoing_.end()) {
    out->second.input_waits = true;  // answers keep their order
    return;
  }
  table_->receive(slot);
}

void Den::socket_received(uint32_t slot, int32_t result, std::span<std::byte> bytes) {
  if (auto session = sessions_.find(slot); session != sessions_.end()) {
    session->second->received(result, bytes);
    return;
  }
  if (slab_.state(slot) != SlotState::kParked) return;
  // Last words are on their way: the connection ends with them, whatever was said meanwhile.
  if (outgoing_.contains(slot)) return;
  if (result == -EAGAIN) {
    fall_asleep(slot);
  } else if (result <= 0) {
    release_parked(slot);
  } else {
    process_input(slot, bytes);
  }
}

Result<Den::Drowsy> Den::listen(uint32_t slot, const RecordView& view) {
  if (auto drowsy = drowsy_.extract(slot)) return std::move(drowsy.mapped());
  auto stream = ClientStream::create(crypto_, view.tls(), view.compress());
  if (!stream) return std::unexpected(stream.error());
  return Drowsy{std::move(*stream), std::string(view.input()), loop().now_ms()};
}

SmallTalk Den::answer(uint32_t slot, const RecordView& view, std::string_view input) {
  SmallTalk talked = talk(input, {.mode = view.mode(),
                                  .idle_tag = view.idle_tag(),
                                  .selected = view.flag(kFlagSelected),
                                  .changed = view.flag(kFlagChanged) || !view.flag(kFlagSmallTalk),
                                  .polled = polled(slot),
                                  .exists = view.exists(),
                                  .pending = view.pending()});
  counters_.talk_done += talked.done;
  counters_.talk_idle += talked.idle;
  counters_.talk_noop += talked.noop;
  counters_.talk_check += talked.check;
  counters_.talk_logout += talked.verdict == SmallTalk::Verdict::kLogout;
  counters_.announced += talked.told;
  return talked;
}

// More input than the bound, or half a record, only a live den can hold.
Result<RecordParts> Den::after_talk(const RecordView& view, const SmallTalk& talked,
                                    Drowsy& heard) {
  RecordParts parts = view.parts();
  parts.mode = talked.mode;
  parts.idle_tag = talked.idle_tag;
  parts.tls = heard.stream.freeze();
  if (talked.told) {
    parts.exists += parts.pending;
    parts.pending = 0;
  }
  parts.held = !heard.stream.at_boundary() || heard.input.size() > kInputBytesMax;
  parts.input = parts.held ? std::string() : heard.input;
  if (!parts.held) {
    auto history = heard.stream.freeze_history();
    if (!history) return std::unexpected(history.error());
    parts.compress = std::move(*history);
  }
  return parts;
}

void Den::process_input(uint32_t slot, std::span<std::byte> bytes) {
  using Input = ClientStream::Input;
  using Verdict = SmallTalk::Verdict;
  RecordView view = RecordView::trusted(slab_.block(slot));
  auto heard = listen(slot, view);
  if (!heard) return release_parked(slot);
  auto& [stream, input, since_ms] = *heard;
  tls::Bytes wire;
  const Input state = stream.take(bytes, input, wire);
  if (state == Input::kBroken) {
    ++counters_.broken_records;
    return transmit(slot, std::move(wire), true);
  }
  SmallTalk talked = answer(slot, view, input);
  if (!stream.put(talked.output, wire)) return release_parked(slot);
  input.erase(0, talked.consumed_bytes);
  if (talked.verdict == Verdict::kLogout ||
      (state == Input::kClosed && talked.verdict == Verdict::kAnswered)) {
    stream.end(wire);
    return transmit(slot, std::move(wire), true);
  }

  // What was received is in the record before anything is answered, so that a den that dies now
  // leaves it to the next one.
  auto parts = after_talk(view, talked, *heard);
  if (!parts) return release_parked(slot);
  parts->sending = !wire.empty();
  const bool attach = talked.verdict == Verdict::kAttach || stream.more();
  if (!publish(slot, *parts, wire)) return release_parked(slot);
  if (attach) {
    wheel_.clear(slot);
    ++counters_.attaches;
    parts->input.clear();
    start_session(slot, wire::DenToWorker::INPUT, std::move(*parts), std::move(stream),
                  std::move(input), std::move(wire), false);
    return;
  }
  if (!stream.at_boundary()) {
    since_ms = loop().now_ms();
    drowsy_.insert_or_assign(slot, std::move(*heard));
  }
  if (wire.empty()) return fall_asleep(slot);
  transmit(slot, std::move(wire), false);
}

// Sends to a connection without a Session, then arms it again or closes it.
void Den::transmit(uint32_t slot, tls::Bytes bytes, bool then_close) {
  if (bytes.empty()) {
    if (then_close) release_parked(slot);
    return;
  }
  if (then_close) hold(slot);
  mark_sending(slot, true);
  auto& out = outgoing_[slot];
  if (out.bytes) {
    tls::append(out.next, bytes);
    out.then_close |= then_close;
    return;
  }
  out.bytes = std::make_shared<tls::Bytes>(std::move(bytes));
  out.then_close = then_close;
  send_recorded(slot, *out.bytes);
}

// Noted in the record while the ring still knows it: a den that dies in between leaves at least one
// of the two.
void Den::socket_send_settled(uint32_t slot, int32_t result) {
  auto block = slab_.block(slot);
  if (block.empty()) return;
  RecordView view = RecordView::trusted(block);
  if (view.flag(kFlagSending) && result > 0 && result == view.sending_bytes()) {
    view.set_flag(kFlagSending, false);
  }
}

void Den::socket_sent(uint32_t slot, int32_t result) {
  if (auto session = sessions_.find(slot); session != sessions_.end()) {
    session->second->sent(result);
    return;
  }
  auto out = outgoing_.find(slot);
  if (out == outgoing_.end()) return;
  if (result <= 0) return release_parked(slot);
  out->second.sent_bytes += size_t(result);
  if (out->second.sent_bytes < out->second.bytes->size()) {
    send_recorded(slot, std::span(*out->second.bytes).subspan(out->second.sent_bytes));
    return;
  }
  if (!out->second.next.empty()) {
    out->second.bytes = std::make_shared<tls::Bytes>(std::exchange(out->second.next, {}));
    out->second.sent_bytes = 0;
    send_recorded(slot, *out->second.bytes);
    return;
  }
  bool close = out->second.then_close;
  bool input_waits = out->second.input_waits;
  outgoing_.erase(out);
  if (close) return release_parked(slot);
  RecordView::trusted(slab_.block(slot)).set_flag(kFlagSending, false);
  if (input_waits) return table_->receive(slot);
  fall_asleep(slot);
  start_refreshes();
}

// A line of ours to a connection without a Session. False: not said, since something is on its way
// already in either direction (last words go behind it), or the keys do not allow it. A connection
// that is to be closed is closed in any case.
// With `exists`, that is how many messages the client has then been told of.
bool Den::say_to_parked(uint32_t slot, std::string_view text, bool then_close,
                        std::optional<uint32_t> exists) {
  auto out = outgoing_.find(slot);
  if (out != outgoing_.end() && (!then_close || out->second.then_close)) return false;
  // What is being received may need a worker, whose session then has the socket to itself. Nobody
  // waits for a line of ours that much.
  if (input_under_way(slot) && !then_close) return false;
  RecordView view = RecordView::trusted(slab_.block(slot));
  if (then_close) hold(slot);
  tls::Bytes wire;
  // A copy: the record changes when the next den can finish what this one began.
  auto kept = view.tls();
  tls::Bytes keys(kept.begin(), kept.end());
  if (auto drowsy = drowsy_.find(slot); drowsy != drowsy_.end()) {
    // Its keys and its window are being worked with: the record's would repeat a nonce.
    if (!drowsy->second.stream.put(text, wire)) {
      release_parked(slot);
      return false;
    }
    keys = drowsy->second.stream.freeze();
  } else {
    tls::Bytes deflated;
    if (!view.compress().empty()) {
      // A sleeper's output begins with an empty window each time.
      if (!compress::DeflateStream().put(text, deflated)) return false;
      text = tls::as_text(deflated);
    }
    if (keys.empty()) {
      tls::append(wire, tls::as_bytes(text));
    } else if (auto done = tls::seal_frozen(crypto_, keys, tls::as_bytes(text), wire); !done) {
      // The keys have done their share for a sleeper: a worker's session renews them.
      if (then_close) release_parked(slot);
      return false;
    }
  }
  uint32_t told = exists.value_or(view.exists());
  uint32_t pending = exists ? 0 : view.pending();
  auto counters = RecordView::counters_of(keys);
  slab_.note_send(
      {.slot = slot, .exists = told, .pending = pending, .counters = counters, .bytes = wire});
  if (out == outgoing_.end()) view.set_sending_bytes(wire.size());
  mark_sending(slot, true);
  view.set_exists(told);
  view.set_pending(pending);
  view.set_counters(counters);
  transmit(slot, std::move(wire), then_close);
  return true;
}

// When the slot must be looked at: its keepalive, aligned for all connections of one client address
// so that a device wakes its radio once; or, outside IDLE, its autologout (RFC 3501 5.4). One that
// is owed changes but cannot be watched is looked at as often as it would be kept alive.
void Den::set_due(uint32_t slot) {
  RecordView view = RecordView::trusted(slab_.block(slot));
  uint64_t now = loop().now_ms();
  bool idle = view.mode() == Parked::IDLE;
  uint64_t due =
      uint64_t(view.parked_at_s()) * 1000 + process_.settings().worker().idle_timeout_ms();
  if (idle || (view.pushed() && !watched(slot))) {
    uint64_t interval = std::max(process_.settings().den().keepalive_ms(), 1000u);
    uint64_t phase = view.address().hash() % interval;
    uint64_t beat = (now + interval - phase) / interval * interval + phase;
    due = idle ? beat : std::min(due, beat);
  }
  wheel_.set(slot, due);
}

void Den::due(uint32_t slot) {
  if (slab_.state(slot) != SlotState::kParked || sessions_.contains(slot)) return;
  RecordView view = RecordView::trusted(slab_.block(slot));
  uint64_t timeout_ms = process_.settings().worker().idle_timeout_ms();
  if (view.mode() == Parked::IDLE) {
    ++counters_.keepalives;
    say_to_parked(slot, wire::kKeepalive, false);
    if (slab_.state(slot) != SlotState::kParked) return;
  } else if (loop().now_ms() >= uint64_t(view.parked_at_s()) * 1000 + timeout_ms) {
    say_to_parked(slot, "* BYE Autologout: no command for too long\r\n", true);
    return;
  }
  // A mailbox that cannot be watched is looked at instead.
  if (view.pushed() && !watched(slot)) refreshes_.add(slot, true);
  set_due(slot);
}

void Den::mailbox_changed(uint32_t slot) {
  if (auto session = sessions_.find(slot); session != sessions_.end()) {
    session->second->mailbox_changed();
    // A refresh under way may have looked already.
  }
  if (slab_.state(slot) != SlotState::kParked) return;
  RecordView view = RecordView::trusted(slab_.block(slot));
  view.set_flag(kFlagChanged, true);
  // Outside IDLE, and without NOTIFY, nothing may be pushed: it waits for a command.
  push_changes(slot);
}

// Messages came, and nothing else is known to have happened. Where nothing else waits either, that
// is all a refresh would find out, so the client is told: at once in IDLE or with NOTIFY, else with
// the answer to what it says next. What its messages are, a worker sees when the client asks; it
// knows from Begin.exists how many were told, and finds the others by itself.
void Den::mail_arrived(uint32_t slot, uint32_t messages, uint64_t after_ms) {
  if (slab_.state(slot) != SlotState::kParked || sessions_.contains(slot) ||
      refreshes_.queued(slot)) {
    return mailbox_changed(slot);
  }
  RecordView view = RecordView::trusted(slab_.block(slot));
  // An arrival before the last look may have been counted there. Two seconds for one that has begun
  // and for clocks that are read once per turn.
  constexpr uint64_t kLookSeconds = 2;
  bool counts = view.flag(kFlagAnnounces) && !view.flag(kFlagChanged) &&
                after_ms >= (view.looked_at_s() + kLookSeconds) * 1000 &&
                messages <= kPendingMax - view.pending() &&
                view.exists() < UINT32_MAX - kPendingMax;
  if (!counts) return mailbox_changed(slot);
  view.set_pending(view.pending() + messages);
  push_changes(slot);
}

// To a sleeper that is told unasked, with messages pending.
void Den::announce(uint32_t slot) {
  RecordView view = RecordView::trusted(slab_.block(slot));
  uint32_t exists = view.exists() + view.pending();
  if (say_to_parked(slot, fmt::format("* {} EXISTS\r\n", exists), false, exists)) {
    ++counters_.announced;
  } else if (slab_.state(slot) == SlotState::kParked) {
    // A worker tells it; in the window that was opened for this, so not by mailbox_changed().
    RecordView::trusted(slab_.block(slot)).set_flag(kFlagChanged, true);
    refreshes_.add(slot, false);
  }
}

bool Den::may_refresh(uint32_t slot) const {
  // A receive under way is the sleeper's: a refresh would take its bytes and nobody answer them.
  return slab_.state(slot) == SlotState::kParked && !sessions_.contains(slot) &&
         !input_under_way(slot) && !outgoing_.contains(slot) && !drowsy_.contains(slot) &&
         RecordView::trusted(slab_.block(slot)).pushed();
}

void Den::start_refreshes() {
  if (tracker_ == nullptr || draining_) return;
  while (auto next = refreshes_.next(loop().now_ms())) {
    uint32_t slot = next->slot;
    bool wanted = may_refresh(slot);
    Result<ClientStream> stream = fail(ErrorKind::kInvalid, "");
    if (wanted) {
      RecordView view = RecordView::trusted(slab_.block(slot));
      stream = ClientStream::create(crypto_, view.tls(), view.compress());
    }
    if (!wanted || !stream) {
      // Busy with something else: falling asleep queues it again.
      if (slab_.state(slot) == SlotState::kParked) {
        RecordView::trusted(slab_.block(slot)).set_flag(kFlagChanged, true);
      }
      refreshes_.done(false);
      continue;
    }
    RecordView view = RecordView::trusted(slab_.block(slot));
    view.set_flag(kFlagChanged, false);
    if (next->sweep) ++counters_.sweeps;
    start_session(slot, wire::DenToWorker::REFRESH, view.parts(), std::move(*stream), {}, {},
                  next->sweep);
  }
}

// A notice for this sleeper may have been lost.
void Den::look_again(uint32_t slot) {
  if (slab_.state(slot) != SlotState::kParked) return;
  RecordView view = RecordView::trusted(slab_.block(slot));
  if (view.pushed()) {
    refreshes_.add(slot, true);
  } else {
    view.set_flag(kFlagChanged, true);
  }
}

void Den::sweep_all() {
  for (uint32_t slot = 0; slot < slab_.slots(); ++slot) look_again(slot);
}

}  // namespace dormouse::hibernate
