#pragma once
// PathTemplates: homes and Maildirs of a million users are mostly one pattern with the user's name
// in it. A path component that is the user's name, its part before '@' or its part after is
// replaced by a mark, and the rest is kept once for all users.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dormouse::tracker {

class PathTemplates {
 public:
  using Id = uint32_t;
  static constexpr Id kNone = 0xffffffff;
  // Two levels of hashed directories give 4,096 or 65,536 patterns; more than that is no pattern.
  static constexpr size_t kMax = 65'536;

  // The template's number, or kNone when there are too many: the caller keeps the path itself.
  Id add(std::string_view path, std::string_view user);
  std::string expand(Id id, std::string_view user) const;
  size_t size() const { return texts_.size(); }
  size_t bytes() const;

 private:
  std::unordered_map<std::string, Id> ids_;
  std::vector<const std::string*> texts_;  // the keys of ids_, which do not move
};

}  // namespace dormouse::tracker
