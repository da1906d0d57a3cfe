#pragma once
// The states that a stress client walks through, in order, each with a chance of being entered and
// of being entered again: the model of imaptest, and its defaults where it has them.
//
//   setting = name "=" chance ["," again]        both in percent, 0 to 100

#include <array>
#include <cstdint>
#include <string_view>

#include "io/result.h"

namespace dormouse::loadtest::stress {

enum class State : uint8_t {
  kLogin,
  kList,
  kStatus,
  kSelect,
  kFetch,   // what a mail program shows in a list
  kFetch2,  // the text of one message
  kSearch,
  kStore,
  kDelete,  // STORE \Deleted
  kExpunge,
  kAppend,
  kNoop,
  kIdle,
  kLogout,
};
inline constexpr size_t kStates = 14;

struct StateInfo {
  std::string_view name;    // in settings
  std::string_view column;  // in tables
  uint32_t chance;
  uint32_t again;
};

// `again` above this would keep a client in one state for ever.
inline constexpr uint32_t kAgainMax = 99;

class StateTable {
 public:
  StateTable();
  // kInvalid says what is wrong.
  Result<> set(std::string_view setting);
  const StateInfo& operator[](State state) const { return states_[size_t(state)]; }

 private:
  std::array<StateInfo, kStates> states_;
};

}  // namespace dormouse::loadtest::stress
