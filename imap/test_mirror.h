#pragma once
// For tests: what an IMAP client knows of its selected mailbox from nothing but the responses it
// was sent. It believes what it was told until told otherwise, so a change that was not told shows
// as a difference to what a FETCH says later.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace dormouse::imap {

class Mirror {
 public:
  struct Entry {
    std::optional<uint32_t> uid;
    std::optional<std::set<std::string>> flags;  // without \Recent
  };

  // Takes in every response line. What contradicts the mirror is kept in complaints().
  void take(const std::string& responses);
  void clear();
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<std::string>& complaints() const { return complaints_; }
  uint64_t highest_mod_seq() const { return highest_mod_seq_; }
  uint32_t uid_validity() const { return uid_validity_; }
  // By UID, for a client that synchronizes (QRESYNC): kept over clear_view().
  const std::map<uint32_t, std::set<std::string>>& known() const { return known_; }
  void clear_view() { entries_.clear(); }

 private:
  void take_line(const std::string& line);
  void take_fetch(size_t number, const std::string& items);
  void take_vanished(const std::string& set);
  void complain(const std::string& what, const std::string& line);

  std::vector<Entry> entries_;
  std::map<uint32_t, std::set<std::string>> known_;
  std::vector<std::string> complaints_;
  uint64_t highest_mod_seq_ = 0;
  uint32_t uid_validity_ = 0;
};

}  // namespace dormouse::imap
