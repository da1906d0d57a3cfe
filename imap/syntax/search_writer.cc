// The SEARCH and SORT half of writer.h.

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

#include "imap/syntax/writer.h"
#include "io/result.h"

namespace dormouse::imap {
namespace {

void put_mod_seq(std::string& out, std::uint64_t mod_seq) {
  if (mod_seq != 0) fmt::format_to(std::back_inserter(out), " (MODSEQ {})", mod_seq);
}

std::string_view sort_key_name(SortKey key) {
  switch (key) {
    case SortKey::kArrival:
      return "ARRIVAL";
    case SortKey::kCc:
      return "CC";
    case SortKey::kDate:
      return "DATE";
    case SortKey::kFrom:
      return "FROM";
    case SortKey::kSize:
      return "SIZE";
    case SortKey::kSubject:
      return "SUBJECT";
    case SortKey::kTo:
      return "TO";
    case SortKey::kDisplayFrom:
      return "DISPLAYFROM";
    case SortKey::kDisplayTo:
      return "DISPLAYTO";
  }
  bug(__FILE__, __LINE__, "a sort key", "it has a name");
}

std::string_view flag_name(SystemFlags flag) {
  switch (flag) {
    case kAnswered:
      return "ANSWERED";
    case kDeleted:
      return "DELETED";
    case kDraft:
      return "DRAFT";
    case kFlagged:
      return "FLAGGED";
    case kSeen:
      return "SEEN";
    default:
      return "RECENT";
  }
}

// The name of a key whose argument is a number or a day.
std::string_view op_name(SearchOp op) {
  switch (op) {
    case SearchOp::kBefore:
      return "BEFORE";
    case SearchOp::kOn:
      return "ON";
    case SearchOp::kSince:
      return "SINCE";
    case SearchOp::kSentBefore:
      return "SENTBEFORE";
    case SearchOp::kSentOn:
      return "SENTON";
    case SearchOp::kSentSince:
      return "SENTSINCE";
    case SearchOp::kLarger:
      return "LARGER";
    case SearchOp::kSmaller:
      return "SMALLER";
    case SearchOp::kModSeq:
      return "MODSEQ";
    case SearchOp::kOlder:
      return "OLDER";
    default:
      return "YOUNGER";
  }
}

void put_day(std::string& out, DayNumber day) {
  constexpr std::int64_t kDaySeconds = 86'400;
  constexpr std::size_t kDayBytes = 11;  // of "17-Jul-1996 02:44:25 -0700"
  const std::size_t start = out.size();
  format_date_time(out, DateTime{day * kDaySeconds, 0});
  out.resize(start + kDayBytes);
}

void put_sequence_set(std::string& out, const SequenceSet& set) {
  if (set.saved_result) {
    out.push_back('$');
    return;
  }
  auto put_end = [&](std::uint32_t number) {
    if (number == SequenceSet::kStar) {
      out.push_back('*');
    } else {
      put_number(out, number);
    }
  };
  bool first = true;
  for (const SequenceSet::Item& item : set.items) {
    if (!first) out.push_back(',');
    first = false;
    put_end(item.first);
    if (item.last == item.first) continue;
    out.push_back(':');
    put_end(item.last);
  }
}

void put_header_key(std::string& out, const SearchKey& key) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kShort{{
      {"Bcc", "BCC "},
      {"Cc", "CC "},
      {"From", "FROM "},
      {"Subject", "SUBJECT "},
      {"To", "TO "},
  }};
  for (const auto& [field, name] : kShort) {
    if (key.field != field) continue;
    out += name;
    put_astring(out, key.text);
    return;
  }
  out += "HEADER ";
  put_astring(out, key.field);
  out.push_back(' ');
  put_astring(out, key.text);
}

void put_key(std::string& out, const SearchKey& key);

void put_keys(std::string& out, const std::vector<SearchKey>& keys) {
  bool first = true;
  for (const SearchKey& key : keys) {
    if (!first) out.push_back(' ');
    first = false;
    put_key(out, key);
  }
}

void put_key(std::string& out, const SearchKey& key) {
  switch (key.op) {
    case SearchOp::kAnd:
      out.push_back('(');
      put_keys(out, key.children);
      out.push_back(')');
      break;
    case SearchOp::kOr:
      out += "OR ";
      put_keys(out, key.children);
      break;
    case SearchOp::kNot:
      out += "NOT ";
      put_keys(out, key.children);
      break;
    case SearchOp::kAll:
      out += "ALL";
      break;
    case SearchOp::kUid:
      out += "UID ";
      [[fallthrough]];
    case SearchOp::kSequence:
      put_sequence_set(out, key.set);
      break;
    case SearchOp::kFlags:
      out += flag_name(key.flag);
      break;
    case SearchOp::kKeyword:
      out += "KEYWORD ";
      out += key.text;
      break;
    case SearchOp::kHeader:
      put_header_key(out, key);
      break;
    case SearchOp::kBody:
    case SearchOp::kText:
      out += key.op == SearchOp::kBody ? "BODY " : "TEXT ";
      put_astring(out, key.text);
      break;
    case SearchOp::kBefore:
    case SearchOp::kOn:
    case SearchOp::kSince:
    case SearchOp::kSentBefore:
    case SearchOp::kSentOn:
    case SearchOp::kSentSince:
      out += op_name(key.op);
      out.push_back(' ');
      put_day(out, key.day);
      break;
    default:
      fmt::format_to(std::back_inserter(out), "{} {}", op_name(key.op), key.number);
  }
}

}  // namespace

