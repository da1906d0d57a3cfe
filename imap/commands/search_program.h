#pragma once
// A SEARCH, compiled: sets resolved against the view, keywords to bits, texts to needles. Evaluated
// in two passes: the first sees only the index row and may answer "unknown"; only then is the
// message's content looked at (search_content.h).

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "imap/selected.h"
#include "imap/syntax/command.h"
#include "mime/message.h"
#include "mime/text_search.h"

namespace dormouse::imap {

enum class Truth : uint8_t { kNo, kYes, kUnknown };

// A key that only the message's content can answer.
struct ContentKey {
  SearchOp op = SearchOp::kText;  // kHeader, kBody, kText
  std::string field;
  mime::Needle needle{""};
};

// What the second pass knows.
struct Content {
  std::vector<bool> found;  // per content key
  const mime::Envelope* envelope = nullptr;
  uint64_t octets = 0;
};

class SearchProgram {
 public:
  // Fails with the tagged NO's text. `box` is what sequence sets mean; nullptr for a program that
  // was frozen (imap/context_program.h): all its sets are of UIDs then, and "*" is the highest
  // there can be.
  static std::expected<SearchProgram, std::string> compile(const Search& search,
                                                           const Selected* box,
                                                           std::vector<std::string> keywords,
                                                           int64_t now_s);

  // The messages that can match at all, by the sets that all of them must be in.
  const UidSet& candidates() const { return candidates_; }
  const std::vector<ContentKey>& content_keys() const { return content_keys_; }
  // Whether a change of a message's flags can make a difference.
  bool depends_on_flags() const { return depends_on_flags_; }
  // `content` nullptr: the first pass.
  Truth evaluate(const store::Message& row, bool recent, const Content* content) const;

 private:
  struct Node {
    SearchOp op = SearchOp::kAll;
    SystemFlags flag = 0;
    std::optional<size_t> keyword;  // bit; nullopt with kKeyword: nobody has it
    DayNumber day = 0;
    uint64_t number = 0;
    UidSet uids;
    size_t content = 0;  // index into content_keys_
    std::vector<Node> children;
  };
  struct Subject {
    const store::Message& row;
    bool recent;
    const Content* content;
  };
  std::expected<Node, std::string> compile_key(const SearchKey& key, const std::string& charset);
  void compile_flag(const SearchKey& key, Node& node) const;
  Truth evaluate(const Node& node, const Subject& subject) const;
  Truth evaluate_many(const Node& node, const Subject& subject) const;
  Truth evaluate_row(const Node& node, const Subject& subject) const;
  Truth evaluate_sent(const Node& node, const Subject& subject) const;
  Truth evaluate_size(const Node& node, const Subject& subject) const;

  Node root_;
  UidSet candidates_;
  std::vector<ContentKey> content_keys_;
  std::vector<std::string> keywords_;
  bool depends_on_flags_ = false;
  const Selected* box_ = nullptr;  // while compiling
  int64_t now_s_ = 0;
};

}  // namespace dormouse::imap
