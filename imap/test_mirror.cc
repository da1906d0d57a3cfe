#include "imap/test_mirror.h"

#include <cstdlib>
#include <sstream>

#include "imap/syntax/uid_set.h"

namespace dormouse::imap {
namespace {

// The number after `key` in `text`.
std::optional<uint64_t> number_after(const std::string& text, const std::string& key) {
  size_t at = text.find(key);
  if (at == std::string::npos) return std::nullopt;
  return std::strtoull(text.c_str() + at + key.size(), nullptr, 10);
}

}  // namespace

void Mirror::clear() {
  entries_.clear();
  known_.clear();
}

void Mirror::complain(const std::string& what, const std::string& line) {
  complaints_.push_back(what + ": " + line);
}

void Mirror::take(const std::string& responses) {
  std::istringstream lines(responses);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.ends_with('\r')) line.pop_back();
    take_line(line);
  }
}

void Mirror::take_line(const std::string& line) {
  if (auto mod_seq = number_after(line, "[HIGHESTMODSEQ ")) highest_mod_seq_ = *mod_seq;
  if (auto validity = number_after(line, "[UIDVALIDITY ")) uid_validity_ = uint32_t(*validity);
  if (line.starts_with("* OK [CLOSED]")) entries_.clear();
  if (line.starts_with("* VANISHED ")) {
    take_vanished(line.substr(line.rfind(' ') + 1));
    return;
  }
  if (!line.starts_with("* ")) return;
  char* end = nullptr;
  size_t number = std::strtoull(line.c_str() + 2, &end, 10);
  std::string rest = *end == ' ' ? end + 1 : "";
  if (rest == "EXISTS") {
    if (number < entries_.size()) complain("EXISTS shrinks", line);
    entries_.resize(number);
  } else if (rest == "EXPUNGE") {
    if (number == 0 || number > entries_.size()) {
      complain("EXPUNGE of nothing", line);
      return;
    }
    auto gone = entries_.begin() + ptrdiff_t(number - 1);
    if (gone->uid) known_.erase(*gone->uid);
    entries_.erase(gone);
  } else if (rest.starts_with("FETCH (")) {
    take_fetch(number, rest);
  }
}

void Mirror::take_fetch(size_t number, const std::string& items) {
  if (number == 0 || number > entries_.size()) {
    complain("FETCH of nothing", items);
    return;
  }
  Entry& entry = entries_[number - 1];
  if (auto uid = number_after(items, "UID ")) {
    if (entry.uid && *entry.uid != *uid) complain("another UID", items);
    entry.uid = uint32_t(*uid);
  }
  size_t at = items.find("FLAGS (");
  if (at == std::string::npos) return;
  std::istringstream words(items.substr(at + 7, items.find(')', at) - at - 7));
  std::set<std::string> flags;
  std::string flag;
  while (words >> flag) {
    if (flag != "\\Recent") flags.insert(flag);
  }
  entry.flags = flags;
  if (entry.uid) known_[*entry.uid] = flags;
}

void Mirror::take_vanished(const std::string& set) {
  auto uids = UidSet::parse(set);
  if (!uids) {
    complain("bad set", set);
    return;
  }
  std::erase_if(known_, [&](const auto& entry) { return uids->contains(entry.first); });
  std::erase_if(entries_, [&](const Entry& e) { return e.uid && uids->contains(*e.uid); });
}

}  // namespace dormouse::imap
