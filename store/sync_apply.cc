// What differs is applied, inside a write transaction: cur/ is listed again, and only buckets that
// differ are compared name by name. A file that a listing lacks may just be changing its name
// (readdir(3) may miss both names): it counts as gone when a second listing lacks it too, and in a
// directory that changes at that very time three more.

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "store/files.h"
#include "store/maildir_name.h"
#include "store/sync.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

// A directory that somebody renames in all the time is listed up to so often before a file counts
// as gone: each listing misses a given file with a small chance only.
constexpr int kListingsMax = 4;

// Changed within the last second.
bool is_busy(const struct stat& directory) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec - directory.st_mtim.tv_sec <= 1;
}

// A file that the index does not know yet.
struct Arrival {
  std::string base;
  std::string suffix;
  bool from_new = false;
  struct stat info{};
};

class Syncer {
 public:
  Syncer(StoreState& state, MailboxRow& row, Batch& batch, const std::string& directory,
         const ImportMap* import)
      : state_(state), row_(row), batch_(batch), directory_(directory), import_(import) {}

  Result<SyncResult> run() {
    STORE_ASSIGN(keywords_, load_keywords(state_, row_.id));
    STORE_TRY(compare_current());
    STORE_TRY(take_new());
    STORE_TRY(insert_arrivals());
    return result_;
  }

 private:
  using Names = std::map<std::string, std::vector<std::string>>;  // base -> file names
  std::string current(std::string_view name) const {
    return directory_ + "/cur/" + std::string(name);
  }
  Result<> compare_current();
  Result<> compare_bucket(size_t bucket, Names& names);
  Result<std::string> settle_names(const std::string& base, std::vector<std::string>& names,
                                   std::string_view preferred);
  Result<> take_changed(const MessageRow& before, std::string_view name);
  Result<> remove_missing();
  void add_arrival(std::string_view name, bool from_new);
  Result<> take_new();
  Result<bool> base_taken(std::string_view base);
  Result<> insert_arrivals();
  Result<Keywords> keywords_of(uint32_t letters);

  StoreState& state_;
  MailboxRow& row_;
  Batch& batch_;
  const std::string& directory_;
  const ImportMap* import_;
  SyncResult result_;
  std::vector<std::string> keywords_;
  bool keywords_refreshed_ = false;
  std::vector<MessageRow> missing_;
  std::vector<Arrival> arrivals_;
  std::unordered_set<std::string> arrival_bases_;
};

Result<> Syncer::compare_current() {
  // One arena for the names: a listing of a million files is 80 MB as strings, half of it so.
  std::string arena;
  std::vector<std::pair<size_t, size_t>> spans;
  Sums sums{};
  STORE_TRY(list_files(directory_ + "/cur", [&](std::string_view name) {
    sums[bucket_of(name_hash(split_file_name(name).base))] += name_hash(name);
    spans.emplace_back(arena.size(), name.size());
    arena += name;
    return true;
  }));
  STORE_ASSIGN(Sums indexed, sums_of_index(state_, row_.id));
  std::map<size_t, Names> differing;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    if (sums[bucket] != indexed[bucket]) differing[bucket];
  }
  if (differing.empty()) return {};
  for (const auto& [offset, length] : spans) {
    std::string_view name = std::string_view(arena).substr(offset, length);
    std::string_view base = split_file_name(name).base;
    auto found = differing.find(bucket_of(name_hash(base)));
    if (found != differing.end()) found->second[std::string(base)].emplace_back(name);
  }
  for (auto& [bucket, names] : differing) STORE_TRY(compare_bucket(bucket, names));
  return remove_missing();
}

Result<> Syncer::compare_bucket(size_t bucket, Names& names) {
  uint64_t low = static_cast<uint64_t>(bucket) << 56;
  std::vector<MessageRow> rows;
  {
    Cursor cursor = state_.database.query(
        "SELECT uid, flags, keywords, mod_seq, created_mod_seq, internal_date, file_size, "
        "rfc822_size, base, suffix FROM message WHERE mailbox_id = ? AND base_hash BETWEEN ? AND ?",
        row_.id, low, low | 0x00ffffffffffffffu);
    while (cursor.next()) rows.push_back(read_message_row(cursor));
    STORE_TRY(cursor.status());
  }
  for (MessageRow& row : rows) {
    auto found = names.find(row.base);
    if (found == names.end()) {
      missing_.push_back(std::move(row));
      continue;
    }
    STORE_ASSIGN(std::string name, settle_names(row.base, found->second, row.file_name()));
    if (name.empty()) {
      missing_.push_back(std::move(row));
    } else if (name != row.file_name()) {
      STORE_TRY(take_changed(row, name));
    }
    names.erase(found);
  }
  for (auto& [base, files] : names) {
    STORE_ASSIGN(std::string name, settle_names(base, files, ""));
    if (!name.empty()) add_arrival(name, false);
  }
  return {};
}

