// Asking all roles for their view, and ending them.

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <iterator>

#include "master/supervisor.h"
#include "role/log.h"

namespace dormouse::master {
namespace {

// After the front's goodbye, the others have no client left to talk to.
constexpr uint64_t kBackGraceMs = 2'000;
// After SIGKILL only the kernel is waited for.
constexpr uint64_t kKilledMsMax = 10'000;

bool is_front(const Seat& seat) { return seat.role == wire::LOGIN || seat.role == wire::DEN; }

}  // namespace

void Supervisor::take_view(Seat& seat, const wire::RoleToMaster::ViewText& piece) {
  if (seat.view_request == 0 || piece.request() != seat.view_request) return;
  if (seat.view.size() + piece.text().size() > kViewBytesMax) {
    seat.view += "(cut)\n";
    seat.view_request = 0;
  } else {
    seat.view += piece.text();
    if (piece.last()) seat.view_request = 0;
  }
}

io::Task<std::string> Supervisor::view() {
  uint64_t request = ++views_;
  for (auto& seat : seats_) {
    if (!seat->ready) continue;
    seat->view.clear();
    seat->view_request = request;
    wire::MasterToRole message;
    message.mutable_view()->set_request(request);
    push(*seat, message);
  }
  uint64_t until_ms = loop_.now_ms() + kViewMsMax;
  auto missing = [&] {
    return std::ranges::any_of(
        seats_, [&](const auto& seat) { return seat->ready && seat->view_request == request; });
  };
  while (missing() && loop_.now_ms() < until_ms) {
    auto slept = co_await loop_.sleep(10);
    if (!slept) break;
  }
  std::string text;
  for (auto& seat : seats_) {
    if (seat->ended) continue;
    fmt::format_to(std::back_inserter(text), "{} pid={} {} uptime_ms={} restarts={}{}\n",
                   seat_name(*seat), seat->child.pid, seat->ready ? "ready" : "not-ready",
                   loop_.now_ms() - seat->started_ms, seat->life > 0 ? seat->life - 1 : 0,
                   seat->last_end.empty() ? "" : fmt::format(" last-end=\"{}\"", seat->last_end));
    if (seat->view_request == request) text += "  (no answer)\n";
    std::string_view rest = seat->view;
    while (!rest.empty()) {
      size_t end = std::min(rest.find('\n'), rest.size());
      fmt::format_to(std::back_inserter(text), "  {}\n", rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    seat->view = {};
    seat->view_request = 0;
  }
  co_return text;
}

bool Supervisor::running(bool front_only) const {
  return std::ranges::any_of(
      seats_, [&](const auto& seat) { return !seat->ended && (is_front(*seat) || !front_only); });
}

void Supervisor::tell_drain(bool front_only, uint64_t grace_ms, const std::string& text) {
  for (auto& seat : seats_) {
    if (is_front(*seat) != front_only) continue;
    if (!seat->ready) {
      // It has no client yet, and may never learn of a drain.
      send_signal(seat->child, SIGKILL);
      continue;
    }
    wire::MasterToRole message;
    message.mutable_drain()->set_grace_ms(uint32_t(grace_ms));
    message.mutable_drain()->set_text(text);
    push(*seat, message);
  }
}

io::Task<void> Supervisor::wait_for_ends(bool front_only, uint64_t until_ms) {
  while (running(front_only) && loop_.now_ms() < until_ms) {
    auto slept = co_await loop_.sleep(10);
    if (!slept) co_return;
  }
}

void Supervisor::kill(bool front_only) {
  for (auto& seat : seats_) {
    if (is_front(*seat) || !front_only) send_signal(seat->child, SIGKILL);
  }
}

void Supervisor::kill_all() { kill(false); }

io::Task<void> Supervisor::drain(uint64_t grace_ms, std::string text) {
  stopping_ = true;
  // A front role that dies from here on is not started again, so its clients are cut: that is all
  // a bounded goodbye can do.
  tell_drain(true, grace_ms, text);
  co_await wait_for_ends(true, loop_.now_ms() + grace_ms);
  if (running(true)) {
    role::log_warning("roles-killed", {{"reason", "clients not told within the grace"}});
    kill(true);
  }
  tell_drain(false, kBackGraceMs, text);
  co_await wait_for_ends(false, loop_.now_ms() + kBackGraceMs);
  if (running(false)) {
    role::log_warning("roles-killed", {{"reason", "not gone when told"}});
    kill_all();
    co_await wait_for_ends(false, loop_.now_ms() + kKilledMsMax);
  }
}

}  // namespace dormouse::master
