#include "imap/commands/base_subject.h"

#include "imap/syntax/flags.h"
#include "mime/charset.h"

namespace dormouse::imap {
namespace {

constexpr std::string_view kFwdHeader = "[fwd:";
constexpr std::string_view kFwdTrailer = "(fwd)";

bool is_blank(char c) { return c == ' ' || c == '\t'; }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

bool skip_word(std::string_view& text, std::string_view word) {
  if (!equals_nocase(text.substr(0, word.size()), word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// subj-blob = "[" *BLOBCHAR "]" *WSP
bool skip_blob(std::string_view& text) {
  if (!text.starts_with('[')) return false;
  size_t end = text.find_first_of("[]", 1);
  if (end == std::string_view::npos || text[end] == '[') return false;
  text.remove_prefix(end + 1);
  skip_blanks(text);
  return true;
}

// subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
bool skip_refwd(std::string_view& text) {
  std::string_view rest = text;
  if (!skip_word(rest, "re") && !skip_word(rest, "fwd") && !skip_word(rest, "fw")) return false;
  skip_blanks(rest);
  skip_blob(rest);
  if (!rest.starts_with(':')) return false;
  text = rest.substr(1);
  return true;
}

// subj-trailer = "(fwd)" / WSP
bool skip_trailer(std::string_view& text) {
  if (!text.empty() && is_blank(text.back())) {
    text.remove_suffix(1);
    return true;
  }
  if (text.size() < kFwdTrailer.size() ||
      !equals_nocase(text.substr(text.size() - kFwdTrailer.size()), kFwdTrailer)) {
    return false;
  }
  text.remove_suffix(kFwdTrailer.size());
  return true;
}

// Step 1: decoded, every run of white space one space.
std::string flattened(std::string_view subject) {
  std::string text;
  for (char c : mime::decode_header(subject)) {
    bool blank = is_blank(c) || c == '\r' || c == '\n';
    if (blank && text.ends_with(' ')) continue;
    text.push_back(blank ? ' ' : c);
  }
  return text;
}

// Steps 3 to 5. subj-leader = (*subj-blob subj-refwd) / WSP. Blobs that no subj-refwd follows go
// too, but the last one stays where nothing else would.
void skip_prefixes(std::string_view& text) {
  while (true) {
    skip_blanks(text);
    std::string_view rest = text;
    std::string_view last_blob = text;
    for (std::string_view next = rest; skip_blob(next); rest = next) last_blob = rest;
    if (!skip_refwd(rest)) {
      text = rest.empty() ? last_blob : rest;
      return;
    }
    text = rest;
  }
}

}  // namespace

std::string base_subject(std::string_view subject) {
  std::string flat = flattened(subject);
  std::string_view text = flat;
  while (true) {
    while (skip_trailer(text)) {
    }
    skip_prefixes(text);
    // Step 6: a forwarded subject in brackets.
    std::string_view inner = text;
    if (!inner.ends_with(']') || !skip_word(inner, kFwdHeader)) break;
    text = inner.substr(0, inner.size() - 1);
  }
  return std::string(text);
}

}  // namespace dormouse::imap
