#include "login/arrival_gate.h"

#include <poll.h>
#include <sys/socket.h>

#include <utility>

namespace dormouse::login {
namespace {

// Nobody waits for a greeting any more. A client that has closed its own direction may still
// listen: what it said before that is answered (`printf ... | nc`). Not where that is the beginning
// of TLS, which it cannot end.
bool hung_up(const Arrival& arrival) {
  const int socket = arrival.socket.get();
  pollfd state{.fd = socket, .events = POLLRDHUP, .revents = 0};
  if (::poll(&state, 1, 0) != 1) return false;
  if ((state.revents & (POLLHUP | POLLERR)) != 0 || arrival.implicit_tls) return true;
  char byte = 0;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
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
    if (!hung_up(held.mapped())) return std::move(held.mapped());
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