// Of several files with one base name, the one that is the message. Two names are mostly one file
// that was renamed while the directory was read; when both are really there, the others become
// messages of their own under new names, so that none is lost.
Result<std::string> Syncer::settle_names(const std::string& base, std::vector<std::string>& names,
                                         std::string_view preferred) {
  if (names.size() == 1) return names[0];
  std::erase_if(names, [&](const std::string& name) { return !exists(current(name)); });
  if (names.empty()) return std::string();
  auto keep = std::ranges::find(names, preferred);
  if (keep != names.end()) std::iter_swap(names.begin(), keep);
  for (size_t i = 1; i < names.size(); ++i) {
    std::string other = unique_base() + names[i].substr(base.size());
    if (rename_new(current(names[i]), current(other))) {
      add_arrival(other, false);
    } else {
      ++result_.deferred;
    }
  }
  return names[0];
}

Result<> Syncer::take_changed(const MessageRow& before, std::string_view name) {
  MessageRow after = before;
  after.suffix = split_file_name(name).suffix;
  FileFlags found = parse_suffix(after.suffix);
  after.message.flags = found.flags;
  STORE_ASSIGN(Keywords lettered, keywords_of(found.letters));
  const Keywords low((1u << kLetterKeywords) - 1);
  after.message.keywords = (before.message.keywords & ~low) | lettered;
  if (after.message.flags != before.message.flags ||
      after.message.keywords != before.message.keywords) {
    ++result_.changed;
  }
  return batch_.update(before, after);
}

Result<> Syncer::remove_missing() {
  if (missing_.empty()) return {};
  std::unordered_map<std::string_view, std::string> again;
  for (const MessageRow& row : missing_) again.emplace(row.base, "");
  size_t missing = again.size();
  for (int listing = 0; listing < kListingsMax && missing > 0; ++listing) {
    STORE_TRY(list_files(directory_ + "/cur", [&](std::string_view name) {
      auto found = again.find(split_file_name(name).base);
      if (found == again.end()) return true;
      if (found->second.empty()) --missing;
      found->second = name;
      return true;
    }));
    STORE_ASSIGN(auto info, stat_file(directory_ + "/cur"));
    if (!info || !is_busy(*info)) break;
  }
  for (const MessageRow& row : missing_) {
    const std::string& name = again[row.base];
    if (name.empty()) {
      ++result_.expunged;
      STORE_TRY(batch_.remove(row));
    } else if (name != row.file_name()) {
      STORE_TRY(take_changed(row, name));
    }
  }
  return {};
}

void Syncer::add_arrival(std::string_view name, bool from_new) {
  Arrival arrival;
  FileName parts = split_file_name(name);
  auto info = stat_file(current(name));
  if (!info || !*info || !S_ISREG((*info)->st_mode)) {
    ++result_.deferred;
    return;
  }
  if (parts.base.empty()) {
    // ":2,S" alone is no name that anything else could keep flags with.
    std::string other = unique_base() + std::string(parts.suffix);
    if (rename_new(current(name), current(other))) {
      add_arrival(other, from_new);
    } else {
      ++result_.deferred;
    }
    return;
  }
  arrival.from_new = from_new;
  arrival.base = parts.base;
  arrival.suffix = parts.suffix;
  arrival.info = **info;
  arrival_bases_.insert(arrival.base);
  arrivals_.push_back(std::move(arrival));
}

Result<bool> Syncer::base_taken(std::string_view base) {
  if (arrival_bases_.contains(std::string(base))) return true;
  Cursor cursor = state_.database.query(
      "SELECT 1 FROM message WHERE mailbox_id = ? AND base_hash = ? AND base = ?", row_.id,
      name_hash(base), Blob{base});
  bool taken = cursor.next();
  STORE_TRY(cursor.status());
  return taken;
}

