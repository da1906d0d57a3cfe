#pragma once
// DeliveryLedger: which sessions are still owed an EXISTS for which delivery. An engine: told what
// was delivered and what each session heard, it says what is right, what is late and what is wrong.
//
// Every user's mailbox has one message count. A delivery raises it to a number; an EXISTS with at
// least that number, on a session that last heard a lower one, answers it. So a server may report
// two deliveries with one EXISTS (both are answered), but neither none nor one too many.

#include <cstdint>
#include <utility>
#include <vector>

#include "loadtest/histogram.h"

namespace dormouse::loadtest {

class DeliveryLedger {
 public:
  explicit DeliveryLedger(uint32_t users) : users_(users) {}

  // A session of `user` has selected the mailbox and been told of `exists` messages. It is owed
  // what was delivered meanwhile beyond them.
  void selected(uint32_t user, uint32_t exists);
  // A session that last heard `exists` is gone; what it was owed is missing.
  void lost(uint32_t user, uint32_t exists);
  // A session has gone, and nothing is wrong with that: it is owed no more.
  void left(uint32_t user, uint32_t exists);
  // A message is about to be put into the user's mailbox; it was due at `intended_us`.
  void delivered(uint32_t user, uint64_t intended_us);
  // The message could not be put there after all. Only for the user's latest delivery, before
  // anybody heard of it.
  void undo(uint32_t user);
  // A session heard `exists`, having last heard `before`.
  enum class Verdict : uint8_t {
    kAnswers,     // one or more deliveries
    kRepeated,    // the same number again
    kUnexpected,  // a message that nobody delivered, or a smaller number
  };
  // `timed`: the latency counts (a polling session hears when it asks, not when something comes).
  Verdict heard(uint32_t user, uint32_t before, uint32_t exists, uint64_t now_us,
                bool timed = true);

  uint64_t sessions(uint32_t user) const { return users_[user].sessions; }
  uint64_t outstanding() const { return outstanding_; }  // EXISTS that sessions are still owed
  uint64_t missing() const { return missing_; }
  // Deliveries that one EXISTS answered together with another's, beyond the first.
  uint64_t coalesced() const { return coalesced_; }
  // From the intended time to the EXISTS, one for each session and delivery.
  Histogram& latency() { return latency_; }
  // The same since the last call.
  Histogram take_recent() { return std::exchange(recent_, Histogram()); }
  // Counts what is outstanding as missing; an EXISTS that still comes for it is no error.
  void give_up();

 private:
  struct Pending {
    uint32_t number;
    uint32_t sessions;  // that have not heard
    uint64_t intended_us;
  };
  struct User {
    uint32_t messages = 0;
    uint32_t sessions = 0;
    std::vector<Pending> pending;
  };

  std::vector<User> users_;
  uint64_t release(uint32_t user, uint32_t exists);

  Histogram latency_;
  Histogram recent_;
  uint64_t outstanding_ = 0;
  uint64_t missing_ = 0;
  uint64_t coalesced_ = 0;
};

}  // namespace dormouse::loadtest
