#include "loadtest/stress/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "loadtest/response_scanner.h"

namespace dormouse::loadtest::stress {
namespace {

// One pass over the text; lists by recursion, no deeper than kValueDepthMax.
class Parser {
 public:
  Parser(std::string_view text, std::span<const std::string> literals)
      : rest_(text), literals_(literals) {}

  Result<std::vector<Value>> values(size_t depth) {
    std::vector<Value> made;
    if (depth > kValueDepthMax) return fail(ErrorKind::kLimit, "nested too deeply");
    for (;;) {
      while (rest_.starts_with(' ')) rest_.remove_prefix(1);
      if (rest_.empty() || rest_.front() == ')') return made;
      auto next = value(depth);
      if (!next) return std::unexpected(next.error());
      made.push_back(std::move(*next));
    }
  }
  bool at_end() const { return rest_.empty(); }

 private:
  Result<Value> value(size_t depth) {
    if (rest_.front() == '(') return list(depth);
    if (rest_.front() == '"') return quoted();
    if (rest_.front() == '{') return literal();
    return atom();
  }

  Result<Value> list(size_t depth) {
    rest_.remove_prefix(1);
    auto inner = values(depth + 1);
    if (!inner) return std::unexpected(inner.error());
    if (rest_.empty()) return fail(ErrorKind::kInvalid, "a list without its end");
    rest_.remove_prefix(1);
    return Value{.kind = Value::Kind::kList, .list = std::move(*inner)};
  }

  Result<Value> quoted() {
    Value made{.kind = Value::Kind::kString};
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return made;
      }
      if (rest_[i] == '\\' && ++i == rest_.size()) break;
      made.text += rest_[i];
    }
    return fail(ErrorKind::kInvalid, "a quoted string without its end");
  }

  Result<Value> literal() {
    size_t end = rest_.find('}');
    if (end == std::string_view::npos || literals_.empty()) {
      return fail(ErrorKind::kInvalid, "a literal that is none");
    }
    Value made{.kind = Value::Kind::kString, .text = literals_.front()};
    literals_ = literals_.subspan(1);
    rest_.remove_prefix(end + 1);
    return made;
  }

  Result<Value> atom() {
    size_t brackets = 0;
    size_t end = 0;
    for (; end < rest_.size(); ++end) {
      char c = rest_[end];
      if (c == '[') ++brackets;
      if (c == ']' && brackets > 0) --brackets;
      if (brackets == 0 && (c == ' ' || c == '(' || c == ')' || c == '"')) break;
    }
    if (end == 0) return fail(ErrorKind::kInvalid, "an empty atom");
    Value made{.text = std::string(rest_.substr(0, end))};
    rest_.remove_prefix(end);
    return made;
  }

  std::string_view rest_;
  std::span<const std::string> literals_;
};

}  // namespace

std::string to_upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
  return upper;
}

std::optional<uint64_t> to_number(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return whole ? std::optional(number) : std::nullopt;
}

bool Value::is_atom(std::string_view atom) const {
  return kind == Kind::kAtom && text.size() == atom.size() && begins_with_word(text, atom);
}

std::optional<uint64_t> Value::number() const {
  return kind == Kind::kAtom ? to_number(text) : std::nullopt;
}

std::string Value::canonical() const {
  if (kind == Kind::kAtom) return to_upper(text);
  if (kind == Kind::kString) return fmt::format("{}\"{}\"", text.size(), text);
  std::string made = "(";
  for (const Value& value : list) made += value.canonical() + ' ';
  return made + ')';
}

Result<std::vector<Value>> parse_values(std::string_view text,
                                        std::span<const std::string> literals) {
  Parser parser(text, literals);
  auto made = parser.values(0);
  if (made && !parser.at_end()) return fail(ErrorKind::kInvalid, "a ')' too many");
  return made;
}

Result<std::vector<uint32_t>> parse_set(std::string_view text, size_t numbers_max) {
  std::vector<uint32_t> numbers;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view range = text.substr(0, comma);
    size_t colon = range.find(':');
    auto first = to_number(range.substr(0, colon));
    auto last = colon == std::string_view::npos ? first : to_number(range.substr(colon + 1));
    if (!first || !last || *first == 0 || *last == 0 || *first > UINT32_MAX || *last > UINT32_MAX) {
      return fail(ErrorKind::kInvalid, fmt::format("no set of numbers: {}", range));
    }
    if (*first > *last) std::swap(*first, *last);
    if (*last - *first >= numbers_max - numbers.size()) {
      return fail(ErrorKind::kLimit, "a set of too many numbers");
    }
    for (uint64_t number = *first; number <= *last; ++number) numbers.push_back(uint32_t(number));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return numbers;
}

std::string write_set(std::span<const uint32_t> numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    fmt::format_to(std::back_inserter(text), "{}", numbers[i]);
    if (end - i > 1) fmt::format_to(std::back_inserter(text), ":{}", numbers[end - 1]);
    i = end;
  }
  return text;
}

}  // namespace dormouse::loadtest::stress
