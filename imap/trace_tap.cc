#include "imap/trace_tap.h"

#include "wire/link.h"

namespace dormouse::imap {
namespace {

// Sent together: a quarter of a second's events, at 4,000 a second. 25 bytes each, so a full
// message is 25 KB, which fits one datagram.
constexpr uint64_t kTapMs = 250;
constexpr int kTapEventsMax = 1'000;

}  // namespace

void TraceTap::note(uint64_t session, tuning::TraceEvent event, uint64_t client) {
  auto* events = waiting_.mutable_trace_events();
  if (events->at_ms_size() >= kTapEventsMax) {
    events->set_lost(events->lost() + 1);
    return;
  }
  events->add_at_ms(loop_.now_ms());
  events->add_sessions(session);
  events->add_events(uint32_t(event));
  events->add_clients(client);
}

io::Task<void> TraceTap::run() {
  bool listened = true;
  while (listened) {
    if (auto slept = co_await loop_.sleep(kTapMs); !slept) listened = false;
    // Nothing is ever said to us: this only finds out whether somebody is there. One that wants no
    // more still takes what is on its way.
    auto said = channel_.try_receive();
    if (!said && said.error().kind != ErrorKind::kUnavailable) listened = false;
    if (!waiting_.has_trace_events()) continue;
    auto sent = wire::try_send(channel_, waiting_);
    if (sent) waiting_.Clear();
    if (!sent && sent.error().kind != ErrorKind::kUnavailable) listened = false;
  }
}

}  // namespace dormouse::imap
