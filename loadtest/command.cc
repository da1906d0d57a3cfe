#include "loadtest/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace dormouse::loadtest {
namespace {

struct VerbInfo {
  std::string_view word;
  Verb verb;
  bool takes_number;
  std::vector<std::string_view> keys;
};

const std::vector<VerbInfo>& verbs() {
  static const std::vector<VerbInfo> kVerbs = {
      {"wait-connected", Verb::kWaitConnected, false, {"timeout"}},
      {"wait-parked", Verb::kWaitParked, false, {"quiet", "timeout"}},
      {"deliver", Verb::kDeliver, true, {"rate", "timeout"}},
      {"deliver-all", Verb::kDeliverAll, false, {"rate", "timeout"}},
      {"done", Verb::kDone, true, {"rate", "timeout"}},
      {"done-all", Verb::kDoneAll, false, {"rate", "timeout"}},
      {"command", Verb::kCommand, true, {"rate", "timeout"}},
      {"command-all", Verb::kCommandAll, false, {"rate", "timeout"}},
      {"hold", Verb::kHold, true, {"deliver", "done", "command", "leave", "timeout"}},
      {"storm", Verb::kStorm, false, {"timeout"}},
      {"logout", Verb::kLogout, false, {"rate", "timeout"}},
      {"status", Verb::kStatus, false, {}},
      {"quit", Verb::kQuit, false, {}},
  };
  return kVerbs;
}

// A number that is not negative and has a bound, so that times made of it do not overflow.
std::optional<double> read_number(std::string_view text) {
  constexpr double kNumberMax = 1e9;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || !(value >= 0) || value > kNumberMax) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

}  // namespace

Result<Command> Command::parse(std::string_view line) {
  if (line.size() > kLineBytesMax) return fail(ErrorKind::kLimit, "a command line is too long");
  std::vector<std::string_view> words = split(line);
  if (words.empty()) return fail(ErrorKind::kInvalid, "an empty command");
  auto info = std::ranges::find(verbs(), words[0], &VerbInfo::word);
  if (info == verbs().end()) {
    return fail(ErrorKind::kInvalid, fmt::format("unknown command '{}'", words[0]));
  }
  Command command;
  command.verb = info->verb;
  command.word = words[0];
  for (size_t i = 1; i < words.size(); ++i) {
    size_t equals = words[i].find('=');
    auto number = read_number(words[i].substr(equals == std::string_view::npos ? 0 : equals + 1));
    if (!number) return fail(ErrorKind::kInvalid, fmt::format("'{}': no number", words[i]));
    if (equals == std::string_view::npos) {
      if (!info->takes_number || command.number) {
        return fail(ErrorKind::kInvalid, fmt::format("'{}' is one number too many", words[i]));
      }
      command.number = number;
      continue;
    }
    std::string_view key = words[i].substr(0, equals);
    if (std::ranges::find(info->keys, key) == info->keys.end()) {
      return fail(ErrorKind::kInvalid, fmt::format("{} has no option '{}'", words[0], key));
    }
    command.options[std::string(key)] = *number;
  }
  if (info->takes_number && !command.number) {
    return fail(ErrorKind::kInvalid, fmt::format("{} needs a number", words[0]));
  }
  return command;
}

double Command::option(const std::string& key, double otherwise) const {
  auto found = options.find(key);
  return found == options.end() ? otherwise : found->second;
}

}  // namespace dormouse::loadtest
