#pragma once
// A command line of the control channel; driver.h has the grammar.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::loadtest {

enum class Verb : uint8_t {
  kWaitConnected,
  kWaitParked,
  kDeliver,
  kDeliverAll,
  kDone,
  kDoneAll,
  kCommand,
  kCommandAll,
  kHold,
  kStorm,
  kLogout,
  kStatus,
  kQuit,
};

struct Command {
  Verb verb = Verb::kStatus;
  std::string word;              // as it was written
  std::optional<double> number;  // where the verb takes one
  std::map<std::string, double> options;

  static constexpr size_t kLineBytesMax = 1024;

  // kInvalid says what is wrong: unknown words and keys, a number missing or too many.
  static Result<Command> parse(std::string_view line);
  double option(const std::string& key, double otherwise) const;
};

}  // namespace dormouse::loadtest
