#pragma once
// What N sessions need of the machine, beside what it has. Pure; docs/tuning.md has the table with
// every derivation.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tuning/tune_machine.h"

namespace dormouse::tuning {

struct TuneWish {
  uint64_t sessions = 10'000;
  // The watch works without fanotify: a watch for each mailbox's two directories.
  bool inotify = false;
};

struct TuneRow {
  enum class State {
    kFits,
    kTight,    // the sessions fit, but something suffers: `why`
    kShort,    // they do not fit
    kUnknown,  // this /proc does not say
  };
  std::string name;  // "fs.file-max", "RLIMIT_NOFILE", "memory"
  uint64_t needs = 0;
  std::optional<uint64_t> has;
  State state = State::kUnknown;
  std::string why;
  // How it is set, where it can be: the sysctl and its whole new value, or a line of a systemd
  // unit.
  std::string sysctl;
  std::string value;
  std::string unit_line;
};

struct TuneReport {
  uint64_t sessions = 0;
  uint64_t memory_bytes = 0;  // needed in all
  std::vector<TuneRow> rows;
  // Of all rows the worst: kShort, kTight, kFits.
  TuneRow::State state() const;
};

TuneReport advise_machine(const Machine& machine, const TuneWish& wish);

// A table for people, with what is missing and why below it.
std::string tune_text(const TuneReport& report);

}  // namespace dormouse::tuning
