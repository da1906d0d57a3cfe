// The half of context.h that decoding a session's state needs: syntax only.

#include <algorithm>

#include "imap/context.h"
#include "imap/syntax/parser.h"

namespace dormouse::imap {
namespace {

bool is_frozen(const SearchKey& key) {
  if (key.op == SearchOp::kSequence) return false;
  if (key.op == SearchOp::kUid) {
    bool bare_star = std::ranges::any_of(key.set.items, [](const SequenceSet::Item& item) {
      return item.first == SequenceSet::kStar && item.last == SequenceSet::kStar;
    });
    if (key.set.saved_result || bare_star) return false;
  }
  return std::ranges::all_of(key.children, is_frozen);
}

}  // namespace

std::optional<Search> read_program(std::string_view program) {
  if (program.size() > kContextProgramBytesMax) return std::nullopt;
  auto command = parse_command("x " + std::string(program));
  if (!command) return std::nullopt;
  Search* search = std::get_if<Search>(&command->arguments);
  if (search == nullptr || search->return_options || !is_frozen(search->key)) return std::nullopt;
  const std::string& charset = search->charset;
  if (!charset.empty() && charset != "US-ASCII" && charset != "UTF-8") return std::nullopt;
  return std::move(*search);
}

}  // namespace dormouse::imap
