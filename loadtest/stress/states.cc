#include "loadtest/stress/states.h"

#include <fmt/format.h>

#include <algorithm>

#include "loadtest/stress/value.h"

namespace dormouse::loadtest::stress {

StateTable::StateTable()
    : states_{{{"login", "Logi", 100, 0},
               {"list", "List", 50, 0},
               {"status", "Stat", 50, 0},
               {"select", "Sele", 100, 0},
               {"fetch", "Fetc", 100, 0},
               {"fetch2", "Fet2", 100, 30},
               {"search", "Sear", 30, 0},
               {"store", "Stor", 50, 0},
               {"delete", "Dele", 100, 0},
               {"expunge", "Expu", 100, 0},
               {"append", "Appe", 100, 5},
               {"noop", "Noop", 50, 0},
               {"idle", "Idle", 20, 0},
               {"logout", "Logo", 100, 0}}} {}

Result<> StateTable::set(std::string_view setting) {
  size_t equals = setting.find('=');
  auto state = std::ranges::find(states_, setting.substr(0, equals), &StateInfo::name);
  if (state == states_.end() || equals == std::string_view::npos) {
    return fail(ErrorKind::kInvalid, fmt::format("'{}' is no STATE=CHANCE[,AGAIN]", setting));
  }
  std::string_view numbers = setting.substr(equals + 1);
  size_t comma = numbers.find(',');
  auto chance = to_number(numbers.substr(0, comma));
  auto again = comma == std::string_view::npos ? std::optional<uint64_t>(state->again)
                                               : to_number(numbers.substr(comma + 1));
  if (!chance || *chance > 100 || !again || *again > kAgainMax) {
    return fail(ErrorKind::kInvalid,
                fmt::format("'{}': a chance is 0 to 100, again 0 to {}", setting, kAgainMax));
  }
  state->chance = uint32_t(*chance);
  state->again = uint32_t(*again);
  return {};
}

}  // namespace dormouse::loadtest::stress
