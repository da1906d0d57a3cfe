#pragma once
// ArrivalGate: may the next connection be served? Between accept() and the greeting: those who come
// while the pace is used up, or while this process is behind, are held and let through in their
// turn (AcceptPacer says whose it is).
//
// An engine: told the rates, the time and how late the loop is; the loop's side of it is
// server_arrivals.cc.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "io/fd.h"
#include "login/accept_pacer.h"
#include "login/limits.h"
#include "login/peer_address.h"

namespace dormouse::login {

// Accepted, not served yet.
struct Arrival {
  io::Fd socket;
  PeerAddress peer;
  uint16_t local_port = 0;
  bool implicit_tls = false;
};

class ArrivalGate {
 public:
  explicit ArrivalGate(size_t held_max = kHeldMax) : pacer_(held_max) {}

  // Whether one more may be taken from the kernel's queue.
  bool has_room() const { return pacer_.has_room(); }
  // The arrival itself where it is served now; none: it is held.
  std::optional<Arrival> offer(Arrival arrival, const admission_rates& rates, uint64_t now_ns);
  // One that was held and whose turn it is. Call again until there is none. Who has hung up
  // meanwhile takes nobody's turn.
  std::optional<Arrival> next(const admission_rates& rates, uint64_t now_ns);
  // Gives up all who are held, one by one.
  std::optional<Arrival> next_unpaced();
  // How long until next() may have one: 0 when nobody is held.
  uint64_t wait_ms(const admission_rates& rates, uint64_t now_ns) const {
    return pacer_.wait_ms(rates, now_ns);
  }

  // By so much a turn of the loop came late. While it is behind with those who are open, whoever
  // is served now makes all of them wait for longer, until they give up: nobody goes through at
  // once, and next() is to be called once in a turn.
  void note_lag(uint64_t ms) { lag_ms_ = ms; }
  bool lags() const { return lag_ms_ > kLagMsMax; }

  size_t held() const { return held_.size(); }
  uint64_t gave_up() const { return gave_up_; }  // hung up before their turn
  const uint64_t* counters() const { return pacer_.counters(); }

 private:
  AcceptPacer pacer_;
  std::map<uint64_t, Arrival> held_;  // by the pacer's number
  uint64_t next_number_ = 1;
  uint64_t lag_ms_ = 0;
  uint64_t gave_up_ = 0;
};

}  // namespace dormouse::login
