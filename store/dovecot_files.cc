#include "store/dovecot_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "store/maildir_name.h"

namespace dormouse::store {
namespace {

// Cuts the next piece up to `separator` off `text`.
std::string_view cut(std::string_view& text, char separator) {
  size_t end = text.find(separator);
  std::string_view piece = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return piece;
}

template <class T>
bool parse_number(std::string_view digits, T& value) {
  auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return code == std::errc() && end == digits.data() + digits.size() && !digits.empty();
}

bool parse_header_3(std::string_view line, Uidlist& list) {
  while (!line.empty()) {
    std::string_view field = cut(line, ' ');
    if (field.empty()) continue;
    std::string_view value = field.substr(1);
    if (field[0] == 'V' && !parse_number(value, list.uid_validity)) return false;
    if (field[0] == 'N' && !parse_number(value, list.uid_next)) return false;
    if (field[0] == 'G') list.guid = Guid::from_hex(value);
  }
  return list.uid_validity != 0 && list.uid_next != 0;
}

bool parse_record(std::string_view line, int version, UidlistRecord& record) {
  if (!parse_number(cut(line, ' '), record.uid) || record.uid == 0) return false;
  if (version == 3) {
    // Fields up to the one that starts with ':'; the name is all the rest and may hold blanks.
    while (!line.starts_with(':')) {
      std::string_view field = cut(line, ' ');
      if (line.empty()) return false;
      if (field.starts_with('W') && !parse_number(field.substr(1), record.rfc822_size_bytes)) {
        record.rfc822_size_bytes = kSizeUnknown;
      }
    }
    line.remove_prefix(1);
  }
  record.base = split_file_name(line).base;
  return !record.base.empty() && record.base.find('/') == std::string_view::npos &&
         record.base.find('\0') == std::string_view::npos;
}

// Dovecot's tab escaping: "\001" '0' NUL, '1' \001, 't' TAB, 'r' CR, 'n' LF.
std::string tab_unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\001' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char c = text[++i];
    out += c == '0'   ? '\0'
           : c == '1' ? '\001'
           : c == 't' ? '\t'
           : c == 'r' ? '\r'
           : c == 'n' ? '\n'
                      : c;
  }
  return out;
}

// A level of a name as the subscriptions file has it: Dovecot writes modified UTF-7, or UTF-8 where
// it keeps UTF-8 on disk.
std::string level_name(std::string_view level) {
  return from_modified_utf7(level).value_or(std::string(level));
}

}  // namespace

Result<Uidlist> parse_uidlist(std::string_view text) {
  Uidlist list;
  std::string_view header = cut(text, '\n');
  std::string_view version_text = cut(header, ' ');
  int version = 0;
  if (version_text == "3") {
    version = 3;
    if (!parse_header_3(header, list)) version = 0;
  } else if (version_text == "1") {
    version = 1;
    bool good = parse_number(cut(header, ' '), list.uid_validity) &&
                parse_number(cut(header, ' '), list.uid_next);
    if (!good || list.uid_validity == 0 || list.uid_next == 0) version = 0;
  }
  if (version == 0) return fail(ErrorKind::kInvalid, "dovecot-uidlist has no usable header");

  uint32_t last_uid = 0;
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    UidlistRecord record;
    bool good =
        parse_record(line, version, record) && record.uid > last_uid && record.uid < UINT32_MAX - 1;
    if (!good) {
      ++list.skipped_lines;
      continue;
    }
    last_uid = record.uid;
    list.records.push_back(record);
  }
  // Dovecot appends records without rewriting the header.
  list.uid_next = std::min(std::max(list.uid_next, last_uid + 1), UINT32_MAX - 1);
  std::erase_if(list.records,
                [&](const UidlistRecord& record) { return record.uid >= list.uid_next; });
  return list;
}

bool is_valid_keyword(std::string_view name) {
  if (name.empty() || name.size() > kKeywordMaxBytes) return false;
  return std::ranges::all_of(name, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("(){%*\"\\]").find(c) == std::string_view::npos;
  });
}

std::vector<std::string> parse_keywords(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    size_t number = 0;
    if (!parse_number(cut(line, ' '), number) || number >= kLetterKeywords) continue;
    if (!is_valid_keyword(line)) continue;
    if (names.size() <= number) names.resize(number + 1);
    names[number] = line;
  }
  return names;
}

std::string format_keywords(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kLetterKeywords); ++i) {
    if (!names[i].empty()) text += fmt::format("{} {}\n", i, names[i]);
  }
  return text;
}

std::vector<std::string> parse_subscriptions(std::string_view text) {
  std::vector<std::string> names;
  bool version_2 = text.starts_with("V\t2\n");
  if (version_2) cut(text, '\n');
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    if (line.empty()) continue;

    std::string name;
    char separator = version_2 ? '\t' : '.';
    while (!line.empty()) {
      std::string_view level = cut(line, separator);
      if (!name.empty()) name += kSeparator;
      name += level_name(version_2 ? tab_unescape(level) : std::string(level));
    }
    auto canonical = canonical_mailbox_name(name);
    if (canonical) names.push_back(std::move(*canonical));
    if (names.size() >= 10000) break;  // kMailboxesMax: what LIST can answer
  }
  std::ranges::sort(names);
  auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  return names;
}

std::string format_subscriptions(const std::vector<std::string>& names) {
  std::string text = "V\t2\n\n";
  for (const std::string& name : names) {
    std::string_view rest = name;
    bool first = true;
    while (!rest.empty()) {
      std::string_view level = cut(rest, kSeparator);
      if (!first) text += '\t';
      first = false;
      // Canonical names have no control characters, so nothing needs tab-escaping.
      text += to_modified_utf7(level).value_or(std::string(level));
    }
    text += '\n';
  }
  return text;
}

}  // namespace dormouse::store
