#include "imap/commands/body_writer.h"

#include <algorithm>

#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "mime/crlf.h"
#include "mime/header_filter.h"

namespace dormouse::imap {
namespace {

// Picked header fields up to this length are kept in memory; a longer header is read twice, once to
// count. Headers of real mail are below 20 KiB.
constexpr size_t kPickedBytesMax = 64 * 1024;

io::Task<Result<void>> put_range(Output* out, MessageReader* reader, mime::SectionStream stream) {
  put_literal_header(out->text(), stream.octets());
  while (!stream.done()) {
    auto bytes = co_await reader->read(stream.file_offset(), stream.file_bytes_wanted());
    if (!bytes && bytes.error().kind == ErrorKind::kCancelled) {
      co_return std::unexpected(bytes.error());
    }
    if (!bytes || bytes->empty()) {
      // A shrunken file: in pieces too, for the rest may be long.
      stream.pad(out->text());
      break;
    }
    stream.feed(*bytes, out->text());
    if (out->full()) IMAP_CO_TRY(co_await out->drain());
  }
  co_return Result<void>{};
}

// Runs a header through its filter, and hands what is picked on: [offset, offset + octets) of it
// to `out` where that is given, the count in any case.
class FieldPicker {
 public:
  FieldPicker(MessageReader& reader, const FetchBody& body, mime::Range range)
      : reader_(reader), body_(body), range_(range) {}

  // First pass: counts, and keeps what is short.
  io::Task<Result<void>> count();
  uint64_t picked_octets() const { return picked_octets_; }
  bool kept() const { return picked_octets_ <= kPickedBytesMax; }
  const std::string& text() const { return text_; }
  // Second pass, for long headers: octets [from, to) of what is picked, padded to that length.
  io::Task<Result<void>> stream(Output* out, uint64_t from, uint64_t to);

 private:
  io::Task<Result<bool>> next(mime::HeaderFilter* filter, std::string* out);

  MessageReader& reader_;
  const FetchBody& body_;
  mime::Range range_;
  uint64_t at_ = 0;
  uint64_t picked_octets_ = 0;
  std::string text_;
};

// One piece of the header through the filter; false when there is no more.
io::Task<Result<bool>> FieldPicker::next(mime::HeaderFilter* filter, std::string* out) {
  auto bytes = co_await reader_.read(range_.offset + at_, range_.bytes - at_);
  if (!bytes && bytes.error().kind == ErrorKind::kCancelled) {
    co_return std::unexpected(bytes.error());
  }
  size_t before = out->size();
  bool more = bytes && !bytes->empty();
  if (more) {
    filter->feed(*bytes, *out);
    at_ += bytes->size();
  } else {
    filter->finish(*out);
  }
  std::replace(out->begin() + ptrdiff_t(before), out->end(), '\0', '\x80');
  co_return more;
}

io::Task<Result<void>> FieldPicker::count() {
  mime::HeaderFilter filter(body_.section);
  bool more = true;
  while (more) {
    size_t before = text_.size();
    auto got = co_await next(&filter, &text_);
    if (!got) co_return std::unexpected(got.error());
    more = *got;
    picked_octets_ += text_.size() - before;
    if (!kept()) text_.clear();
  }
  co_return Result<void>{};
}

io::Task<Result<void>> FieldPicker::stream(Output* out, uint64_t from, uint64_t to) {
  mime::HeaderFilter filter(body_.section);
  at_ = 0;
  uint64_t position = 0;  // of the picked octets
  bool more = true;
  while (more && position < to) {
    std::string piece;
    auto got = co_await next(&filter, &piece);
    if (!got) co_return std::unexpected(got.error());
    more = *got;
    uint64_t end = position + piece.size();
    if (end > from && position < to) {
      uint64_t first = std::max(from, position) - position;
      out->text().append(piece, first, std::min(to, end) - position - first);
    }
    position = end;
    if (out->full()) IMAP_CO_TRY(co_await out->drain());
  }
  if (position < to) out->text().append(to - std::max(position, from), ' ');
  co_return Result<void>{};
}

io::Task<Result<void>> put_fields(Output* out, MessageReader* reader, const FetchBody* body,
                                  mime::Range range) {
  FieldPicker picker(*reader, *body, range);
  IMAP_CO_TRY(co_await picker.count());
  uint64_t from =
      body->partial ? std::min<uint64_t>(body->partial->offset, picker.picked_octets()) : 0;
  uint64_t left = picker.picked_octets() - from;
  uint64_t octets = body->partial ? std::min<uint64_t>(body->partial->octets, left) : left;
  put_literal_header(out->text(), octets);
  if (picker.kept()) {
    out->text().append(picker.text(), from, octets);
    co_return Result<void>{};
  }
  co_return co_await picker.stream(out, from, from + octets);
}

}  // namespace

io::Task<Result<void>> put_body(Output& out, MessageReader& reader, const FetchBody& body,
                                mime::Range range) {
  bool fields = body.section.kind == mime::SectionKind::kHeaderFields ||
                body.section.kind == mime::SectionKind::kHeaderFieldsNot;
  if (fields) co_return co_await put_fields(&out, &reader, &body, range);
  uint64_t offset = body.partial ? body.partial->offset : 0;
  uint64_t octets = body.partial ? body.partial->octets : UINT64_MAX;
  co_return co_await put_range(&out, &reader, mime::SectionStream(range, offset, octets));
}

}  // namespace dormouse::imap
