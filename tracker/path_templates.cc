#include "tracker/path_templates.h"

#include <algorithm>

namespace dormouse::tracker {
namespace {

// No path holds a control character (wire/validate.h), so these can stand for something else.
constexpr char kUser = 1;
constexpr char kLocalPart = 2;
constexpr char kDomain = 3;

struct Parts {
  explicit Parts(std::string_view name) : user(name) {
    size_t at = name.rfind('@');
    if (at == std::string_view::npos) return;
    local = name.substr(0, at);
    domain = name.substr(at + 1);
  }
  std::string_view user, local, domain;
};

}  // namespace

PathTemplates::Id PathTemplates::add(std::string_view path, std::string_view user) {
  Parts parts(user);
  std::string text;
  while (true) {
    size_t slash = path.find('/');
    std::string_view component = path.substr(0, slash);
    if (component.empty()) {
    } else if (component == parts.user) {
      text.push_back(kUser);
    } else if (component == parts.local) {
      text.push_back(kLocalPart);
    } else if (component == parts.domain) {
      text.push_back(kDomain);
    } else {
      text.append(component);
    }
    if (slash == std::string_view::npos) break;
    text.push_back('/');
    path.remove_prefix(slash + 1);
  }
  auto found = ids_.find(text);
  if (found != ids_.end()) return found->second;
  if (texts_.size() >= kMax) return kNone;
  Id id = Id(texts_.size());
  texts_.push_back(&ids_.emplace(std::move(text), id).first->first);
  return id;
}

std::string PathTemplates::expand(Id id, std::string_view user) const {
  Parts parts(user);
  std::string path;
  for (char c : *texts_[id]) {
    switch (c) {
      case kUser:
        path.append(parts.user);
        break;
      case kLocalPart:
        path.append(parts.local);
        break;
      case kDomain:
        path.append(parts.domain);
        break;
      default:
        path.push_back(c);
    }
  }
  return path;
}

size_t PathTemplates::bytes() const {
  size_t total = texts_.capacity() * sizeof(texts_[0]) + ids_.bucket_count() * sizeof(void*);
  for (const std::string* text : texts_) {
    total += sizeof(std::string) + sizeof(Id) + 2 * sizeof(void*) + text->capacity();
  }
  return total;
}

}  // namespace dormouse::tracker
