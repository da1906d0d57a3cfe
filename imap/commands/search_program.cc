#include "imap/commands/search_program.h"

#include <algorithm>

#include "mime/address.h"
#include "mime/charset.h"

namespace dormouse::imap {
namespace {

Truth truth(bool value) { return value ? Truth::kYes : Truth::kNo; }

constexpr std::string_view kBadCharset = "[BADCHARSET (US-ASCII UTF-8)] Unknown charset.";

}  // namespace

std::expected<SearchProgram, std::string> SearchProgram::compile(const Search& search,
                                                                 const Selected* box,
                                                                 std::vector<std::string> keywords,
                                                                 int64_t now_s) {
  SearchProgram program;
  program.box_ = box;
  program.keywords_ = std::move(keywords);
  program.now_s_ = now_s;
  if (!mime::charset_known(search.charset)) return std::unexpected(std::string(kBadCharset));
  auto root = program.compile_key(search.key, search.charset);
  if (!root) return std::unexpected(root.error());
  program.root_ = std::move(*root);
  program.candidates_.add(UidRange{1, UINT32_MAX});
  if (box != nullptr) program.candidates_ = box->view.intersect(program.candidates_);
  for (const Node& child : program.root_.children) {
    if (child.op == SearchOp::kUid) {
      program.candidates_ = program.candidates_.intersect(child.uids);
    }
  }
  program.box_ = nullptr;
  return program;
}

void SearchProgram::compile_flag(const SearchKey& key, Node& node) const {
  node.flag = key.flag;
  if (key.op != SearchOp::kKeyword) return;
  auto found = std::ranges::find_if(
      keywords_, [&](const std::string& name) { return equals_nocase(name, key.text); });
  if (found != keywords_.end()) node.keyword = size_t(found - keywords_.begin());
}

std::expected<SearchProgram::Node, std::string> SearchProgram::compile_key(
    const SearchKey& key, const std::string& charset) {
  Node node;
  node.op = key.op;
  node.day = key.day;
  node.number = key.number;
  switch (key.op) {
    case SearchOp::kSequence:
    case SearchOp::kUid:
      node.op = SearchOp::kUid;
      node.uids = box_ == nullptr
                      ? key.set.resolve(UINT32_MAX)
                      : box_->view.resolve(key.set, key.op == SearchOp::kUid, box_->saved_search);
      break;
    case SearchOp::kModSeq:
      depends_on_flags_ = true;
      break;
    case SearchOp::kFlags:
    case SearchOp::kKeyword:
      // \Recent stays what it is for as long as the mailbox is selected.
      depends_on_flags_ = depends_on_flags_ || key.flag != kRecent;
      compile_flag(key, node);
      break;
    case SearchOp::kHeader:
    case SearchOp::kBody:
    case SearchOp::kText: {
      auto text = mime::convert_to_utf8(charset, key.text);
      if (!text && text.error().kind == ErrorKind::kUnsupported) {
        return std::unexpected(std::string(kBadCharset));
      }
      // Text that is none in its charset: as it stands, which finds nothing or raw bytes.
      node.content = content_keys_.size();
      content_keys_.push_back(ContentKey{key.op, key.field, mime::Needle(text ? *text : key.text)});
      break;
    }
    default:
      break;
  }
  for (const SearchKey& child : key.children) {
    auto compiled = compile_key(child, charset);
    if (!compiled) return std::unexpected(compiled.error());
    node.children.push_back(std::move(*compiled));
  }
  return node;
}

Truth SearchProgram::evaluate(const store::Message& row, bool recent,
                              const Content* content) const {
  return evaluate(root_, Subject{row, recent, content});
}

// AND and OR: a certain child decides, whatever the unknown ones turn out to be.
Truth SearchProgram::evaluate_many(const Node& node, const Subject& subject) const {
  Truth deciding = node.op == SearchOp::kAnd ? Truth::kNo : Truth::kYes;
  bool unknown = false;
  for (const Node& child : node.children) {
    Truth value = evaluate(child, subject);
    if (value == deciding) return deciding;
    unknown = unknown || value == Truth::kUnknown;
  }
  if (unknown) return Truth::kUnknown;
  return deciding == Truth::kNo ? Truth::kYes : Truth::kNo;
}

Truth SearchProgram::evaluate(const Node& node, const Subject& subject) const {
  switch (node.op) {
    case SearchOp::kAnd:
    case SearchOp::kOr:
      return evaluate_many(node, subject);
    case SearchOp::kNot: {
      Truth value = evaluate(node.children.front(), subject);
      if (value == Truth::kUnknown) return value;
      return truth(value == Truth::kNo);
    }
    case SearchOp::kHeader:
    case SearchOp::kBody:
    case SearchOp::kText:
      if (subject.content == nullptr) return Truth::kUnknown;
      return truth(subject.content->found[node.content]);
    case SearchOp::kSentBefore:
    case SearchOp::kSentOn:
    case SearchOp::kSentSince:
      return evaluate_sent(node, subject);
    case SearchOp::kLarger:
    case SearchOp::kSmaller:
      return evaluate_size(node, subject);
    default:
      return evaluate_row(node, subject);
  }
}

Truth SearchProgram::evaluate_row(const Node& node, const Subject& subject) const {
  const store::Message& row = subject.row;
  DayNumber day = day_of(DateTime{row.internal_date_s, 0});
  switch (node.op) {
    case SearchOp::kAll:
      return Truth::kYes;
    case SearchOp::kUid:
      return truth(node.uids.contains(row.uid));
    case SearchOp::kFlags:
      if ((node.flag & kRecent) != 0) return truth(subject.recent);
      return truth((to_system_flags(row.flags) & node.flag) != 0);
    case SearchOp::kKeyword:
      return truth(node.keyword && row.keywords.test(*node.keyword));
    case SearchOp::kBefore:
      return truth(day < node.day);
    case SearchOp::kOn:
      return truth(day == node.day);
    case SearchOp::kSince:
      return truth(day >= node.day);
    case SearchOp::kModSeq:
      return truth(row.mod_seq >= node.number);
    // An age beyond the clock's reach is older than any message.
    case SearchOp::kOlder:
      return truth(node.number <= uint64_t(now_s_) &&
                   row.internal_date_s <= now_s_ - int64_t(node.number));
    case SearchOp::kYounger:
      return truth(node.number > uint64_t(now_s_) ||
                   row.internal_date_s >= now_s_ - int64_t(node.number));
    default:
      return Truth::kNo;
  }
}

Truth SearchProgram::evaluate_sent(const Node& node, const Subject& subject) const {
  if (subject.content == nullptr) return Truth::kUnknown;
  if (subject.content->envelope == nullptr || !subject.content->envelope->date) return Truth::kNo;
  auto date = mime::parse_mail_date(*subject.content->envelope->date);
  if (!date) return Truth::kNo;
  switch (node.op) {
    case SearchOp::kSentBefore:
      return truth(date->day() < node.day);
    case SearchOp::kSentOn:
      return truth(date->day() == node.day);
    default:
      return truth(date->day() >= node.day);
  }
}

Truth SearchProgram::evaluate_size(const Node& node, const Subject& subject) const {
  uint64_t octets =
      subject.content != nullptr ? subject.content->octets : subject.row.rfc822_size_bytes;
  if (octets == store::kSizeUnknown) return Truth::kUnknown;
  return truth(node.op == SearchOp::kLarger ? octets > node.number : octets < node.number);
}

}  // namespace dormouse::imap
