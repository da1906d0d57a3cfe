#include "imap/commands/message_source.h"

#include "imap/try.h"
#include "mime/structure_codec.h"

namespace dormouse::imap {

void Findings::add(uint32_t uid, uint64_t octets, std::string blob) {
  items_.push_back(Item{uid, octets, std::move(blob)});
}

void Findings::keep() {
  if (items_.empty()) return;
  std::vector<store::Remembered> rows;
  rows.reserve(items_.size());
  for (const Item& item : items_) rows.push_back({item.uid, item.octets, item.blob});
  [[maybe_unused]] auto kept = mailbox_.remember(rows);
  items_.clear();
}

MessageSource::MessageSource(io::Loop& loop, store::Mailbox mailbox, const store::Message& row,
                             std::optional<std::string> blob, Findings& findings)
    : row_(row), blob_(std::move(blob)), reader_(loop, mailbox, row.uid), findings_(findings) {}

io::Task<Result<void>> MessageSource::need_structure() {
  if (structure_) co_return Result<void>{};
  if (blob_) {
    auto decoded = mime::decode_structure(*blob_);
    blob_.reset();
    if (decoded) {
      structure_ = std::move(*decoded);
      row_.rfc822_size_bytes = structure_->whole().octets();
      co_return Result<void>{};
    }
  }
  auto parsed = co_await reader_.parse();
  if (!parsed) co_return std::unexpected(parsed.error());
  structure_ = std::move(parsed->structure);
  row_.rfc822_size_bytes = parsed->octets;
  findings_.add(row_.uid, parsed->octets, mime::encode_structure(*structure_));
  co_return Result<void>{};
}

io::Task<Result<void>> MessageSource::need_size() {
  if (row_.rfc822_size_bytes != store::kSizeUnknown) co_return Result<void>{};
  co_return co_await need_structure();
}

mime::Range MessageSource::whole() const {
  if (structure_) return structure_->whole();
  mime::Range range;
  range.bytes = row_.file_size_bytes;
  range.bare_lfs = row_.rfc822_size_bytes - row_.file_size_bytes;
  return range;
}

}  // namespace dormouse::imap
