// SEARCH (RFC 3501 6.4.4), with RETURN (RFC 4731), SAVE (5182), MODSEQ (7162), OLDER and YOUNGER
// (5032); SORT (5256, 5957); UPDATE, CONTEXT and PARTIAL for both (5267, 9394); CANCELUPDATE.

#include <algorithm>
#include <array>
#include <utility>

#include "imap/syntax/command_parsers.h"
#include "imap/syntax/limits.h"

namespace dormouse::imap {
namespace {

// How the argument of a search key is read.
enum class Argument : std::uint8_t { kNone, kText, kHeaderText, kDate, kNumber };

struct KeyEntry {
  std::string_view name;
  SearchOp op;
  Argument argument = Argument::kNone;
  SystemFlags flag = 0;         // kFlags
  bool negate = false;          // wrapped into kNot
  std::string_view field = {};  // kHeaderText
};

constexpr std::array kKeys{
    KeyEntry{"ALL", SearchOp::kAll},
    KeyEntry{"ANSWERED", SearchOp::kFlags, Argument::kNone, kAnswered},
    KeyEntry{"DELETED", SearchOp::kFlags, Argument::kNone, kDeleted},
    KeyEntry{"DRAFT", SearchOp::kFlags, Argument::kNone, kDraft},
    KeyEntry{"FLAGGED", SearchOp::kFlags, Argument::kNone, kFlagged},
    KeyEntry{"RECENT", SearchOp::kFlags, Argument::kNone, kRecent},
    KeyEntry{"SEEN", SearchOp::kFlags, Argument::kNone, kSeen},
    KeyEntry{"OLD", SearchOp::kFlags, Argument::kNone, kRecent, true},
    KeyEntry{"UNANSWERED", SearchOp::kFlags, Argument::kNone, kAnswered, true},
    KeyEntry{"UNDELETED", SearchOp::kFlags, Argument::kNone, kDeleted, true},
    KeyEntry{"UNDRAFT", SearchOp::kFlags, Argument::kNone, kDraft, true},
    KeyEntry{"UNFLAGGED", SearchOp::kFlags, Argument::kNone, kFlagged, true},
    KeyEntry{"UNSEEN", SearchOp::kFlags, Argument::kNone, kSeen, true},
    KeyEntry{"BODY", SearchOp::kBody, Argument::kText},
    KeyEntry{"TEXT", SearchOp::kText, Argument::kText},
    KeyEntry{"BCC", SearchOp::kHeader, Argument::kHeaderText, 0, false, "Bcc"},
    KeyEntry{"CC", SearchOp::kHeader, Argument::kHeaderText, 0, false, "Cc"},
    KeyEntry{"FROM", SearchOp::kHeader, Argument::kHeaderText, 0, false, "From"},
    KeyEntry{"SUBJECT", SearchOp::kHeader, Argument::kHeaderText, 0, false, "Subject"},
    KeyEntry{"TO", SearchOp::kHeader, Argument::kHeaderText, 0, false, "To"},
    KeyEntry{"HEADER", SearchOp::kHeader, Argument::kHeaderText},
    KeyEntry{"BEFORE", SearchOp::kBefore, Argument::kDate},
    KeyEntry{"ON", SearchOp::kOn, Argument::kDate},
    KeyEntry{"SINCE", SearchOp::kSince, Argument::kDate},
    KeyEntry{"SENTBEFORE", SearchOp::kSentBefore, Argument::kDate},
    KeyEntry{"SENTON", SearchOp::kSentOn, Argument::kDate},
    KeyEntry{"SENTSINCE", SearchOp::kSentSince, Argument::kDate},
    KeyEntry{"LARGER", SearchOp::kLarger, Argument::kNumber},
    KeyEntry{"SMALLER", SearchOp::kSmaller, Argument::kNumber},
    KeyEntry{"OLDER", SearchOp::kOlder, Argument::kNumber},
    KeyEntry{"YOUNGER", SearchOp::kYounger, Argument::kNumber},
};

class SearchParser {
 public:
  SearchParser(Lexer& lexer, Search& command) : lexer_(lexer), command_(command) {}

