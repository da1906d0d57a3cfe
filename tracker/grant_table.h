#pragma once
// GrantTable: what auth said of clients that are about to come by way of login and a den. A grant
// is good once, for kGrantMs.

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "wire/auth_tracker.pb.h"
#include "wire/validate.h"

namespace dormouse::tracker {

struct Grant {
  wire::Identity identity;
  wire::Limits limits;
};

class GrantTable {
 public:
  static constexpr uint64_t kGrantMs = 60'000;  // wire/login_auth.proto, Granted
  // A thousand logins a second, none of them claimed: some 20 MB. Beyond that the oldest go.
  static constexpr size_t kGrantsMax = 65'536;

  explicit GrantTable(size_t grants_max = kGrantsMax) : grants_max_(grants_max) {}

  void put(std::string_view grant, Grant what, uint64_t now_ms);
  // Takes the grant out: a second claim finds nothing.
  std::optional<Grant> claim(std::string_view grant, uint64_t now_ms);
  void expire(uint64_t now_ms);
  size_t size() const { return grants_.size(); }
  uint64_t displaced() const { return displaced_; }

 private:
  using Key = std::array<char, wire::kGrantBytes>;
  struct KeyHash {
    // The bytes are random already.
    size_t operator()(const Key& key) const {
      size_t hash = 0;
      std::memcpy(&hash, key.data(), sizeof hash);
      return hash;
    }
  };
  struct Entry {
    Grant what;
    uint64_t due_ms;
  };
  struct Due {
    uint64_t due_ms;
    Key key;
  };
  static Key key_of(std::string_view grant);
  void drop_oldest();

  size_t grants_max_;
  std::unordered_map<Key, Entry, KeyHash> grants_;
  std::deque<Due> order_;  // oldest first; claimed ones are skipped
  uint64_t displaced_ = 0;
};

}  // namespace dormouse::tracker