Result<> Syncer::take_new() {
  std::vector<std::string> names;
  STORE_TRY(list_files(directory_ + "/new", [&](std::string_view name) {
    names.emplace_back(name);
    return true;
  }));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    FileName parts = split_file_name(name);
    std::string suffix(parts.suffix.starts_with(":2,") ? parts.suffix : ":2,");
    std::string base(parts.base);
    STORE_ASSIGN(bool taken, base_taken(base));
    if (taken || base.empty()) base = unique_base();
    std::string from = directory_ + "/new/" + name;
    Result<> moved = rename_new(from, current(base + suffix));
    if (!moved &&
        (moved.error().kind == ErrorKind::kExists || moved.error().kind == ErrorKind::kInvalid)) {
      base = unique_base();  // the name is there already, or too long for a suffix
      moved = rename_new(from, current(base + suffix));
    }
    if (moved) {
      add_arrival(base + suffix, true);
    } else if (moved.error().kind != ErrorKind::kNotFound) {
      ++result_.deferred;
    }
  }
  return {};
}

Result<Keywords> Syncer::keywords_of(uint32_t letters) {
  auto unnamed = [&] {
    uint32_t named = 0;
    for (size_t i = 0; i < std::min(keywords_.size(), kLetterKeywords); ++i) {
      if (!keywords_[i].empty()) named |= 1u << i;
    }
    return letters & ~named;
  };
  if (unnamed() != 0 && !keywords_refreshed_) {
    STORE_ASSIGN(keywords_, refresh_keywords(state_, row_, directory_));
    keywords_refreshed_ = true;
  }
  // Letters that have no name still stay in the file name (make_suffix is given them back).
  return Keywords(letters & ~unnamed());
}

Result<> Syncer::insert_arrivals() {
  // Files of new/ last: the newest UIDs are the \\Recent ones, also when a mailbox is taken over.
  std::ranges::sort(arrivals_, [](const Arrival& a, const Arrival& b) {
    auto key = [](const Arrival& x) {
      return std::tie(x.from_new, x.info.st_mtim.tv_sec, x.info.st_mtim.tv_nsec, x.base);
    };
    return key(a) < key(b);
  });
  for (Arrival& arrival : arrivals_) {
    MessageRow row;
    FileFlags found = parse_suffix(arrival.suffix);
    row.message.flags = found.flags;
    STORE_ASSIGN(row.message.keywords, keywords_of(found.letters));
    row.message.internal_date_s = arrival.info.st_mtim.tv_sec;
    row.message.file_size_bytes = static_cast<uint64_t>(arrival.info.st_size);
    uint64_t hint = size_hint(arrival.base, 'W').value_or(kSizeUnknown);
    if (import_ != nullptr) {
      if (auto known = import_->find(arrival.base); known != import_->end()) {
        row.message.uid = known->second->uid;
        if (hint == kSizeUnknown) hint = known->second->rfc822_size_bytes;
      }
    }
    // A hint is believed where it is possible: every byte but LFs stays, an LF becomes two.
    uint64_t size = row.message.file_size_bytes;
    if (hint >= size && hint <= 2 * size) row.message.rfc822_size_bytes = hint;
    if (row.message.uid == 0) {
      STORE_ASSIGN(row.message.uid, batch_.next_uid());
    }
    row.base = std::move(arrival.base);
    row.suffix = std::move(arrival.suffix);
    STORE_TRY(batch_.insert(row));
    ++result_.arrived;
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> refresh_keywords(StoreState& state, const MailboxRow& row,
                                                  const std::string& directory) {
  STORE_ASSIGN(std::vector<std::string> names, load_keywords(state, row.id));
  auto text = read_small_file(directory + "/dovecot-keywords");
  if (!text || !*text) return names;  // unreadable: the letters stay unnamed
  std::vector<std::string> found = parse_keywords(**text);
  for (size_t bit = 0; bit < found.size(); ++bit) {
    if (names.size() <= bit) names.resize(bit + 1);
    bool twice = std::ranges::find(names, found[bit]) != names.end();
    if (found[bit].empty() || !names[bit].empty() || twice) continue;
    names[bit] = found[bit];
    STORE_TRY(save_keyword(state, row.id, bit, names[bit]));
  }
  return names;
}

Result<SyncResult> sync_inside(StoreState& state, MailboxRow& row, Batch& batch,
                               const ImportMap* import) {
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  std::string directory = state.directory_of_folder(folder);
  return Syncer(state, row, batch, directory, import).run();
}

}  // namespace dormouse::store
