#include "imap/syntax/writer.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

#include "imap/syntax/lexer.h"
#include "imap/syntax/mutf7.h"
#include "io/result.h"

namespace dormouse::imap {
namespace {

// Longer texts are easier on clients as literals, and no line of ours grows without a bound.
constexpr std::size_t kQuotedBytesMax = 1000;

bool fits_quoted(std::string_view text) {
  if (text.size() > kQuotedBytesMax) return false;
  for (char c : text) {
    if (c < ' ' || c == 0x7f) return false;  // controls, and 8-bit bytes, which are negative
  }
  return true;
}

bool fits_atom(std::string_view text) {
  if (text.empty() || text.size() > kQuotedBytesMax || equals_nocase(text, "NIL")) return false;
  for (char c : text) {
    // '[' is allowed by the grammar, but clients have been seen to take it for a response code.
    if (!is_astring_char(c) || c == '[' || c == ']') return false;
  }
  return true;
}

// Calls put(name) for each set bit of a table, with a space between.
template <class Bits, std::size_t kSize>
void put_named_bits(std::string& out, Bits bits,
                    const std::array<std::pair<Bits, std::string_view>, kSize>& names) {
  bool first = true;
  for (const auto& [bit, name] : names) {
    if ((bits & bit) == 0) continue;
    if (!first) out.push_back(' ');
    first = false;
    out += name;
  }
}

}  // namespace

void put_number(std::string& out, std::uint64_t number) {
  fmt::format_to(std::back_inserter(out), "{}", number);
}

void put_literal_header(std::string& out, std::uint64_t octets) {
  fmt::format_to(std::back_inserter(out), "{{{}}}\r\n", octets);
}

void put_string(std::string& out, std::string_view text) {
  if (!fits_quoted(text)) {
    put_literal_header(out, text.size());
    const std::size_t start = out.size();
    out += text;
    for (std::size_t i = out.find('\0', start); i != std::string::npos; i = out.find('\0', i)) {
      out[i] = static_cast<char>(0x80);
    }
    return;
  }
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

void put_nstring(std::string& out, const std::optional<std::string>& text) {
  if (text) {
    put_string(out, *text);
  } else {
    out += "NIL";
  }
}

void put_astring(std::string& out, std::string_view text) {
  if (fits_atom(text)) {
    out += text;
  } else {
    put_string(out, text);
  }
}

void put_mailbox(std::string& out, std::string_view utf8_name) {
  auto name = utf8_to_mutf7(utf8_name);
  DORMOUSE_CHECK(name.has_value(), "mailbox names inside are UTF-8");
  put_astring(out, *name);
}

void put_text(std::string& out, std::string_view text) {
  const std::size_t start = out.size();
  for (char c : text) {
    bool code = out.size() == start && c == '[';  // would read as a response code
    out.push_back(c < ' ' || c == 0x7f || code ? '?' : c);
  }
}

void put_flags(std::string& out, const FlagList& flags) {
  static constexpr std::array<std::pair<SystemFlags, std::string_view>, 6> kNames{{
      {kAnswered, "\\Answered"},
      {kFlagged, "\\Flagged"},
      {kDeleted, "\\Deleted"},
      {kSeen, "\\Seen"},
      {kDraft, "\\Draft"},
      {kRecent, "\\Recent"},
  }};
  out.push_back('(');
  const std::size_t start = out.size();
  put_named_bits(out, flags.system, kNames);
  for (const std::string& keyword : flags.keywords) {
    if (out.size() != start) out.push_back(' ');
    out += keyword;
  }
  out.push_back(')');
}

void put_attributes(std::string& out, MailboxAttributes attributes) {
  static constexpr std::array<std::pair<MailboxAttributes, std::string_view>, 16> kNames{{
      {kNonExistent, "\\NonExistent"},
      {kNoInferiors, "\\NoInferiors"},
      {kNoSelect, "\\Noselect"},
      {kMarked, "\\Marked"},
      {kUnmarked, "\\Unmarked"},
      {kHasChildren, "\\HasChildren"},
      {kHasNoChildren, "\\HasNoChildren"},
      {kSubscribed, "\\Subscribed"},
      {kUseAll, "\\All"},
      {kUseArchive, "\\Archive"},
      {kUseDrafts, "\\Drafts"},
      {kUseFlagged, "\\Flagged"},
      {kUseJunk, "\\Junk"},
      {kUseSent, "\\Sent"},
      {kUseTrash, "\\Trash"},
      {kUseImportant, "\\Important"},
  }};
  out.push_back('(');
  put_named_bits(out, attributes, kNames);
  out.push_back(')');
}

void put_list_response(std::string& out, bool lsub, MailboxAttributes attributes, char separator,
                       std::string_view utf8_name, bool child_info_subscribed) {
  out += lsub ? "* LSUB " : "* LIST ";
  put_attributes(out, attributes);
  out.push_back(' ');
  if (separator == '\0') {
    out += "NIL";
  } else {
    put_string(out, std::string_view(&separator, 1));
  }
  out.push_back(' ');
  put_mailbox(out, utf8_name);
  if (child_info_subscribed) out += " (\"CHILDINFO\" (\"SUBSCRIBED\"))";
  out += "\r\n";
}

void put_list_renamed(std::string& out, MailboxAttributes attributes, char separator,
                      std::string_view utf8_name, std::string_view utf8_old_name) {
  put_list_response(out, false, attributes, separator, utf8_name);
  out.resize(out.size() - 2);
  out += " (\"OLDNAME\" (";
  put_mailbox(out, utf8_old_name);
  out += "))\r\n";
}

void put_status_response(std::string& out, std::string_view utf8_name, StatusItems items,
                         const StatusValues& values) {
  const std::array<std::pair<StatusItems, std::pair<std::string_view, std::uint64_t>>, 7> kAll{{
      {kStatusMessages, {"MESSAGES", values.messages}},
      {kStatusRecent, {"RECENT", values.recent}},
      {kStatusUidNext, {"UIDNEXT", values.uid_next}},
      {kStatusUidValidity, {"UIDVALIDITY", values.uid_validity}},
      {kStatusUnseen, {"UNSEEN", values.unseen}},
      {kStatusHighestModSeq, {"HIGHESTMODSEQ", values.highest_mod_seq}},
      {kStatusSize, {"SIZE", values.size_octets}},
  }};
  out += "* STATUS ";
  put_mailbox(out, utf8_name);
  out += " (";
  bool first = true;
  for (const auto& [bit, item] : kAll) {
    if ((items & bit) == 0) continue;
    if (!first) out.push_back(' ');
    first = false;
    fmt::format_to(std::back_inserter(out), "{} {}", item.first, item.second);
  }
  out += ")\r\n";
}

void put_vanished_response(std::string& out, bool earlier, const UidSet& uids) {
  if (uids.empty()) return;
  out += earlier ? "* VANISHED (EARLIER) " : "* VANISHED ";
  uids.format(out);
  out += "\r\n";
}

void put_numbered_response(std::string& out, std::uint32_t number, std::string_view name) {
  fmt::format_to(std::back_inserter(out), "* {} {}\r\n", number, name);
}

void put_status_line(std::string& out, std::string_view tag, std::string_view condition,
                     std::string_view text) {
  fmt::format_to(std::back_inserter(out), "{} {} {}\r\n", tag, condition, text);
}

void put_copyuid(std::string& out, std::uint32_t uid_validity, const UidSet& from,
                 const UidSet& to) {
  fmt::format_to(std::back_inserter(out), "COPYUID {} ", uid_validity);
  from.format(out);
  out.push_back(' ');
  to.format(out);
}

void put_appenduid(std::string& out, std::uint32_t uid_validity, const UidSet& uids) {
  fmt::format_to(std::back_inserter(out), "APPENDUID {} ", uid_validity);
  uids.format(out);
}

}  // namespace dormouse::imap
