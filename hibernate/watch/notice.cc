#include "hibernate/watch/notice.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "wire/validate.h"

namespace dormouse::hibernate {
namespace {

constexpr std::string_view kMagic = "DMN1";
constexpr uint8_t kFlagLocal = 1;

template <class T>
void put(std::string& out, T value) {
  for (size_t i = sizeof(T); i-- > 0;) out += char(uint8_t(uint64_t(value) >> (8 * i)));
}

// Takes a number off the front; the caller has seen that it is there.
template <class T>
T take(std::string_view& in) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | uint8_t(in[i]);
  in.remove_prefix(sizeof(T));
  return T(value);
}

std::array<unsigned char, EVP_MAX_MD_SIZE> mac_of(std::string_view bytes, std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned length = 0;
  const unsigned char* made =
      HMAC(EVP_sha256(), key.data(), int(key.size()),
           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), mac.data(), &length);
  DORMOUSE_CHECK(made != nullptr && length >= kNoticeMacBytes, "HMAC-SHA256 never fails");
  return mac;
}

bool fits(std::string_view user, std::string_view mailbox) {
  return wire::is_name(user, wire::kMaxUserBytes) &&
         (mailbox.empty() || wire::is_name(mailbox, kNoticeMailboxBytesMax));
}

}  // namespace

Result<std::string> encode_notice(const Notice& notice) {
  if (!fits(notice.user, notice.mailbox)) {
    return fail(ErrorKind::kInvalid,
                "a notice's user has 1 to 320 bytes and its mailbox at most 1,000, none of them "
                "control characters");
  }
  std::string out(kMagic);
  put(out, uint8_t(notice.kind));
  put(out, uint8_t(notice.local ? kFlagLocal : 0));
  put(out, uint16_t(notice.user.size()));
  put(out, uint16_t(notice.mailbox.size()));
  put(out, notice.time_ms);
  put(out, notice.sender);
  put(out, notice.number);
  return out + notice.user + notice.mailbox;
}

Result<Notice> decode_notice(std::string_view in) {
  auto bad = [](const char* what) { return fail(ErrorKind::kInvalid, what); };
  if (in.size() < kNoticeHeadBytes || !in.starts_with(kMagic)) return bad("no notice");
  in.remove_prefix(kMagic.size());
  Notice notice;
  auto kind = take<uint8_t>(in);
  auto flags = take<uint8_t>(in);
  auto user_bytes = take<uint16_t>(in);
  auto mailbox_bytes = take<uint16_t>(in);
  notice.time_ms = take<uint64_t>(in);
  notice.sender = take<uint64_t>(in);
  notice.number = take<uint64_t>(in);
  if (kind != uint8_t(Notice::Kind::kArrival) && kind != uint8_t(Notice::Kind::kChange)) {
    return bad("a notice of unknown kind");
  }
  if ((flags & ~kFlagLocal) != 0) return bad("a notice with unknown flags");
  if (in.size() != size_t(user_bytes) + mailbox_bytes) return bad("a notice of another length");
  notice.kind = Notice::Kind(kind);
  notice.local = (flags & kFlagLocal) != 0;
  notice.user = in.substr(0, user_bytes);
  notice.mailbox = in.substr(user_bytes);
  if (!fits(notice.user, notice.mailbox)) return bad("a notice whose names cannot be");
  return notice;
}

void seal_notice(std::string& datagram, std::string_view key) {
  auto mac = mac_of(datagram, key);
  datagram.append(reinterpret_cast<const char*>(mac.data()), kNoticeMacBytes);
}

Result<std::string_view> open_notice(std::string_view datagram, std::string_view key) {
  auto denied = [] { return fail(ErrorKind::kDenied, "a notice under another key"); };
  if (datagram.size() < kNoticeMacBytes || datagram.size() > kNoticeBytesMax) return denied();
  std::string_view said = datagram.substr(0, datagram.size() - kNoticeMacBytes);
  auto mac = mac_of(said, key);
  if (CRYPTO_memcmp(mac.data(), datagram.data() + said.size(), kNoticeMacBytes) != 0) {
    return denied();
  }
  return said;
}

}  // namespace dormouse::hibernate
