#include "imap/message_reader.h"

#include <fcntl.h>

#include <algorithm>

#include "imap/try.h"
#include "mime/parser.h"

namespace dormouse::imap {
namespace {

// Another program would have to rename the file between relocate() and open each time.
constexpr int kOpenAttemptsMax = 5;

}  // namespace

io::Task<Result<void>> MessageReader::open() {
  if (file_) co_return Result<void>{};
  auto path = mailbox_.path(uid_);
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    if (!path) co_return std::unexpected(path.error());
    auto file = co_await loop_.open(path->c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file) {
      file_ = std::move(*file);
      co_return Result<void>{};
    }
    if (file.error().kind != ErrorKind::kNotFound) co_return std::unexpected(file.error());
    path = mailbox_.relocate(uid_);
  }
  co_return fail(ErrorKind::kUnavailable, "the message's file moves too often");
}

io::Task<Result<std::string_view>> MessageReader::read(uint64_t offset, uint64_t bytes_max) {
  buffer_.resize(size_t(std::min<uint64_t>(bytes_max, kReadPieceBytes)));
  if (buffer_.empty()) co_return std::string_view();
  auto got = co_await loop_.read(file_.get(), std::as_writable_bytes(std::span(buffer_)), offset);
  if (!got) co_return std::unexpected(got.error());
  co_return std::string_view(buffer_).substr(0, *got);
}

io::Task<Result<MessageReader::Parsed>> MessageReader::parse() {
  IMAP_CO_TRY(co_await open());
  mime::MessageParser parser;
  uint64_t offset = 0;
  while (true) {
    auto bytes = co_await read(offset, kReadPieceBytes);
    if (!bytes) co_return std::unexpected(bytes.error());
    if (bytes->empty()) break;
    parser.feed(*bytes);
    offset += bytes->size();
  }
  Parsed parsed;
  parsed.structure = parser.finish();
  parsed.octets = parsed.structure.whole().octets();
  co_return parsed;
}

}  // namespace dormouse::imap
