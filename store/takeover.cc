#include "store/takeover.h"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "store/dovecot_files.h"
#include "store/files.h"
#include "store/maildir_name.h"
#include "store/sync.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

struct UsualName {
  std::string_view name;
  SpecialUse use;
};
// What mail programs call these folders (RFC 6154 leaves the names open).
constexpr UsualName kUsualNames[] = {
    {"Drafts", SpecialUse::kDrafts},
    {"Sent", SpecialUse::kSent},
    {"Sent Messages", SpecialUse::kSent},
    {"Sent Items", SpecialUse::kSent},
    {"Junk", SpecialUse::kJunk},
    {"Spam", SpecialUse::kJunk},
    {"Junk E-mail", SpecialUse::kJunk},
    {"Trash", SpecialUse::kTrash},
    {"Deleted Messages", SpecialUse::kTrash},
    {"Deleted Items", SpecialUse::kTrash},
    {"Archive", SpecialUse::kArchive},
    {"Archives", SpecialUse::kArchive},
};

// A marker is 60 bytes; a longer file is not ours.
constexpr size_t kMarkerMaxBytes = 256;

Result<SpecialUse> free_special_use(StoreState& state, std::string_view name) {
  SpecialUse use = usual_special_use(name);
  if (use == SpecialUse::kNone) return use;
  Cursor cursor = state.database.query("SELECT 1 FROM mailbox WHERE special_use = ?",
                                       static_cast<int64_t>(use));
  if (cursor.next()) use = SpecialUse::kNone;  // "Sent" has it, so "Sent Items" has not
  STORE_TRY(cursor.status());
  return use;
}

// What is known about the mailbox from outside the index.
struct Origin {
  std::optional<Marker> marker;
  std::string uidlist_text;
  std::optional<Uidlist> uidlist;
};

Result<Origin> read_origin(const std::string& directory) {
  Origin origin;
  origin.marker = read_marker(directory);
  if (origin.marker) return origin;
  for (const char* name : {"/dovecot-uidlist", "/courierimapuiddb"}) {
    auto text = read_small_file(directory + name);
    // A uidlist that cannot be read is an error, not an absence: its UIDs would be lost for good.
    if (!text) return std::unexpected<Error>(text.error());
    if (!*text) continue;
    origin.uidlist_text = std::move(**text);
    auto parsed = parse_uidlist(origin.uidlist_text);
    if (parsed) origin.uidlist = std::move(*parsed);
    return origin;
  }
  return origin;
}

// A known mailbox whose folder another program renamed to this one keeps its row.
Result<std::optional<MailboxRow>> renamed_mailbox(StoreState& state, Origin& origin,
                                                  const std::string& name) {
  if (!origin.marker) return std::optional<MailboxRow>();
  STORE_ASSIGN(auto row, find_mailbox(state, origin.marker->guid));
  if (!row) return row;
  STORE_ASSIGN(std::string folder, folder_of(row->name));
  if (is_directory(state.directory_of_folder(folder) + "/cur")) {
    origin.marker->guid = Guid::random();  // a copy of a folder is a mailbox of its own
    return std::optional<MailboxRow>();
  }
  STORE_TRY(rename_mailbox(state, row->id, name));
  row->name = name;
  return row;
}

}  // namespace

SpecialUse usual_special_use(std::string_view name) {
  for (const UsualName& usual : kUsualNames) {
    if (name.size() == usual.name.size() &&
        strncasecmp(name.data(), usual.name.data(), name.size()) == 0) {
      return usual.use;
    }
  }
  return SpecialUse::kNone;
}

std::optional<Marker> read_marker(const std::string& directory) {
  auto text = read_small_file(directory + "/" + kMarkerName, kMarkerMaxBytes);
  if (!text || !*text) return std::nullopt;
  return parse_marker(**text);
}

void write_marker(const std::string& directory, const MailboxRow& row) {
  (void)replace_file(directory + "/" + kMarkerName, format_marker({row.guid, row.uid_validity}));
}

Result<MailboxRow> take_over(StoreState& state, const std::string& name) {
  STORE_ASSIGN(std::string folder, folder_of(name));
  std::string directory = state.directory_of_folder(folder);
  STORE_ASSIGN(Origin origin, read_origin(directory));
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  STORE_ASSIGN(auto known, find_mailbox(state, name));
  if (known) return std::move(*known);  // another process was faster
  STORE_ASSIGN(auto renamed, renamed_mailbox(state, origin, name));
  if (renamed) {
    STORE_TRY(transaction.commit());
    return std::move(*renamed);
  }

  MailboxRow row;
  row.name = name;
  row.guid = Guid::random();
  STORE_ASSIGN(row.special_use, free_special_use(state, name));
  ImportMap import;
  if (origin.marker) {
    row.guid = origin.marker->guid;
    row.uid_validity =
        std::max(origin.marker->uid_validity + 1, static_cast<uint32_t>(time(nullptr)));
  } else if (origin.uidlist) {
    row.uid_validity = origin.uidlist->uid_validity;
    row.uid_next = origin.uidlist->uid_next;
    if (origin.uidlist->guid) {
      STORE_ASSIGN(auto other, find_mailbox(state, *origin.uidlist->guid));
      if (!other) row.guid = *origin.uidlist->guid;
    }
    for (const UidlistRecord& record : origin.uidlist->records)
      import.emplace(record.base, &record);
  }
  STORE_TRY(insert_mailbox(state, row));
  STORE_TRY(refresh_keywords(state, row, directory));
  uint32_t in_new = 0;
  STORE_TRY(list_files(directory + "/new", [&](std::string_view) {
    ++in_new;
    return true;
  }));
  Batch batch(state, row);
  STORE_TRY(sync_inside(state, row, batch, &import));
  row.first_recent_uid = row.uid_next - std::min(in_new, row.uid_next - 1);
  STORE_TRY(batch.finish());
  STORE_TRY(transaction.commit());
  write_marker(directory, row);
  return row;
}

}  // namespace dormouse::store
