#include "mime/content_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "mime/ascii.h"
#include "mime/limits.h"

namespace dormouse::mime {
namespace {

// Takes a token (RFC 2045 5.1) off `text`, more kindly: up to a blank or one of `ends`.
std::string_view take_token(std::string_view& text, std::string_view ends) {
  std::size_t length = 0;
  while (length < text.size() && !is_space(text[length]) &&
         ends.find(text[length]) == std::string_view::npos) {
    ++length;
  }
  std::string_view token = text.substr(0, length);
  text.remove_prefix(length);
  return token;
}

// Takes a quoted string off `text`, which begins with its quote.
std::string take_quoted(std::string_view& text) {
  std::string out;
  std::size_t i = 1;
  for (; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out.push_back(text[i]);
  }
  text.remove_prefix(std::min(text.size(), i + 1));
  return out;
}

// Takes an unquoted value: up to the next ';', less a comment behind a blank. Blanks inside are
// kept, since "filename=my file.txt" is common and means what it looks like.
std::string take_bare_value(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && text[length] != ';') {
    if (text[length] == '(' && length > 0 && is_space(text[length - 1])) break;
    ++length;
  }
  std::string value(trimmed(text.substr(0, length)));
  text.remove_prefix(length);
  return value;
}

// "name*1*": base name, section (-1: none), whether the value is percent-encoded (RFC 2231 4.1).
struct ExtendedName {
  std::string_view base;
  int section = -1;
  bool encoded = false;
};

ExtendedName split_name(std::string_view name) {
  ExtendedName split{name, -1, false};
  if (split.base.ends_with('*')) {
    split.encoded = true;
    split.base.remove_suffix(1);
  }
  std::size_t star = split.base.rfind('*');
  if (star == std::string_view::npos || star == 0) return split;
  std::string_view digits = split.base.substr(star + 1);
  // Three digits hold more sections than kParametersMax.
  if (digits.empty() || digits.size() > 3 || !std::ranges::all_of(digits, is_digit)) return split;
  split.section = 0;
  for (char c : digits) split.section = split.section * 10 + (c - '0');
  split.base.remove_suffix(split.base.size() - star);
  return split;
}

// attribute-char of RFC 2231 7: what stands for itself in an encoded value.
bool is_attribute_char(char c) {
  return c > ' ' && c < 0x7f &&
         std::string_view("*'%()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
}

void put_encoded(std::string& out, std::string_view plain) {
  for (char c : plain) {
    if (is_attribute_char(c)) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
}

struct Piece {
  std::string value;
  bool encoded = false;
};

// Joins the sections 0, 1, ... of one parameter; a missing one ends it.
Parameter join_sections(const std::string& base, const std::map<int, Piece>& sections) {
  bool any_encoded = false;
  int expected = 0;
  for (const auto& [number, section] : sections) {
    if (number != expected++) break;
    any_encoded = any_encoded || section.encoded;
  }
  Parameter joined{base, ""};
  if (any_encoded) joined.name.push_back('*');
  expected = 0;
  for (const auto& [number, section] : sections) {
    if (number != expected++) break;
    if (number == 0 && any_encoded && !section.encoded) joined.value += "''";  // no charset named
    if (any_encoded && !section.encoded) {
      put_encoded(joined.value, section.value);
    } else {
      joined.value += section.value;
    }
  }
  return joined;
}

}  // namespace

std::vector<Parameter> parse_parameters(std::string_view text) {
  std::vector<Parameter> found;
  // Where the sections of a name are put together: at its first one.
  std::vector<std::pair<std::size_t, std::map<int, Piece>>> continued;
  std::size_t taken = 0;
  while (taken < kParametersMax) {
    skip_cfws(text);
    if (text.empty()) break;
    if (text.front() == ';') {
      text.remove_prefix(1);
      continue;
    }
    std::string_view name = take_token(text, "=;(\"");
    skip_cfws(text);
    if (name.empty() || text.empty() || text.front() != '=') {
      text.remove_prefix(std::min(text.size(), text.find(';')));  // no attribute=value: passed over
      continue;
    }
    text.remove_prefix(1);
    skip_cfws(text);
    std::string value =
        !text.empty() && text.front() == '"' ? take_quoted(text) : take_bare_value(text);
    ++taken;
    ExtendedName split = split_name(name);
    if (split.section < 0) {
      found.push_back({std::string(name), std::move(value)});
      continue;
    }
    auto known = std::ranges::find_if(
        continued, [&](const auto& c) { return same_name(found[c.first].name, split.base); });
    if (known == continued.end()) {
      found.push_back({std::string(split.base), ""});
      known = continued.insert(continued.end(), {found.size() - 1, {}});
    }
    known->second.try_emplace(split.section, Piece{std::move(value), split.encoded});
  }
  for (const auto& [index, sections] : continued) {
    found[index] = join_sections(found[index].name, sections);
  }
  return found;
}

void parse_content_type(std::string_view value, Part& part) {
  skip_cfws(value);
  std::string_view type = take_token(value, "/;(");
  skip_cfws(value);
  std::string_view subtype;
  if (!value.empty() && value.front() == '/') {
    value.remove_prefix(1);
    skip_cfws(value);
    subtype = take_token(value, ";(");
  }
  part.parameters = parse_parameters(value);
  if (!type.empty() && !subtype.empty()) {
    part.type = type;
    part.subtype = subtype;
  } else if (same_name(type, "text")) {
    part.type = type;
    part.subtype = "plain";
  } else if (same_name(type, "multipart")) {
    part.type = type;
    part.subtype = "mixed";
  } else {
    part.type = "application";
    part.subtype = "octet-stream";
  }
}

void parse_disposition(std::string_view value, Part& part) {
  skip_cfws(value);
  std::string_view disposition = take_token(value, ";(");
  if (disposition.empty()) return;
  part.disposition = disposition;
  part.disposition_parameters = parse_parameters(value);
}

std::string parse_encoding(std::string_view value) {
  skip_cfws(value);
  std::string_view token = take_token(value, ";(");
  return token.empty() ? "7bit" : std::string(token);
}

std::vector<std::string> parse_languages(std::string_view value) {
  std::vector<std::string> tags;
  while (tags.size() < kParametersMax) {
    skip_cfws(value);
    if (value.empty()) break;
    std::string_view tag = take_token(value, ",(");
    if (!tag.empty()) {
      tags.emplace_back(tag);
    } else {
      value.remove_prefix(1);  // a comma
    }
  }
  return tags;
}

}  // namespace dormouse::mime
