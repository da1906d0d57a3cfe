// A trace comes from a file, maybe somebody else's.
#include <cstdint>
#include <string_view>

#include "tuning/simulate.h"
#include "tuning/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto trace = tuning::parse_trace(text);
  if (!trace) return 0;
  DORMOUSE_CHECK(tuning::check_trace(*trace), "what is parsed is sound");
  DORMOUSE_CHECK(tuning::format_trace(*trace) == text, "a trace is written in one way only");
  auto best = tuning::hindsight(*trace, {});
  auto found = tuning::simulate(*trace, {}, {});
  DORMOUSE_CHECK(found.commands == best.commands && found.wakes <= found.commands,
                 "every command is counted once");
  return 0;
}
