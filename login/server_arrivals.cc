// What comes between accept() and being served: pacing, and telling how long the queue is.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "ebpf/admission_filter.h"
#include "login/server.h"

namespace dormouse::login {
namespace {

using wire::MasterToRole;

constexpr uint64_t kNsPerMs = 1'000'000;
// Some ten handshakes: with fewer a turn of the loop is short whatever they do.
constexpr size_t kManyOpen = 16;

// A copy, so that one decision sees one set of numbers.
admission_rates read_rates(const ebpf::Page<admission_rates>& page) {
  return {.interval_ns = ebpf::load_field(page->interval_ns),
          .depth_ns = ebpf::load_field(page->depth_ns),
          .prefix_interval_ns = ebpf::load_field(page->prefix_interval_ns),
          .prefix_depth_ns = ebpf::load_field(page->prefix_depth_ns)};
}

}  // namespace

Result<> LoginServer::take_admission() {
  for (role::Resource& resource : process_.take_resources(MasterToRole::Resource::ADMISSION)) {
    if (resource.fds.empty()) {
      filtered_ = true;
      continue;
    }
    auto page = ebpf::Page<admission_rates>::map(resource.fds[0].get(), ebpf::PageUse::kRead);
    if (!page) return std::unexpected(page.error());
    rates_ = std::move(*page);
  }
  for (role::Resource& resource : process_.take_resources(MasterToRole::Resource::QUEUE)) {
    if (resource.fds.empty()) return fail(ErrorKind::kInvalid, "a queue's page without the page");
    auto report = ebpf::QueueReport::over(resource.fds[0].get());
    if (!report) return std::unexpected(report.error());
    queue_ = std::move(*report);
  }
  return {};
}

void LoginServer::arrived(Arrival arrival) {
  // What is no network's (a unix socket) has no prefix to be paced by.
  if (!rates_ || arrival.peer.key.bytes[0] == 0) {
    welcome(std::move(arrival));
    return;
  }
  const uint64_t now_ns = process_.loop().now_ms() * kNsPerMs;
  if (auto now = gate_.offer(std::move(arrival), read_rates(rates_), now_ns)) {
    welcome(*std::move(now));
  }
  if (gate_.held() != 0 || open_.size() > kManyOpen) watching_.set();
}

// True: all whose turn it is. False: there was no room for more.
bool LoginServer::serve_held(const admission_rates& rates, uint64_t now_ns) {
  while (has_room()) {
    auto arrival = gate_.next(rates, now_ns);
    if (!arrival) return true;
    welcome(*std::move(arrival));
    if (gate_.lags()) return false;  // one at a time, until it has caught up
  }
  return false;
}

// While somebody is held, or so many are open that this process may fall behind.
io::Task<void> LoginServer::watch_arrivals() {
  io::Loop& loop = process_.loop();
  while (true) {
    if (!co_await watching_.wait()) co_return;
    const admission_rates rates = read_rates(rates_);
    const uint64_t now_ns = loop.now_ms() * kNsPerMs;
    const bool served = serve_held(rates, now_ns);
    tell_queue(false);
    uint64_t wait_ms = served ? gate_.wait_ms(rates, now_ns) : kHeldPauseMs;
    if (wait_ms == 0 && open_.size() <= kManyOpen) {
      watching_.clear();
      gate_.note_lag(0);
      continue;
    }
    if (wait_ms == 0) wait_ms = kHeldPauseMs;
    const uint64_t due_ms = loop.now_ms() + wait_ms;
    if (!co_await loop.sleep(wait_ms)) co_return;
    gate_.note_lag(loop.now_ms() - std::min(due_ms, loop.now_ms()));
  }
}

// They are served only to hear the goodbye.
void LoginServer::give_up_held() {
  while (auto arrival = gate_.next_unpaced()) welcome(*std::move(arrival));
}

void LoginServer::tell_queue(bool emptied) {
  queue_.tell(uint32_t(open_.size() + gate_.held()), emptied);
}

std::string LoginServer::pacing_view() const {
  if (!rates_) return "";
  std::string text = fmt::format("  pacing held={}", gate_.held());
  for (unsigned verdict : {ADMISSION_WITHIN, ADMISSION_OVER, ADMISSION_DROPPED_SHARE,
                           ADMISSION_DROPPED_RATE, ADMISSION_UNPACED}) {
    fmt::format_to(std::back_inserter(text), " {}={}", ebpf::verdict_name(verdict),
                   gate_.counters()[verdict]);
  }
  return text + "\n";
}

}  // namespace dormouse::login
