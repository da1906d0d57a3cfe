#include "imap/selected.h"

#include <algorithm>

#include "imap/syntax/writer.h"

namespace dormouse::imap {
namespace {

struct FlagPair {
  uint8_t stored;
  SystemFlags shown;
};
constexpr FlagPair kFlagPairs[] = {
    {store::Flags::kSeen, kSeen},       {store::Flags::kAnswered, kAnswered},
    {store::Flags::kFlagged, kFlagged}, {store::Flags::kDeleted, kDeleted},
    {store::Flags::kDraft, kDraft},
};

}  // namespace

SystemFlags to_system_flags(store::Flags flags) {
  SystemFlags shown = 0;
  for (const FlagPair& pair : kFlagPairs) {
    if (flags.has(pair.stored)) shown |= pair.shown;
  }
  return shown;
}

store::Flags to_store_flags(SystemFlags flags) {
  store::Flags stored;
  for (const FlagPair& pair : kFlagPairs) {
    if ((flags & pair.shown) != 0) stored.bits |= pair.stored;
  }
  return stored;
}

FlagList to_flag_list(const store::Message& message, std::span<const std::string> names,
                      bool recent) {
  FlagList list;
  list.system = to_system_flags(message.flags);
  if (recent) list.system |= kRecent;
  if (message.keywords.none()) return list;
  for (size_t i = 0; i < names.size() && i < store::kKeywordsMax; ++i) {
    if (message.keywords.test(i)) list.keywords.push_back(names[i]);
  }
  return list;
}

bool has_unknown_keyword(const store::Keywords& keywords, size_t known) {
  return known < store::kKeywordsMax && (keywords >> known).any();
}

void put_flags_responses(std::string& out, std::span<const std::string> names, bool read_only,
                         bool can_add) {
  FlagList all;
  all.system = kSettableFlags;
  all.keywords.assign(names.begin(), names.end());
  out += "* FLAGS ";
  put_flags(out, all);
  out += "\r\n* OK [PERMANENTFLAGS ";
  if (read_only) {
    out += "()] Read-only mailbox.\r\n";
    return;
  }
  size_t at = out.size();
  put_flags(out, all);
  if (can_add) {
    // "\*" is no flag, so put_flags() does not know it.
    DORMOUSE_CHECK(out.size() > at && out.back() == ')', "flags are in parentheses");
    out.insert(out.size() - 1, " \\*");
  }
  out += "] Flags permitted.\r\n";
}

void put_flags_update(std::string& out, uint32_t sequence_number, const store::Message& message,
                      std::span<const std::string> names, bool recent, bool condstore) {
  FetchLine line(out, sequence_number);
  put_fetch_uid(line.item(), message.uid);
  put_fetch_flags(line.item(), to_flag_list(message, names, recent));
  if (condstore) put_fetch_mod_seq(line.item(), message.mod_seq);
  line.end();
}

}  // namespace dormouse::imap
