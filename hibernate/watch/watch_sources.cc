// Which sources there are, and which of them a directory goes to.

#include <fmt/format.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstring>

#include "hibernate/watch/stores.h"
#include "hibernate/watch/watch.h"
#include "role/log.h"

namespace dormouse::hibernate {
namespace {

// The first 8 bytes of every handle on the file system of `path`; empty if it cannot be known, and
// then every handle is accepted.
std::string fsid_of(const std::string& path) {
  struct statfs info{};
  if (path.empty() || statfs(path.c_str(), &info) != 0) return {};
  std::string fsid(sizeof info.f_fsid, '\0');
  std::memcpy(fsid.data(), &info.f_fsid, sizeof info.f_fsid);
  return fsid;
}

}  // namespace

// The best one that works: fanotify, inotify (with polling for what it cannot take), polling. A
// backend asked for by name that is not to be had is said, and the next one is used.
void Watch::choose(WatchOptions& options) {
  const std::string& wish = settings_.backend();
  bool any = wish == "auto";
  why_ = any ? "the best there is" : "asked for";
  if (any || wish == "fanotify") {
    if (options.fanotify) {
      std::vector<std::string> fsids(stores_.fsids().begin(), stores_.fsids().end());
      std::string fsid = fsid_of(settings_.mail_root());
      if (fsids.empty() && !fsid.empty()) fsids.push_back(fsid);
      auto made = FanotifySource::create(loop_, std::move(options.fanotify), std::move(fsids),
                                         SipKey::random());
      if (made) {
        fanotify_ = std::move(*made);
        if (stores_.others()) choose_by_path(options.inotify_watches_max, true);
        return;
      }
      why_ = made.error().message;
    } else {
      why_ = options.no_fanotify.empty() ? "the master could make no fanotify group (see its log)"
                                         : options.no_fanotify;
    }
    any = true;
  }
  choose_by_path(options.inotify_watches_max, any || wish == "inotify");
}

void Watch::choose_by_path(uint64_t inotify_watches_max, bool inotify) {
  polling_ = std::make_unique<PollingSource>(loop_, settings_.polling_ms());
  // inotify would be asked for nothing.
  if (!inotify || shared_store_from(settings_.shared_store()) == SharedStore::kYes) return;
  auto made = InotifySource::create(loop_, inotify_watches_max);
  if (made) {
    inotify_ = std::move(*made);
  } else {
    why_ = made.error().message;
  }
}

ChangeSource& Watch::primary() const {
  if (fanotify_) return *fanotify_;
  if (inotify_) return *inotify_;
  return *polling_;
}

std::vector<ChangeSource*> Watch::sources() const {
  std::vector<ChangeSource*> all = {fanotify_.get(), inotify_.get(), polling_.get()};
  std::erase(all, nullptr);
  return all;
}

ChangeSource* Watch::source_of(DirectoryKey key) const {
  switch (owner_of(key)) {
    case kFanotifyKey:
      return fanotify_.get();
    case kInotifyKey:
      return inotify_.get();
    case kPollingKey:
      return polling_.get();
    default:
      return nullptr;  // a topic
  }
}

Result<Watch::Added> Watch::add(const wire::Directory& directory) {
  Result<DirectoryKey> key = fail(ErrorKind::kUnsupported, "the directory has no path");
  if (fanotify_) {
    if (directory.path().empty() || !directory.handle().empty()) {
      key = fanotify_->add(directory);
      if (key) return Added{*key, false};
    } else {
      key = fail(ErrorKind::kUnsupported, "its file system is not under fanotify");
    }
  }
  if (directory.path().empty() || !polling_) return std::unexpected(key.error());
  return add_by_path(directory);
}

Result<Watch::Added> Watch::add_by_path(const wire::Directory& directory) {
  SharedStore setting = shared_store_from(settings_.shared_store());
  bool shared = setting == SharedStore::kYes;
  std::string why = "watch.shared_store";
  if (setting == SharedStore::kAuto) {
    auto kind = file_system_of(directory.path());
    if (!kind) return std::unexpected(kind.error());
    shared = kind->shared;
    if (shared) why = "other machines may write to " + kind->name;
  }
  if (shared || !inotify_) return poll(directory, shared, shared ? why : why_);
  auto key = inotify_->add(directory);
  if (key) return Added{*key, false};
  if (key.error().kind == ErrorKind::kNotFound) return std::unexpected(key.error());
  return poll(directory, false, key.error().message);
}

Result<Watch::Added> Watch::poll(const wire::Directory& directory, bool shared,
                                 const std::string& why) {
  auto key = shared ? polling_->add_shared(directory) : polling_->add(directory);
  if (!key) return std::unexpected(key.error());
  uint64_t& count = shared ? shared_ : fallen_back_;
  bool asked = !shared && !inotify_;  // nothing else was tried
  if (count++ == 0 && !asked) {
    role::log_warning(shared ? "watch_polls" : "watch_falls_back",
                      {{"to", polling_->name()},
                       {"why", why},
                       {"first", directory.path()},
                       {"interval_ms", settings_.polling_ms()}});
  }
  begin_publishing();
  return Added{*key, true};
}

}  // namespace dormouse::hibernate
