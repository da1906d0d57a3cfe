// Opening a user's mail, and the list of mailboxes.

#include <algorithm>
#include <set>

#include "store/dovecot_files.h"
#include "store/files.h"
#include "store/index.h"
#include "store/maildir_name.h"
#include "store/open.h"
#include "store/store.h"
#include "store/takeover.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

// An open store without pages and statements: the connection with its parsed schema (26 KiB), and
// the mapped index of its WAL.
constexpr uint64_t kRestingBytes = 60u << 10;
// What a new user finds; the mail programs of the day look for these.
constexpr std::string_view kFirstMailboxes[] = {"Drafts", "INBOX", "Junk", "Sent", "Trash"};

// Nobody has used this mail yet: no index, no folder, no trace of another server. A delivery may
// have made INBOX already.
Result<bool> is_new_user(const std::string& root) {
  for (const char* name : {kIndexName, "subscriptions", "dovecot-uidlist", "courierimapuiddb"}) {
    if (exists(root + "/" + name)) return false;
  }
  STORE_ASSIGN(std::vector<std::string> folders, list_folders(root));
  return folders.empty();
}

bool is_whole_maildir(const std::string& root) {
  return is_directory(root + "/cur") && is_directory(root + "/new") && is_directory(root + "/tmp");
}

Result<> make_first_mailboxes(UserStore& store) {
  std::vector<std::string> names;
  for (std::string_view name : kFirstMailboxes) {
    names.emplace_back(name);
    if (name == "INBOX") continue;
    auto made = store.create(name);
    if (!made && made.error().kind != ErrorKind::kExists) {
      return std::unexpected<Error>(made.error());
    }
  }
  return replace_file(store.mail_path() + "/subscriptions", format_subscriptions(names));
}

// Rows whose folder is gone: renamed by another program if an unknown folder carries the marker
// (then the row follows), removed otherwise.
Result<> reconcile(StoreState& state, std::vector<MailboxRow>& rows,
                   const std::set<std::string>& on_disk) {
  std::vector<MailboxRow*> orphans;
  std::set<std::string_view> known;
  for (MailboxRow& row : rows) {
    known.insert(row.name);
    if (!on_disk.contains(row.name)) orphans.push_back(&row);
  }
  if (orphans.empty()) return {};
  for (const std::string& name : on_disk) {
    if (known.contains(name)) continue;
    STORE_ASSIGN(std::string folder, folder_of(name));
    auto marker = read_marker(state.directory_of_folder(folder));
    if (marker &&
        std::ranges::any_of(orphans, [&](MailboxRow* row) { return row->guid == marker->guid; })) {
      STORE_TRY(take_over(state, name));
    }
  }
  for (MailboxRow* orphan : orphans) {
    STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
    // Looked at again under the lock: a rename by another process may be under way.
    STORE_ASSIGN(auto row, find_mailbox(state, orphan->guid));
    if (!row || row->name != orphan->name) continue;
    STORE_ASSIGN(std::string folder, folder_of(row->name));
    if (is_directory(state.directory_of_folder(folder) + "/cur")) continue;
    STORE_TRY(delete_mailbox(state, row->id));
    STORE_TRY(transaction.commit());
  }
  STORE_ASSIGN(rows, all_mailboxes(state));
  return {};
}

}  // namespace

UserStore::UserStore(std::unique_ptr<StoreState> state) : state_(std::move(state)) {}

UserStore::~UserStore() {
  // Damage met by the last call must not wait for the next process to trip over it.
  (void)state_->check();
  // A failure leaves the WAL to the next opener.
  (void)write_wal_back(*state_);
}

Result<std::unique_ptr<UserStore>> UserStore::open(std::string mail_path, OpenOptions options) {
  if (!mail_path.starts_with('/')) {
    return fail(ErrorKind::kInvalid, "mail path is not absolute: " + mail_path);
  }
  while (mail_path.size() > 1 && mail_path.ends_with('/')) mail_path.pop_back();
  bool known = exists(mail_path + "/" + kIndexName);
  bool is_new = false;
  // Somebody may have removed a folder since, and it is to be there again.
  if (!known || !is_whole_maildir(mail_path)) {
    if (!options.create && !is_directory(mail_path + "/cur")) {
      return fail(ErrorKind::kNotFound, "no Maildir at " + mail_path);
    }
    STORE_TRY(make_maildir(mail_path, false));
    STORE_ASSIGN(is_new, is_new_user(mail_path));
  }

  auto state = std::make_unique<StoreState>();
  state->root = std::move(mail_path);
  STORE_TRY(open_index(*state, options.clean_boots));
  std::unique_ptr<UserStore> store(new UserStore(std::move(state)));
  if (is_new && options.create) STORE_TRY(make_first_mailboxes(*store));
  return store;
}

const std::string& UserStore::mail_path() const { return state_->root; }

bool UserStore::broken() const { return !state_->check_file(); }

void UserStore::shrink() { state_->database.shrink(); }

uint64_t UserStore::memory_bytes() const { return kRestingBytes + state_->database.memory_bytes(); }

bool UserStore::write_back() {
  auto written = write_wal_back(*state_);
  return written && *written;
}

