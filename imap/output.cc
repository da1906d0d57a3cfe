#include "imap/output.h"

#include <algorithm>

#include "imap/try.h"

namespace dormouse::imap {

io::Task<Result<void>> Output::send_down_to(size_t keep_below) {
  size_t at = 0;
  while (text_.size() - at >= keep_below) {
    size_t piece = std::min(text_.size() - at, wire::kMaxRelayDataBytes);
    std::string bytes = text_.substr(at, piece);
    IMAP_CO_TRY(co_await relay_.send_data(std::move(bytes)));
    at += piece;
    sent_bytes_ += piece;
  }
  text_.erase(0, at);
  co_return Result<void>{};
}

io::Task<Result<void>> Output::drain() {
  co_return co_await send_down_to(wire::kMaxRelayDataBytes);
}

io::Task<Result<void>> Output::flush() {
  IMAP_CO_TRY(co_await send_down_to(1));
  text_ = std::string();  // a waiting session holds no buffer
  co_return Result<void>{};
}

}  // namespace dormouse::imap
