#include "imap/context.h"

#include <algorithm>

#include "imap/syntax/writer.h"
#include "mime/charset.h"

namespace dormouse::imap {
namespace {

SequenceSet to_sequence_set(const UidSet& uids) {
  SequenceSet set;
  for (const UidRange& range : uids.ranges()) set.items.push_back({range.first, range.last});
  return set;
}

class Freezer {
 public:
  Freezer(const std::string& charset, const View& view, const UidSet& saved)
      : charset_(charset), view_(view), saved_(saved) {}

  SearchKey freeze(const SearchKey& key) {
    SearchKey frozen = key;
    switch (key.op) {
      case SearchOp::kSequence:
        set_uids(frozen, view_.coarsen(view_.resolve(key.set, false, saved_)));
        break;
      case SearchOp::kUid:
        freeze_uids(frozen);
        break;
      case SearchOp::kHeader:
      case SearchOp::kBody:
      case SearchOp::kText:
        // What is no text in its charset is looked for as it stands, then and later.
        if (auto text = mime::convert_to_utf8(charset_, key.text)) frozen.text = *text;
        any_8bit_ = any_8bit_ || !is_ascii(frozen.text) || !is_ascii(frozen.field);
        break;
      default:
        break;
    }
    for (SearchKey& child : frozen.children) child = freeze(child);
    return frozen;
  }
  bool any_8bit() const { return any_8bit_; }

 private:
  static bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  }

  // There is no way to write an empty set.
  static void set_uids(SearchKey& key, const UidSet& uids) {
    if (!uids.empty()) {
      key.op = SearchOp::kUid;
      key.set = to_sequence_set(uids);
      return;
    }
    key = SearchKey{};
    key.op = SearchOp::kNot;
    key.children.emplace_back().op = SearchOp::kAll;
  }

  void freeze_uids(SearchKey& key) {
    if (key.set.saved_result) {
      set_uids(key, view_.coarsen(view_.intersect(saved_)));
      return;
    }
    constexpr uint32_t kStar = SequenceSet::kStar;
    uint32_t last = view_.last_uid();
    std::vector<SequenceSet::Item> items;
    for (const SequenceSet::Item& item : key.set.items) {
      uint32_t from = std::max(item.first, item.last);  // kStar is 0
      bool open = (item.first == kStar) != (item.last == kStar);
      if (open) items.push_back({from, kStar});
      // "9:*" holds the highest message even where that is below 9.
      bool star = from == kStar || (open && last < from);
      if (star && last != 0) items.push_back({last, last});
      if (!open && from != kStar) items.push_back(item);
    }
    key.set.items = std::move(items);
    if (key.set.items.empty()) set_uids(key, UidSet());
  }

  const std::string& charset_;
  const View& view_;
  const UidSet& saved_;
  bool any_8bit_ = false;
};

}  // namespace

Search freeze_search(const Search& search, const View& view, const UidSet& saved) {
  Search frozen;
  frozen.uid = search.uid;
  frozen.order = search.order;
  Freezer freezer(search.charset, view, saved);
  frozen.key = freezer.freeze(search.key);
  if (freezer.any_8bit()) frozen.charset = "UTF-8";
  return frozen;
}

bool shed_context(std::vector<Context>& contexts, std::string& out) {
  if (contexts.empty()) return false;
  auto longest = std::ranges::max_element(contexts, {}, [](const Context& context) {
    return std::max(context.order.size(), context.found.ranges().size());
  });
  put_no_update(out, longest->tag);
  contexts.erase(longest);
  return true;
}

}  // namespace dormouse::imap
