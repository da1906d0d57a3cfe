#include "imap/test_result.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>

namespace dormouse::imap {
namespace {

// "5:7,3" in its order.
std::vector<uint32_t> numbers_of(const std::string& set) {
  std::vector<uint32_t> numbers;
  std::istringstream items(set);
  std::string item;
  while (std::getline(items, item, ',')) {
    size_t colon = item.find(':');
    auto first = uint32_t(std::stoul(item));
    auto last = colon == std::string::npos ? first : uint32_t(std::stoul(item.substr(colon + 1)));
    for (uint32_t number = first; number <= last; ++number) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

void ResultMirror::take(const std::string& responses) {
  std::istringstream lines(responses);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.ends_with('\r')) line.pop_back();
    take_line(line);
  }
}

void ResultMirror::take_line(const std::string& line) {
  std::string start = "* ESEARCH (TAG \"" + tag_ + "\")" + (uid_ ? " UID" : "");
  if (line.starts_with(start)) {
    take_data(line.substr(start.size()));
  } else if (line.starts_with("* ESEARCH (TAG \"" + tag_ + "\")")) {
    complaints_.push_back("UID or not: " + line);
  } else if (line.starts_with("* NO [NOUPDATE \"" + tag_ + "\"]")) {
    complaints_.push_back(line);
  } else if (!uid_ && line.starts_with("* ") && line.ends_with(" EXPUNGE")) {
    expunge(uint32_t(std::strtoul(line.c_str() + 2, nullptr, 10)));
  }
}

// " ALL 5:7 ADDTO (0 3 1 4)"
void ResultMirror::take_data(const std::string& data) {
  std::istringstream words(data);
  std::string name;
  while (words >> name) {
    std::string value;
    words >> std::ws;
    if (words.peek() == '(') {
      words.get();
      std::getline(words, value, ')');
    } else {
      words >> value;
    }
    if (name == "ALL") list_ = numbers_of(value);
    if (name == "ADDTO") take_pairs(value, true);
    if (name == "REMOVEFROM") take_pairs(value, false);
  }
}

void ResultMirror::take_pairs(const std::string& pairs, bool add) {
  ++updates_;
  std::istringstream words(pairs);
  uint32_t position = 0;
  std::string set;
  while (words >> position >> set) {
    if (position == 0 && sorted_) complaints_.push_back("a SORT needs positions: " + pairs);
    add ? insert(position, numbers_of(set)) : remove(position, numbers_of(set));
  }
}

void ResultMirror::insert(uint32_t position, const std::vector<uint32_t>& numbers) {
  for (uint32_t number : numbers) {
    if (std::ranges::count(list_, number) != 0) complaints_.push_back("added twice");
  }
  if (position > list_.size() + 1) {
    complaints_.push_back("added beyond the end");
    return;
  }
  if (position != 0) {
    list_.insert(list_.begin() + ptrdiff_t(position - 1), numbers.begin(), numbers.end());
    return;
  }
  list_.insert(list_.end(), numbers.begin(), numbers.end());
  std::ranges::sort(list_);
}

void ResultMirror::remove(uint32_t position, const std::vector<uint32_t>& numbers) {
  if (position != 0) {
    bool there = position - 1 + numbers.size() <= list_.size() &&
                 std::equal(numbers.begin(), numbers.end(), list_.begin() + position - 1);
    if (!there) {
      complaints_.push_back("removed what is not at that position");
      return;
    }
    auto first = list_.begin() + ptrdiff_t(position - 1);
    list_.erase(first, first + ptrdiff_t(numbers.size()));
    return;
  }
  for (uint32_t number : numbers) {
    if (std::erase(list_, number) != 1) complaints_.push_back("removed what is not in the result");
  }
}

void ResultMirror::expunge(uint32_t number) {
  if (std::ranges::count(list_, number) != 0) {
    complaints_.push_back("EXPUNGE of a message that is in the result");
  }
  for (uint32_t& other : list_) {
    if (other > number) --other;
  }
}

}  // namespace dormouse::imap