Result<Mailbox> UserStore::open_mailbox(std::string_view name) {
  STORE_TRY(state_->check_file());
  STORE_ASSIGN(std::string canonical, canonical_mailbox_name(name));
  STORE_ASSIGN(std::string folder, folder_of(canonical));
  if (!is_directory(state_->directory_of_folder(folder) + "/cur")) {
    return fail(ErrorKind::kNotFound, "no such mailbox");
  }
  STORE_ASSIGN(auto row, find_mailbox(*state_, canonical));
  if (!row) {
    STORE_ASSIGN(row, take_over(*state_, canonical));
  }
  return StoreState::mailbox(*state_, row->id);
}

Result<Mailbox> UserStore::open_mailbox(const Guid& guid) {
  STORE_TRY(state_->check_file());
  STORE_ASSIGN(auto row, find_mailbox(*state_, guid));
  if (!row) return fail(ErrorKind::kNotFound, "the mailbox is gone");
  STORE_ASSIGN(std::string folder, folder_of(row->name));
  if (!is_directory(state_->directory_of_folder(folder) + "/cur")) {
    return fail(ErrorKind::kNotFound, "the mailbox is gone");
  }
  return StoreState::mailbox(*state_, row->id);
}

Result<std::vector<MailboxInfo>> UserStore::mailboxes() {
  STORE_TRY(state_->check_file());
  STORE_ASSIGN(std::vector<std::string> folders, list_folders(state_->root));
  std::set<std::string> on_disk{"INBOX"};
  for (const std::string& folder : folders) {
    if (auto name = mailbox_of(folder)) on_disk.insert(std::move(*name));
  }
  STORE_ASSIGN(std::vector<MailboxRow> rows, all_mailboxes(*state_));
  STORE_TRY(reconcile(*state_, rows, on_disk));
  STORE_ASSIGN(std::vector<std::string> subscribed, subscriptions());

  std::map<std::string, MailboxInfo> infos;
  std::set<SpecialUse> used;
  for (const MailboxRow& row : rows) {
    if (!on_disk.contains(row.name)) continue;
    infos[row.name].special_use = row.special_use;
    used.insert(row.special_use);
  }
  for (const std::string& name : on_disk) {
    auto [entry, unknown] = infos.try_emplace(name);
    // A folder not taken over yet shows the use that take_over() will give it.
    SpecialUse use = usual_special_use(name);
    if (unknown && use != SpecialUse::kNone && used.insert(use).second) {
      entry->second.special_use = use;
    }
    for (size_t cut = name.rfind(kSeparator); cut != std::string::npos;
         cut = cut == 0 ? std::string::npos : name.rfind(kSeparator, cut - 1)) {
      std::string parent = name.substr(0, cut);
      MailboxInfo& info = infos[parent];
      info.has_children = true;
      info.no_select = !on_disk.contains(parent);
    }
  }
  std::vector<MailboxInfo> result;
  for (auto& [name, info] : infos) {
    info.name = name;
    info.subscribed = std::ranges::binary_search(subscribed, name);
    result.push_back(std::move(info));
  }
  return result;
}

Result<std::vector<std::string>> UserStore::subscriptions() {
  STORE_TRY(state_->check());
  STORE_ASSIGN(auto text, read_small_file(state_->root + "/subscriptions"));
  if (text) return parse_subscriptions(*text);
  STORE_ASSIGN(text, read_small_file(state_->root + "/courierimapsubscribed"));
  if (!text) return std::vector<std::string>();
  // Courier's names all start with INBOX, which is only its namespace's prefix.
  std::vector<std::string> names = parse_subscriptions(*text);
  for (std::string& name : names) {
    if (name.starts_with("INBOX/")) name.erase(0, 6);
  }
  std::ranges::sort(names);
  return names;
}

namespace {

Result<> change_subscriptions(UserStore& store, const std::string& root, std::string_view name,
                              bool add) {
  STORE_ASSIGN(std::string canonical, canonical_mailbox_name(name));
  STORE_ASSIGN(io::Fd lock, lock_directory(root));
  STORE_ASSIGN(std::vector<std::string> names, store.subscriptions());
  auto place = std::ranges::lower_bound(names, canonical);
  bool present = place != names.end() && *place == canonical;
  if (present == add) return {};
  if (add) {
    if (names.size() >= kMailboxesMax) return fail(ErrorKind::kLimit, "too many subscriptions");
    names.insert(place, canonical);
  } else {
    names.erase(place);
  }
  return replace_file(root + "/subscriptions", format_subscriptions(names));
}

}  // namespace

Result<> UserStore::subscribe(std::string_view name) {
  return change_subscriptions(*this, state_->root, name, true);
}

Result<> UserStore::unsubscribe(std::string_view name) {
  return change_subscriptions(*this, state_->root, name, false);
}

Result<WatchedDirectory> UserStore::watched_root() {
  WatchedDirectory watched{state_->root, {}};
  STORE_ASSIGN(watched.key, directory_key(watched.path));
  return watched;
}

Result<> UserStore::set_special_use(std::string_view name, SpecialUse special_use) {
  STORE_ASSIGN(Mailbox mailbox, open_mailbox(name));
  return state_->database.run("UPDATE mailbox SET special_use = ? WHERE id = ?",
                              static_cast<int64_t>(special_use), mailbox.id());
}

}  // namespace dormouse::store