  // search-key *(SP search-key), up to a ')' or the end.
  bool take_keys(std::vector<SearchKey>& keys, std::size_t depth) {
    do {
      if (!take_key(keys.emplace_back(), depth)) return false;
    } while (lexer_.skip(' ') && !lexer_.at_end());
    return true;
  }

 private:
  bool take_key(SearchKey& key, std::size_t depth) {
    if (depth == kSearchDepthMax) return lexer_.fail("Search too deep");
    if (++keys_ > kSearchKeysMax) return lexer_.fail("Too many search keys");
    char c = lexer_.next();
    if (lexer_.skip('(')) {
      key.op = SearchOp::kAnd;
      return take_keys(key.children, depth + 1) && lexer_.take(')', "Missing ) in search");
    }
    if ((c >= '0' && c <= '9') || c == '*' || c == '$') {
      key.op = SearchOp::kSequence;
      return lexer_.take_sequence_set(key.set);
    }
    std::string_view name = lexer_.take_word();
    for (const KeyEntry& entry : kKeys) {
      if (equals_nocase(name, entry.name)) return take_listed(entry, key);
    }
    return take_special(name, key, depth);
  }

  bool take_listed(const KeyEntry& entry, SearchKey& key) {
    if (entry.negate) {
      key.op = SearchOp::kNot;
      SearchKey& inner = key.children.emplace_back();
      inner.op = entry.op;
      inner.flag = entry.flag;
      return true;
    }
    key.op = entry.op;
    key.flag = entry.flag;
    if (entry.argument == Argument::kNone) return true;
    if (!lexer_.take_space()) return false;
    switch (entry.argument) {
      case Argument::kNone:
        break;
      case Argument::kText:
        return lexer_.take_astring(key.text);
      case Argument::kHeaderText:
        key.field = entry.field;
        if (key.field.empty() && (!lexer_.take_astring(key.field) || !lexer_.take_space())) {
          return false;
        }
        if (key.field.size() > kHeaderFieldBytesMax) return lexer_.fail("Header name too long");
        return lexer_.take_astring(key.text);
      case Argument::kDate:
        return take_date(key.day);
      case Argument::kNumber:
        return lexer_.take_number(INT64_MAX, key.number, "Invalid number in search");
    }
    return true;
  }

  bool take_date(DayNumber& day) {
    std::string text;
    if (!lexer_.take_astring(text)) return false;
    auto date = parse_date(text);
    if (!date) return lexer_.fail("Invalid date");
    day = *date;
    return true;
  }

  bool take_special(std::string_view name, SearchKey& key, std::size_t depth) {
    if (equals_nocase(name, "NOT")) {
      key.op = SearchOp::kNot;
      return lexer_.take_space() && take_key(key.children.emplace_back(), depth + 1);
    }
    if (equals_nocase(name, "OR")) {
      key.op = SearchOp::kOr;
      return lexer_.take_space() && take_key(key.children.emplace_back(), depth + 1) &&
             lexer_.take_space() && take_key(key.children.emplace_back(), depth + 1);
    }
    if (equals_nocase(name, "UID")) {
      key.op = SearchOp::kUid;
      return lexer_.take_space() && lexer_.take_sequence_set(key.set);
    }
    if (equals_nocase(name, "NEW")) {  // RECENT UNSEEN
      key.op = SearchOp::kAnd;
      key.children.resize(2);
      key.children[0].op = SearchOp::kFlags;
      key.children[0].flag = kRecent;
      key.children[1].op = SearchOp::kNot;
      SearchKey& seen = key.children[1].children.emplace_back();
      seen.op = SearchOp::kFlags;
      seen.flag = kSeen;
      return true;
    }
    if (equals_nocase(name, "KEYWORD")) return take_keyword(key);
    if (equals_nocase(name, "UNKEYWORD")) {
      key.op = SearchOp::kNot;
      return take_keyword(key.children.emplace_back());
    }
    if (equals_nocase(name, "MODSEQ")) return take_mod_seq_key(key);
    return lexer_.fail("Unknown search key");
  }

