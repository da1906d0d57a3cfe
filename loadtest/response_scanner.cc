#include "loadtest/response_scanner.h"

#include <algorithm>
#include <array>

namespace dormouse::loadtest {
namespace {

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; }

bool is_status(std::string_view text) {
  constexpr std::array<std::string_view, 5> kWords = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
  return std::ranges::any_of(
      kWords, [text](std::string_view word) { return begins_with_word(text, word); });
}

}  // namespace

bool begins_with_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (upper(text[i]) != upper(word[i])) return false;
  }
  return text.size() == word.size() || text[word.size()] == ' ';
}

std::optional<NumberedData> numbered_data(std::string_view text) {
  uint64_t number = 0;
  size_t i = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    number = number * 10 + uint64_t(text[i] - '0');
    if (number > 0xffffffff) return std::nullopt;
  }
  if (i == 0 || i >= text.size() || text[i] != ' ') return std::nullopt;
  std::string_view rest = text.substr(i + 1);
  return NumberedData{.number = uint32_t(number), .word = rest.substr(0, rest.find(' '))};
}

void ResponseScanner::see(char c) {
  bool digit = c >= '0' && c <= '9';
  if (c == '{') {
    suffix_ = Suffix::kNumber;
    number_ = 0;
    number_has_digits_ = false;
  } else if (suffix_ == Suffix::kNumber && digit) {
    // Stays above the bound once it is, without wrapping.
    number_ = std::min(number_ * 10 + uint64_t(c - '0'), kLiteralBytesMax + 1);
    number_has_digits_ = true;
  } else if (suffix_ == Suffix::kNumber && c == '}' && number_has_digits_) {
    suffix_ = Suffix::kClosed;
  } else if (suffix_ == Suffix::kClosed && c == '\r') {
    suffix_ = Suffix::kReturn;
  } else {
    suffix_ = Suffix::kNone;
  }
}

// Takes what it can from the front of `bytes`; true when a response is complete.
bool ResponseScanner::take(std::string_view& bytes) {
  begun_ = true;
  if (literal_left_bytes_ > 0) {
    size_t skipped = size_t(std::min<uint64_t>(literal_left_bytes_, bytes.size()));
    if (bounds_.literal_bytes_max > 0 && !truncated_) {
      size_t room = std::min(skipped, bounds_.literal_bytes_max - literals_kept_bytes_);
      literals_.back().append(bytes.substr(0, room));
      literals_kept_bytes_ += room;
      truncated_ = truncated_ || room < skipped;
    }
    literal_left_bytes_ -= skipped;
    bytes.remove_prefix(skipped);
    return false;
  }
  size_t end = bytes.find('\n');
  std::string_view line = bytes.substr(0, end);
  for (char c : line) see(c);
  size_t room = bounds_.kept_bytes_max - kept_.size();
  kept_.append(line.substr(0, room));
  truncated_ = truncated_ || line.size() > room;
  bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  return end != std::string_view::npos && end_of_line();
}

bool ResponseScanner::end_of_line() {
  bool announced = suffix_ == Suffix::kClosed || suffix_ == Suffix::kReturn;
  suffix_ = Suffix::kNone;
  if (!kept_.empty() && kept_.back() == '\r' && !truncated_) kept_.pop_back();
  bool may_hold_literals =
      continued_ || (kept_.starts_with("* ") && !is_status(std::string_view(kept_).substr(2)));
  if (!announced || !may_hold_literals) return true;
  if (number_ > kLiteralBytesMax) {
    broken_ = true;
    return false;
  }
  continued_ = true;
  literal_left_bytes_ = number_;
  literal_bytes_ += number_;
  // Each has its "{n}" in what is kept, so there are no more of them than that holds.
  if (bounds_.literal_bytes_max > 0 && !truncated_) literals_.emplace_back();
  return false;
}

Response ResponseScanner::response() const {
  Response response{
      .literal_bytes = literal_bytes_, .literals = literals_, .truncated = truncated_};
  std::string_view text = kept_;
  size_t space = text.find(' ');
  std::string_view first = text.substr(0, space);
  response.text = space == std::string_view::npos ? "" : text.substr(space + 1);
  if (first == "+") {
    response.kind = ResponseKind::kContinuation;
  } else if (first != "*") {
    response.kind = ResponseKind::kTagged;
    response.tag = first;
  }
  return response;
}

void ResponseScanner::restart() {
  kept_.clear();
  literals_.clear();
  literals_kept_bytes_ = 0;
  literal_bytes_ = 0;
  begun_ = false;
  continued_ = false;
  truncated_ = false;
}

}  // namespace dormouse::loadtest