void put_search_response(std::string& out, const UidSet& found, std::uint64_t mod_seq) {
  out += "* SEARCH";
  found.each([&](std::uint32_t number) {
    out.push_back(' ');
    put_number(out, number);
    return true;
  });
  put_mod_seq(out, found.empty() ? 0 : mod_seq);
  out += "\r\n";
}

void put_sort_response(std::string& out, std::span<const std::uint32_t> found,
                       std::uint64_t mod_seq) {
  out += "* SORT";
  for (std::uint32_t number : found) {
    out.push_back(' ');
    put_number(out, number);
  }
  put_mod_seq(out, found.empty() ? 0 : mod_seq);
  out += "\r\n";
}

void put_ordered_set(std::string& out, std::span<const std::uint32_t> numbers) {
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    if (i != 0) out.push_back(',');
    put_number(out, numbers[i]);
    if (end - i > 1) fmt::format_to(std::back_inserter(out), ":{}", numbers[end - 1]);
    i = end;
  }
}

EsearchLine::EsearchLine(std::string& out, std::string_view tag, bool uid) : out_(out) {
  out_ += "* ESEARCH (TAG ";
  put_string(out_, tag);
  out_ += uid ? ") UID" : ")";
}

void EsearchLine::number(std::string_view name, std::uint64_t value) {
  fmt::format_to(std::back_inserter(out_), " {} {}", name, value);
}

void EsearchLine::all(const UidSet& found) {
  out_ += " ALL ";
  found.format(out_);
}

void EsearchLine::all(std::span<const std::uint32_t> ordered) {
  out_ += " ALL ";
  put_ordered_set(out_, ordered);
}

void EsearchLine::begin_partial(const PartialRange& range) {
  std::string_view sign = range.from_end ? "-" : "";
  fmt::format_to(std::back_inserter(out_), " PARTIAL ({0}{1}:{0}{2} ", sign, range.first,
                 range.last);
}

void EsearchLine::partial(const PartialRange& range, const UidSet& found) {
  begin_partial(range);
  if (found.empty()) out_ += "NIL";
  found.format(out_);
  out_.push_back(')');
}

void EsearchLine::partial(const PartialRange& range, std::span<const std::uint32_t> ordered) {
  begin_partial(range);
  if (ordered.empty()) out_ += "NIL";
  put_ordered_set(out_, ordered);
  out_.push_back(')');
}

void EsearchLine::put_changes(std::span<const ResultChange> changes, std::uint32_t step) {
  std::vector<std::uint32_t> numbers;
  for (std::size_t i = 0; i < changes.size();) {
    const std::uint32_t position = changes[i].position;
    std::uint32_t next = position;
    numbers.clear();
    for (; i < changes.size() && changes[i].position == next; ++i) {
      numbers.push_back(changes[i].number);
      if (position != 0) next += step;
    }
    if (out_.back() != '(') out_.push_back(' ');
    put_number(out_, position);
    out_.push_back(' ');
    put_ordered_set(out_, numbers);
  }
  out_.push_back(')');
}

void EsearchLine::removed(std::span<const ResultChange> changes) {
  out_ += " REMOVEFROM (";
  put_changes(changes, 0);  // what is gone makes room for the next
}

void EsearchLine::added(std::span<const ResultChange> changes) {
  out_ += " ADDTO (";
  put_changes(changes, 1);
}

void EsearchLine::end() { out_ += "\r\n"; }

void put_no_update(std::string& out, std::string_view tag) {
  out += "* NO [NOUPDATE ";
  put_string(out, tag);
  out += "] Too many contexts\r\n";
}

void put_search_program(std::string& out, const Search& search) {
  if (search.uid) out += "UID ";
  if (search.order.empty()) {
    out += "SEARCH ";
    if (!search.charset.empty()) {
      out += "CHARSET ";
      put_astring(out, search.charset);
      out.push_back(' ');
    }
  } else {
    out += "SORT (";
    bool first = true;
    for (const SortCriterion& criterion : search.order) {
      if (!first) out.push_back(' ');
      first = false;
      if (criterion.reverse) out += "REVERSE ";
      out += sort_key_name(criterion.key);
    }
    out += ") ";
    put_astring(out, search.charset.empty() ? "US-ASCII" : search.charset);
    out.push_back(' ');
  }
  put_keys(out, search.key.children);
}

}  // namespace dormouse::imap
