// Datagrams from anybody. Input: one byte of how they come, then the datagram. What is refused says
// why; what is taken survives a round through our own encoder, and is taken once.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hibernate/watch/notice.h"
#include "hibernate/watch/notice_guard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dormouse::hibernate;
  if (size < 1) return 0;
  constexpr std::string_view kKey = "0123456789abcdef";
  std::string datagram(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string_view said = datagram;
  if ((data[0] & 1) != 0) {
    // As it is, which nobody guesses, or sealed, as somebody with the key could send it.
    if ((data[0] & 2) != 0) seal_notice(datagram, kKey);
    auto opened = open_notice(datagram, kKey);
    DORMOUSE_CHECK(opened || !opened.error().message.empty(), "a refusal says why");
    if (!opened) return 0;
    said = *opened;
  }
  auto notice = decode_notice(said);
  DORMOUSE_CHECK(notice || !notice.error().message.empty(), "a refusal says why");
  if (!notice) return 0;
  auto again = encode_notice(*notice);
  DORMOUSE_CHECK(again && *again == said, "a notice has one form");
  NoticeGuard guard(30'000, 1);
  uint64_t now_ms = notice->time_ms;
  DORMOUSE_CHECK(guard.judge(*notice, now_ms) == NoticeGuard::Verdict::kFresh, "the first is new");
  DORMOUSE_CHECK(guard.judge(*notice, now_ms) != NoticeGuard::Verdict::kFresh, "the second is not");
  return 0;
}
