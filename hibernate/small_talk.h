#pragma once
// Small talk: what a den answers for a parked session with no change pending: DONE, IDLE, NOOP,
// LOGOUT (RFC 2177, RFC 3501 6.1). A pure engine: bytes in, bytes and a verdict out. Whatever it
// does not understand completely it leaves to a worker.

#include <cstddef>
#include <string>
#include <string_view>

#include "hibernate/record.h"

namespace dormouse::hibernate {

// A line that is not complete within this many bytes attaches at once (DESIGN.md section 2).
inline constexpr size_t kLineBytesMax = kInputBytesMax;

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
  // Counted for the view.
  unsigned done = 0;
  unsigned idle = 0;
  unsigned noop = 0;
};

// `input`: what the client has sent and nobody has answered. `selected`: what the session returns
// to after DONE. `changed`: a change waits to be reported, so only a complete absence of talk can
// stay here: any line attaches.
SmallTalk talk(std::string_view input, ParkedMode mode, std::string_view idle_tag, bool selected,
               bool changed);

}  // namespace dormouse::hibernate
