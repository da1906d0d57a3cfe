#pragma once
// Message flags: the system flags as bits, keywords by name (RFC 3501 2.3.2).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::imap {

using SystemFlags = std::uint8_t;
inline constexpr SystemFlags kAnswered = 1 << 0;
inline constexpr SystemFlags kFlagged = 1 << 1;
inline constexpr SystemFlags kDeleted = 1 << 2;
inline constexpr SystemFlags kSeen = 1 << 3;
inline constexpr SystemFlags kDraft = 1 << 4;
inline constexpr SystemFlags kRecent = 1 << 5;  // only shown; no client can set it
inline constexpr SystemFlags kSettableFlags = kAnswered | kFlagged | kDeleted | kSeen | kDraft;

struct FlagList {
  SystemFlags system = 0;
  std::vector<std::string> keywords;  // as written, each once without regard to case

  bool operator==(const FlagList&) const = default;
};

// "\Seen" -> kSeen, without regard to case; 0 for anything else.
SystemFlags system_flag(std::string_view name);

// ASCII only, as IMAP's keywords, commands and INBOX are compared.
bool equals_nocase(std::string_view a, std::string_view b);

}  // namespace dormouse::imap
