#pragma once
// For tests: what a client knows of a search's result from the first answer and the updates that
// followed (RFC 5267 4.3), and nothing else.

#include <string>
#include <vector>

namespace dormouse::imap {

class ResultMirror {
 public:
  // `uid`: UID SEARCH or UID SORT; else numbers follow EXPUNGE. `sorted`: SORT.
  ResultMirror(std::string tag, bool uid, bool sorted)
      : tag_(std::move(tag)), uid_(uid), sorted_(sorted) {}

  // Every response line: ESEARCH with ALL, ADDTO or REMOVEFROM of this tag, EXPUNGE.
  void take(const std::string& responses);
  const std::vector<uint32_t>& list() const { return list_; }
  const std::string& tag() const { return tag_; }
  // What contradicted the list, and [NOUPDATE] of this tag.
  const std::vector<std::string>& complaints() const { return complaints_; }
  size_t updates() const { return updates_; }

 private:
  void take_line(const std::string& line);
  void take_data(const std::string& data);
  void take_pairs(const std::string& pairs, bool add);
  void insert(uint32_t position, const std::vector<uint32_t>& numbers);
  void remove(uint32_t position, const std::vector<uint32_t>& numbers);
  void expunge(uint32_t number);

  std::string tag_;
  bool uid_;
  bool sorted_;
  std::vector<uint32_t> list_;
  std::vector<std::string> complaints_;
  size_t updates_ = 0;
};

}  // namespace dormouse::imap
