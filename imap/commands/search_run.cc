#include "imap/commands/search_run.h"

#include "imap/commands/search_content.h"

namespace dormouse::imap {

io::Task<Result<std::vector<store::Message>>> matching(SearchPlace place,
                                                       const SearchProgram* program,
                                                       std::vector<store::Message> rows) {
  Findings findings(place.mailbox);
  std::vector<store::Message> found;
  for (const store::Message& row : rows) {
    bool recent = place.recent->contains(row.uid);
    Truth matches = program->evaluate(row, recent, nullptr);
    if (matches == Truth::kUnknown) {
      std::optional<std::string> blob;
      if (auto cached = place.mailbox.cached(row.uid); cached) blob = std::move(*cached);
      MessageSource source(*place.loop, place.mailbox, row, std::move(blob), findings);
      Content content;
      auto looked = co_await look_into(&source, &program->content_keys(), &content);
      if (!looked && looked.error().kind == ErrorKind::kCancelled) {
        co_return std::unexpected(looked.error());
      }
      if (looked) matches = program->evaluate(row, recent, &content);
    }
    if (matches == Truth::kYes) found.push_back(row);
  }
  findings.keep();
  co_return found;
}

}  // namespace dormouse::imap
