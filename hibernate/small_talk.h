#pragma once
// Small talk: what a den answers for a parked session with no change pending: DONE, IDLE, NOOP,
// CHECK, LOGOUT (RFC 2177, RFC 3501 6.1, 6.4.1), and with the answer how many messages came. A pure
// engine: bytes in, bytes and a verdict out. Whatever it does not understand completely it leaves
// to a worker.

#include <cstddef>
#include <string>
#include <string_view>

#include "hibernate/record.h"

namespace dormouse::hibernate {

// A line that is not complete within this many bytes attaches at once (DESIGN.md section 2).
inline constexpr size_t kLineBytesMax = kInputBytesMax;

// What the record says of the session.
struct Sleeper {
  ParkedMode mode = wire::WorkerToDen::Parked::AUTHENTICATED;
  std::string_view idle_tag = {};
  bool selected = false;  // what it returns to after DONE
  // A change waits that only a worker can report: any line attaches.
  bool changed = false;
  // Its mailbox is only looked at now and then: a command that reports changes needs a worker.
  bool polled = false;
  uint32_t exists = 0;   // messages it was told of
  uint32_t pending = 0;  // and those that came since
};

struct SmallTalk {
  enum class Verdict {
    kAnswered,  // everything consumed was answered; the rest of the input is an incomplete line
    kAttach,    // a worker must see the input from `consumed_bytes` on
    kLogout,    // send the output, then close
  };
  Verdict verdict = Verdict::kAnswered;
  size_t consumed_bytes = 0;
  std::string output;
  ParkedMode mode = wire::WorkerToDen::Parked::AUTHENTICATED;
  std::string idle_tag;
  bool told = false;  // the output says "* <exists + pending> EXISTS"
  // Counted for the view.
  unsigned done = 0;
  unsigned idle = 0;
  unsigned noop = 0;
  unsigned check = 0;
};

// `input`: what the client has sent and nobody has answered.
SmallTalk talk(std::string_view input, const Sleeper& sleeper);

}  // namespace dormouse::hibernate
