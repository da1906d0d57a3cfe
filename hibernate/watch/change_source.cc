#include "hibernate/watch/change_source.h"

namespace dormouse::hibernate {

bool may_be_message(std::string_view name) { return !name.empty() && name.front() != '.'; }

bool moved_as_it_was(std::string_view from, std::string_view to) {
  // Maildir: what a reader appends to a name that has no flags yet.
  constexpr std::string_view kNoFlags = ":2,";
  return !from.empty() && to.size() == from.size() + kNoFlags.size() && to.starts_with(from) &&
         to.ends_with(kNoFlags);
}

}  // namespace dormouse::hibernate
