// CREATE, DELETE and RENAME. The folder on disk decides; its row follows in the same call, and a
// crash in between leaves a folder without row (taken over when opened) or a row without folder
// (dropped).

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "store/files.h"
#include "store/index.h"
#include "store/maildir_name.h"
#include "store/store.h"
#include "store/takeover.h"
#include "store/try.h"
#include "store/undo.h"

namespace dormouse::store {
namespace {

// The opposite of make_maildir, for one that nobody has put anything into: rmdir refuses otherwise.
void unmake_maildir(const std::string& directory) {
  for (const char* part : {"/cur", "/new", "/tmp"}) {
    if (rmdir((directory + part).c_str()) != 0) return;
  }
  (void)remove_file(directory + "/maildirfolder");
  (void)rmdir(directory.c_str());
}

Result<> insert_row(StoreState& state, const std::string& name, SpecialUse use, MailboxRow& row) {
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  // Of a folder that another program removed: the new mailbox is not that one.
  STORE_ASSIGN(auto orphan, find_mailbox(state, name));
  if (orphan) STORE_TRY(delete_mailbox(state, orphan->id));
  row.name = name;
  row.guid = Guid::random();
  row.special_use = use != SpecialUse::kNone ? use : usual_special_use(name);
  STORE_TRY(insert_mailbox(state, row));
  return transaction.commit();
}

// Folders that go along when `folder` is renamed: itself and everything below it.
Result<std::vector<std::string>> family_of(StoreState& state, const std::string& folder) {
  STORE_ASSIGN(std::vector<std::string> all, list_folders(state.root));
  std::erase_if(all, [&](const std::string& other) {
    return other != folder && !other.starts_with(folder + ".");
  });
  std::ranges::sort(all);
  return all;
}

Result<> rename_rows(StoreState& state,
                     const std::vector<std::pair<std::string, std::string>>& names) {
  for (const auto& [from, to] : names) {
    STORE_ASSIGN(auto orphan, find_mailbox(state, to));
    if (orphan) STORE_TRY(delete_mailbox(state, orphan->id));
    STORE_ASSIGN(auto row, find_mailbox(state, from));
    if (row) STORE_TRY(rename_mailbox(state, row->id, to));
  }
  return {};
}

// Also what a crash in remove() left behind. Whatever stays is swept the next time.
void sweep_trash(const std::string& root) {
  auto trash = list_directories(root, kTrashPrefix);
  if (!trash) return;
  for (const std::string& name : *trash) (void)remove_tree(root + "/" + name);
}

Result<> rename_inbox(UserStore& store, std::string_view to) {
  STORE_ASSIGN(Mailbox inbox, store.open_mailbox("INBOX"));
  STORE_TRY(inbox.sync());
  STORE_ASSIGN(Mailbox target, store.create(to));
  STORE_ASSIGN(auto uids, inbox.uids());
  STORE_TRY(inbox.move(uids, target));
  return {};
}

}  // namespace

Result<Mailbox> UserStore::create(std::string_view name, SpecialUse special_use) {
  STORE_TRY(state_->check_file());
  STORE_ASSIGN(std::string canonical, canonical_mailbox_name(name));
  STORE_ASSIGN(std::string folder, folder_of(canonical));
  std::string directory = state_->directory_of_folder(folder);
  if (is_directory(directory + "/cur")) return fail(ErrorKind::kExists, "the mailbox exists");
  STORE_ASSIGN(auto folders, list_folders(state_->root));
  if (folders.size() >= kMailboxesMax) return fail(ErrorKind::kLimit, "too many mailboxes");

  Result<> made = make_maildir(directory, true);
  MailboxRow row;
  if (made) made = insert_row(*state_, canonical, special_use, row);
  if (!made) {
    unmake_maildir(directory);
    return std::unexpected<Error>(made.error());
  }
  write_marker(directory, row);
  return StoreState::mailbox(*state_, row.id);
}

Result<> UserStore::remove(std::string_view name) {
  STORE_TRY(state_->check_file());
  STORE_ASSIGN(std::string canonical, canonical_mailbox_name(name));
  if (canonical == "INBOX") return fail(ErrorKind::kDenied, "INBOX cannot be deleted");
  STORE_ASSIGN(std::string folder, folder_of(canonical));
  std::string directory = state_->directory_of_folder(folder);
  if (!is_directory(directory + "/cur")) {
    STORE_ASSIGN(auto family, family_of(*state_, folder));
    if (family.empty()) return fail(ErrorKind::kNotFound, "no such mailbox");
    return fail(ErrorKind::kExists, "the name only holds mailboxes below it");
  }
  std::string trash = state_->root + "/" + kTrashPrefix + Guid::random().hex();
  {
    STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
    STORE_ASSIGN(auto row, find_mailbox(*state_, canonical));
    Undo undo;
    STORE_TRY(undo.rename(directory, trash));
    if (row) STORE_TRY(delete_mailbox(*state_, row->id));
    STORE_TRY(transaction.commit());
    undo.keep();
  }
  sweep_trash(state_->root);
  return {};
}

Result<> UserStore::rename(std::string_view from, std::string_view to) {
  STORE_TRY(state_->check_file());
  STORE_ASSIGN(std::string old_name, canonical_mailbox_name(from));
  STORE_ASSIGN(std::string new_name, canonical_mailbox_name(to));
  if (old_name == "INBOX") return rename_inbox(*this, new_name);
  STORE_ASSIGN(std::string old_folder, folder_of(old_name));
  STORE_ASSIGN(std::string new_folder, folder_of(new_name));
  if (new_name == "INBOX" || is_directory(state_->directory_of_folder(new_folder) + "/cur")) {
    return fail(ErrorKind::kExists, "the mailbox exists");
  }
  STORE_ASSIGN(std::vector<std::string> family, family_of(*state_, old_folder));
  if (family.empty()) return fail(ErrorKind::kNotFound, "no such mailbox");

  std::vector<std::pair<std::string, std::string>> folders;
  std::vector<std::pair<std::string, std::string>> names;
  for (const std::string& folder : family) {
    std::string target = new_folder + folder.substr(old_folder.size());
    auto old_mailbox = mailbox_of(folder);
    if (old_mailbox) {
      auto new_mailbox = mailbox_of(target);
      if (!new_mailbox) return fail(ErrorKind::kInvalid, "a mailbox below gets too long a name");
      names.emplace_back(*old_mailbox, *new_mailbox);
    }
    folders.emplace_back(folder, target);
  }
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  Undo undo;
  for (const auto& [source, target] : folders) {
    STORE_TRY(undo.rename(state_->root + "/" + source, state_->root + "/" + target));
  }
  STORE_TRY(rename_rows(*state_, names));
  STORE_TRY(transaction.commit());
  undo.keep();
  return {};
}

}  // namespace dormouse::store