  bool take_keyword(SearchKey& key) {
    key.op = SearchOp::kKeyword;
    std::string_view keyword;
    if (!lexer_.take_space() || !lexer_.take_atom(keyword, "Expected a keyword")) return false;
    key.text = keyword;
    return true;
  }

  // "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer. All metadata of ours have
  // one mod-sequence, so the entry makes no difference (RFC 7162 3.1.5 allows that).
  bool take_mod_seq_key(SearchKey& key) {
    key.op = SearchOp::kModSeq;
    command_.has_mod_seq = true;
    if (!lexer_.take_space()) return false;
    if (lexer_.next_is('"')) {
      std::string entry;
      std::string_view type;
      if (!lexer_.take_string(entry) || !lexer_.take_space() ||
          !lexer_.take_atom(type, "Expected an entry type") || !lexer_.take_space()) {
        return false;
      }
      if (!equals_nocase(type, "priv") && !equals_nocase(type, "shared") &&
          !equals_nocase(type, "all")) {
        return lexer_.fail("Unknown entry type");
      }
    }
    return lexer_.take_mod_seq(key.number);
  }

  Lexer& lexer_;
  Search& command_;
  std::size_t keys_ = 0;
};

bool take_return_options(Lexer& lexer, Search& command) {
  static constexpr std::array<std::pair<std::string_view, SearchReturn>, 8> kOptions{{
      {"MIN", kReturnMin},
      {"MAX", kReturnMax},
      {"ALL", kReturnAll},
      {"COUNT", kReturnCount},
      {"SAVE", kReturnSave},
      {"PARTIAL", kReturnPartial},
      {"UPDATE", kReturnUpdate},
      {"CONTEXT", kReturnContext},
  }};
  if (!lexer.take_space() || !lexer.take('(', "Expected return options")) return false;
  SearchReturn options = 0;
  if (!lexer.skip(')')) {
    do {
      std::string_view name = lexer.take_word();
      SearchReturn option = 0;
      for (const auto& [known, bit] : kOptions) {
        if (equals_nocase(name, known)) option = bit;
      }
      if (option == 0) return lexer.fail("Unknown return option");
      constexpr SearchReturn kLists = kReturnAll | kReturnPartial;
      if ((option & kLists) != 0 && ((options | option) & kLists) != option) {
        return lexer.fail("ALL and PARTIAL exclude each other");
      }
      if (option == kReturnPartial) {
        if ((options & kReturnPartial) != 0) return lexer.fail("PARTIAL is allowed once");
        if (!take_partial_range(lexer, command.partial)) return false;
      }
      if (option == kReturnUpdate) {
        if (lexer.rest().starts_with(" ("))
          lexer.skip(' ');  // the grammar has no space, the example
        if (lexer.next_is('(') && !take_fetch_text(lexer, command.update_fetch)) return false;
      }
      options |= option;
    } while (lexer.skip(' '));
    if (!lexer.take(')', "Missing ) after return options")) return false;
  }
  command.return_options = options == 0 ? kReturnAll : options;
  return lexer.take_space();
}

// "(REVERSE DATE SUBJECT)". A key that is named again changes no order, so only its first place
// counts.
bool take_sort_criteria(Lexer& lexer, std::vector<SortCriterion>& order) {
  static constexpr std::array<std::pair<std::string_view, SortKey>, 9> kSortKeys{{
      {"ARRIVAL", SortKey::kArrival},
      {"CC", SortKey::kCc},
      {"DATE", SortKey::kDate},
      {"FROM", SortKey::kFrom},
      {"SIZE", SortKey::kSize},
      {"SUBJECT", SortKey::kSubject},
      {"TO", SortKey::kTo},
      {"DISPLAYFROM", SortKey::kDisplayFrom},
      {"DISPLAYTO", SortKey::kDisplayTo},
  }};
  if (!lexer.take('(', "Expected sort criteria")) return false;
  std::size_t criteria = 0;
  do {
    if (++criteria > kSortCriteriaMax) return lexer.fail("Too many sort criteria");
    SortCriterion criterion;
    criterion.reverse = lexer.skip_word("REVERSE");
    if (criterion.reverse && !lexer.take_space()) return false;
    std::string_view name = lexer.take_word();
    const auto* known = std::ranges::find_if(
        kSortKeys, [&](const auto& entry) { return equals_nocase(name, entry.first); });
    if (known == kSortKeys.end()) return lexer.fail("Unknown sort criterion");
    criterion.key = known->second;
    if (std::ranges::find(order, criterion.key, &SortCriterion::key) == order.end()) {
      order.push_back(criterion);
    }
  } while (lexer.skip(' '));
  return lexer.take(')', "Missing ) after sort criteria") && lexer.take_space();
}

bool take_charset(Lexer& lexer, Search& command) {
  std::string charset;
  if (!lexer.take_astring(charset) || !lexer.take_space()) return false;
  command.charset = to_upper(charset);
  return true;
}

bool take_program(Lexer& lexer, Search& command) {
  command.key.op = SearchOp::kAnd;
  SearchParser parser(lexer, command);
  return parser.take_keys(command.key.children, 0) && lexer.take_end();
}

}  // namespace

bool take_partial_range(Lexer& lexer, PartialRange& out) {
  constexpr std::string_view kWhy = "Invalid range of results";
  if (!lexer.take_space()) return false;
  out.from_end = lexer.skip('-');
  if (!lexer.take_nz_number(out.first, kWhy) || !lexer.take(':', kWhy)) return false;
  if (lexer.skip('-') != out.from_end) return lexer.fail(kWhy);
  return lexer.take_nz_number(out.last, kWhy);
}

std::pair<std::uint64_t, std::uint64_t> PartialRange::within(std::uint64_t count) const {
  const std::uint64_t begin = std::min<std::uint64_t>(std::min(first, last) - 1, count);
  const std::uint64_t end = std::min<std::uint64_t>(std::max(first, last), count);
  if (from_end) return {count - end, count - begin};
  return {begin, end};
}

bool parse_search(Lexer& lexer, bool uid, CommandArguments& out) {
  auto& command = out.emplace<Search>();
  command.uid = uid;
  if (!lexer.take_space()) return false;
  if (lexer.skip_word("RETURN") && !take_return_options(lexer, command)) return false;
  if (lexer.skip_word("CHARSET") && (!lexer.take_space() || !take_charset(lexer, command))) {
    return false;
  }
  return take_program(lexer, command);
}

bool parse_sort(Lexer& lexer, bool uid, CommandArguments& out) {
  auto& command = out.emplace<Search>();
  command.uid = uid;
  if (!lexer.take_space()) return false;
  if (lexer.skip_word("RETURN") && !take_return_options(lexer, command)) return false;
  return take_sort_criteria(lexer, command.order) && take_charset(lexer, command) &&
         take_program(lexer, command);
}

bool parse_cancel_update(Lexer& lexer, bool, CommandArguments& out) {
  auto& command = out.emplace<CancelUpdate>();
  if (!lexer.take_space()) return false;
  do {
    std::string tag;
    if (command.tags.size() == kCancelTagsMax) return lexer.fail("Too many tags");
    if (!lexer.next_is('"') || !lexer.take_string(tag)) return lexer.fail("Expected a quoted tag");
    command.tags.push_back(std::move(tag));
  } while (lexer.skip(' ') && !lexer.at_end());
  return lexer.take_end();
}

}  // namespace dormouse::imap
