#include "store/maildir_name.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstring>
#include <ctime>

#include "store/try.h"

namespace dormouse::store {
namespace {

struct FlagLetter {
  char letter;
  uint8_t flag;
};
constexpr FlagLetter kFlagLetters[] = {{'D', Flags::kDraft},
                                       {'F', Flags::kFlagged},
                                       {'R', Flags::kAnswered},
                                       {'S', Flags::kSeen},
                                       {'T', Flags::kDeleted}};

uint8_t flag_of(char letter) {
  for (const FlagLetter& entry : kFlagLetters) {
    if (entry.letter == letter) return entry.flag;
  }
  return 0;
}

bool is_keyword_letter(char c) { return c >= 'a' && c <= 'z'; }

// The host part of a unique name; '/' and ':' would break the grammar, ',' would look like a hint.
std::string host_part() {
  char host[HOST_NAME_MAX + 1] = {};
  if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') return "localhost";
  std::string name(host);
  for (char& c : name) {
    bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 c == '.' || c == '-';
    if (!plain) c = '_';
  }
  // Leaves room in NAME_MAX for the rest of the name and for the suffix.
  constexpr size_t kHostMaxBytes = 64;
  return name.substr(0, kHostMaxBytes);
}

}  // namespace

FileName split_file_name(std::string_view name) {
  size_t colon = name.find(':');
  if (colon == std::string_view::npos) return {name, {}};
  return {name.substr(0, colon), name.substr(colon)};
}

FileFlags parse_suffix(std::string_view suffix) {
  FileFlags result;
  if (!suffix.starts_with(":2,")) return result;
  std::string_view letters = suffix.substr(3);
  size_t comma = letters.find(',');
  if (comma != std::string_view::npos) {
    result.rest = letters.substr(comma);
    letters = letters.substr(0, comma);
  }
  for (char c : letters) {
    if (uint8_t flag = flag_of(c)) {
      result.flags.bits |= flag;
    } else if (is_keyword_letter(c)) {
      result.letters |= 1u << (c - 'a');
    }
  }
  result.others = letters;
  return result;
}

std::string make_suffix(Flags flags, uint32_t letters, std::string_view old_suffix) {
  FileFlags old = parse_suffix(old_suffix);
  std::string text;
  for (char c : old.others) {
    if (flag_of(c) == 0 && !is_keyword_letter(c)) text += c;
  }
  for (const FlagLetter& entry : kFlagLetters) {
    if (flags.has(entry.flag)) text += entry.letter;
  }
  for (size_t i = 0; i < kLetterKeywords; ++i) {
    if ((letters >> i & 1) != 0) text += static_cast<char>('a' + i);
  }
  std::ranges::sort(text);
  auto repeated = std::ranges::unique(text);
  text.erase(repeated.begin(), repeated.end());
  return ":2," + text + std::string(old.rest);
}

std::optional<uint64_t> size_hint(std::string_view base, char key) {
  const char pattern[] = {',', key, '=', '\0'};
  size_t at = base.find(pattern);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view digits = base.substr(at + 3);
  uint64_t value = 0;
  auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  bool ends = end == digits.data() + digits.size() || *end == ',' || *end == ':';
  if (code != std::errc() || end == digits.data() || !ends) return std::nullopt;
  return value;
}

std::string unique_base() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  Guid random = Guid::random();
  return fmt::format("{}.M{}R{}.{}", now.tv_sec, now.tv_nsec / 1000, random.hex().substr(0, 16),
                     host_part());
}

std::string with_sizes(std::string base, uint64_t file_size_bytes, uint64_t rfc822_size_bytes) {
  base += fmt::format(",S={}", file_size_bytes);
  if (rfc822_size_bytes != kSizeUnknown) base += fmt::format(",W={}", rfc822_size_bytes);
  return base;
}

uint64_t name_hash(std::string_view name) {
  // FNV-1a over the bytes, then a multiply-xorshift finish, since the top bits choose a bucket.
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3u;
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53u;
  hash ^= hash >> 33;
  return hash;
}

Result<std::string> canonical_mailbox_name(std::string_view name) {
  if (name.ends_with(kSeparator)) name.remove_suffix(1);
  if (name.empty()) return fail(ErrorKind::kInvalid, "mailbox name is empty");
  std::string result;
  size_t at = 0;
  while (at <= name.size()) {
    size_t end = std::min(name.find(kSeparator, at), name.size());
    std::string_view level = name.substr(at, end - at);
    if (level.empty()) return fail(ErrorKind::kInvalid, "mailbox name has an empty level");
    if (at > 0) result += kSeparator;
    bool inbox = level.size() == 5 && strncasecmp(level.data(), "INBOX", 5) == 0;
    result += at == 0 && inbox ? "INBOX" : level;
    at = end + 1;
  }
  for (char c : result) {
    auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return fail(ErrorKind::kInvalid, "mailbox name has a control character");
    }
    if (c == '.') {
      return fail(ErrorKind::kInvalid, "mailbox name has a '.', which separates levels on disk");
    }
  }
  STORE_TRY(folder_of(result));
  return result;
}

Result<std::string> folder_of(std::string_view name) {
  if (name == "INBOX") return std::string();
  std::string folder;
  size_t at = 0;
  while (at <= name.size()) {
    size_t end = std::min(name.find(kSeparator, at), name.size());
    auto level = to_modified_utf7(name.substr(at, end - at));
    if (!level) return fail(ErrorKind::kInvalid, "mailbox name is not UTF-8");
    folder += '.';
    folder += *level;
    at = end + 1;
  }
  if (folder.size() > kFileNameMaxBytes) {
    return fail(ErrorKind::kInvalid,
                fmt::format("mailbox name is longer than {} bytes on disk", kFileNameMaxBytes));
  }
  return folder;
}

std::optional<std::string> mailbox_of(std::string_view folder) {
  if (folder.empty()) return "INBOX";
  if (folder.size() < 2 || folder[0] != '.') return std::nullopt;
  std::string name;
  size_t at = 1;
  while (at <= folder.size()) {
    size_t end = std::min(folder.find('.', at), folder.size());
    auto level = from_modified_utf7(folder.substr(at, end - at));
    if (!level || level->empty()) return std::nullopt;
    if (!name.empty()) name += kSeparator;
    name += *level;
    at = end + 1;
  }
  // Only folders that their own name leads back to can be opened.
  auto canonical = canonical_mailbox_name(name);
  if (!canonical || *canonical != name) return std::nullopt;
  auto back = folder_of(name);
  if (!back || *back != folder) return std::nullopt;
  return name;
}

}  // namespace dormouse::store
