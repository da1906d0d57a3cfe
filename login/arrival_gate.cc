#include "login/arrival_gate.h"

#include <poll.h>

#include <utility>

namespace dormouse::login {
namespace {

// Nobody waits for a greeting any more.
bool hung_up(const io::Fd& socket) {
  pollfd state{.fd = socket.get(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

}  // namespace

std::optional<Arrival> ArrivalGate::offer(Arrival arrival, const admission_rates& rates,
                                          uint64_t now_ns) {
  const uint64_t number = next_number_++;
  if (lags()) {
    pacer_.hold_back(arrival.peer.key, number);
  } else if (pacer_.admit(arrival.peer.key, number, rates, now_ns)) {
    return arrival;
  }
  held_.emplace(number, std::move(arrival));
  return {};
}

std::optional<Arrival> ArrivalGate::next(const admission_rates& rates, uint64_t now_ns) {
  while (auto number = pacer_.next(rates, now_ns)) {
    auto held = held_.extract(*number);
    if (!hung_up(held.mapped().socket)) return std::move(held.mapped());
    ++gave_up_;
    pacer_.give_back(rates);
  }
  return {};
}

std::optional<Arrival> ArrivalGate::next_unpaced() {
  auto number = pacer_.next_unpaced();
  if (!number) return {};
  return std::move(held_.extract(*number).mapped());
}

}  // namespace dormouse::login
