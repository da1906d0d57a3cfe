#pragma once
// What a call did to files before its transaction commits, taken back when it does not. Best
// effort: what cannot be taken back, the next sync finds in the Maildir.

#include <string>
#include <utility>
#include <vector>

#include "io/result.h"
#include "store/files.h"

namespace dormouse::store {

class Undo {
 public:
  Undo() = default;
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      if (step->second.empty()) {
        (void)remove_file(step->first);
      } else {
        (void)rename_new(step->first, step->second);
      }
    }
  }
  Result<> rename(const std::string& from, const std::string& to) {
    Result<> done = rename_new(from, to);
    if (done) steps_.emplace_back(to, from);
    return done;
  }
  Result<> link(const std::string& from, const std::string& to) {
    Result<> done = link_or_copy(from, to);
    if (done) steps_.emplace_back(to, "");
    return done;
  }
  // The transaction is committed.
  void keep() { steps_.clear(); }

 private:
  std::vector<std::pair<std::string, std::string>>
      steps_;  // rename first back to second, or remove
};

}  // namespace dormouse::store
