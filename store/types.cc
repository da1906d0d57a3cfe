#include "store/types.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "io/result.h"

namespace dormouse::store {
namespace {

struct UseName {
  SpecialUse use;
  std::string_view attribute;
};
constexpr UseName kUseNames[] = {
    {SpecialUse::kAll, "\\All"},       {SpecialUse::kArchive, "\\Archive"},
    {SpecialUse::kDrafts, "\\Drafts"}, {SpecialUse::kFlagged, "\\Flagged"},
    {SpecialUse::kJunk, "\\Junk"},     {SpecialUse::kSent, "\\Sent"},
    {SpecialUse::kTrash, "\\Trash"},
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string Guid::hex() const {
  std::string text;
  for (uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::optional<Guid> Guid::from_hex(std::string_view hex) {
  Guid guid;
  if (hex.size() != 2 * guid.bytes.size()) return std::nullopt;
  for (size_t i = 0; i < guid.bytes.size(); ++i) {
    int high = hex_digit(hex[2 * i]);
    int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    guid.bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return guid;
}

Guid Guid::random() {
  Guid guid;
  // Up to 256 bytes getrandom() answers whole once the pool is initialised (getrandom(2)).
  ssize_t got = getrandom(guid.bytes.data(), guid.bytes.size(), 0);
  DORMOUSE_CHECK(got == static_cast<ssize_t>(guid.bytes.size()), "getrandom fills 16 bytes");
  return guid;
}

std::string_view special_use_attribute(SpecialUse use) {
  for (const UseName& entry : kUseNames) {
    if (entry.use == use) return entry.attribute;
  }
  return "";
}

std::optional<SpecialUse> special_use_from_attribute(std::string_view attribute) {
  for (const UseName& entry : kUseNames) {
    if (std::ranges::equal(entry.attribute, attribute, {}, lower, lower)) return entry.use;
  }
  return std::nullopt;
}

void LineCounter::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  while (at < end) {
    const void* found = std::memchr(at, '\n', static_cast<size_t>(end - at));
    if (found == nullptr) break;
    const char* lf = static_cast<const char*>(found);
    bool cr_before = lf == bytes.data() ? after_cr_ : lf[-1] == '\r';
    if (!cr_before) ++bare_lf_;
    at = lf + 1;
  }
  if (!bytes.empty()) after_cr_ = bytes.back() == '\r';
}

}  // namespace dormouse::store
