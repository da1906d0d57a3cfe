#include "imap/commands/search_content.h"

#include <algorithm>
#include <memory>

#include "imap/try.h"
#include "mime/header_filter.h"

namespace dormouse::imap {
namespace {

// A header is searched as one text up to this length; real ones stay below 20 KiB, and a longer one
// is searched in its first part.
constexpr uint64_t kSearchedHeaderBytesMax = 256 * 1024;

io::Task<Result<std::string>> read_text(MessageReader* reader, mime::Range range) {
  std::string text;
  uint64_t want = std::min(range.bytes, kSearchedHeaderBytesMax);
  while (text.size() < want) {
    auto bytes = co_await reader->read(range.offset + text.size(), want - text.size());
    if (!bytes) co_return std::unexpected(bytes.error());
    if (bytes->empty()) break;
    text += *bytes;
  }
  co_return text;
}

// Calls `visit` with every field of a header, name and all, unfolded.
template <class Visit>
void each_field(std::string_view header, Visit visit) {
  std::string field;
  while (!header.empty()) {
    size_t end = header.find('\n');
    std::string_view line = header.substr(0, end);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    bool continued = line.starts_with(' ') || line.starts_with('\t');
    if (!continued && !field.empty()) {
      visit(field);
      field.clear();
    }
    field += line;
  }
  if (!field.empty()) visit(field);
}

class ContentSearch {
 public:
  ContentSearch(MessageSource& source, const std::vector<ContentKey>& keys, Content& content)
      : source_(source), keys_(keys), content_(content) {}

  io::Task<Result<void>> run();

 private:
  io::Task<Result<void>> search_headers();
  io::Task<Result<void>> search_part(size_t index);
  void search_header_text(std::string_view header, bool of_message);
  bool all_found(bool texts_only) const;

  MessageSource& source_;
  const std::vector<ContentKey>& keys_;
  Content& content_;
};

bool ContentSearch::all_found(bool texts_only) const {
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (texts_only && keys_[i].op == SearchOp::kHeader) continue;
    if (!content_.found[i]) return false;
  }
  return true;
}

void ContentSearch::search_header_text(std::string_view header, bool of_message) {
  each_field(header, [&](std::string_view field) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      // The message's own header is TEXT, but not BODY; those of its parts are both.
      bool wanted =
          keys_[i].op == SearchOp::kText || (keys_[i].op == SearchOp::kBody && !of_message);
      if (!wanted || content_.found[i]) continue;
      if (mime::header_contains(field, keys_[i].needle)) content_.found[i] = true;
    }
  });
}

io::Task<Result<void>> ContentSearch::search_headers() {
  auto header = co_await read_text(&source_.reader(), source_.structure().parts[0].header);
  if (!header) co_return std::unexpected(header.error());
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].op != SearchOp::kHeader) continue;
    for (const std::string& value : mime::header_values(*header, keys_[i].field)) {
      if (mime::header_contains(value, keys_[i].needle)) content_.found[i] = true;
    }
  }
  search_header_text(*header, true);
  co_return Result<void>{};
}

io::Task<Result<void>> ContentSearch::search_part(size_t index) {
  const mime::Part& part = source_.structure().parts[index];
  if (index != 0) {
    auto header = co_await read_text(&source_.reader(), part.header);
    if (!header) co_return std::unexpected(header.error());
    search_header_text(*header, false);
  }
  if (part.kind != mime::PartKind::kText) co_return Result<void>{};
  std::vector<std::unique_ptr<mime::PartSearcher>> searchers(keys_.size());
  bool any = false;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].op == SearchOp::kHeader || content_.found[i]) continue;
    searchers[i] = std::make_unique<mime::PartSearcher>(part, keys_[i].needle);
    any = true;
  }
  uint64_t at = part.body.offset;
  while (any && at < part.body.end()) {
    auto bytes = co_await source_.reader().read(at, part.body.end() - at);
    if (!bytes) co_return std::unexpected(bytes.error());
    if (bytes->empty()) break;
    at += bytes->size();
    any = false;
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (!searchers[i]) continue;
      if (searchers[i]->feed(*bytes)) {
        content_.found[i] = true;
        searchers[i].reset();
      } else {
        any = true;
      }
    }
  }
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (searchers[i] && searchers[i]->finish()) content_.found[i] = true;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> ContentSearch::run() {
  content_.found.assign(keys_.size(), false);
  IMAP_CO_TRY(co_await source_.need_structure());
  content_.envelope = &source_.structure().envelope;
  content_.octets = source_.octets();
  if (keys_.empty()) co_return Result<void>{};
  // An empty text is in every message (RFC 3501 6.4.4 says so of headers).
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].op != SearchOp::kHeader && keys_[i].needle.empty()) content_.found[i] = true;
  }
  if (all_found(false)) co_return Result<void>{};
  IMAP_CO_TRY(co_await source_.reader().open());
  IMAP_CO_TRY(co_await search_headers());
  for (size_t i = 0; i < source_.structure().parts.size() && !all_found(true); ++i) {
    IMAP_CO_TRY(co_await search_part(i));
  }
  co_return Result<void>{};
}

}  // namespace

io::Task<Result<void>> look_into(MessageSource* source, const std::vector<ContentKey>* keys,
                                 Content* content) {
  ContentSearch search(*source, *keys, *content);
  co_return co_await search.run();
}

}  // namespace dormouse::imap
