// What a den asks of the watch and hears from it: which directories matter to a slot, by what they
// are named there, and whom a change concerns.

#include <algorithm>
#include <cstring>
#include <optional>

#include "hibernate/den.h"
#include "hibernate/link_life.h"
#include "role/log.h"
#include "wire/validate.h"

namespace dormouse::hibernate {
namespace {

// Messages of some 100-300 bytes that the watch has not read yet.
constexpr size_t kWatchOutboxMax = 65'536;

// A topic among the directories of a record: a mark and its 8 bytes, which is shorter than any
// handle and begins as no path.
constexpr char kTopicMark = 1;
constexpr size_t kKeptTopicBytes = 9;

std::string kept_topic(uint64_t topic) {
  std::string kept(1, kTopicMark);
  kept.append(reinterpret_cast<const char*>(&topic), sizeof topic);
  return kept;
}

std::optional<uint64_t> topic_of_kept(const std::string& kept) {
  if (kept.size() != kKeptTopicBytes || kept[0] != kTopicMark) return std::nullopt;
  uint64_t topic = 0;
  std::memcpy(&topic, kept.data() + 1, sizeof topic);
  return topic;
}

}  // namespace

io::Task<void> Den::serve_watch(role::Link link) {
  io::Scope news(loop(), co_await io::current_scope());
  news.set_urgency(io::Urgency::kNow);
  LinkLife life(loop(), &news, std::move(link), kWatchOutboxMax);
  watch_ = &life.outbox;
  co_await news.run(hear_watch(life));
  if (watch_ == &life.outbox) watch_ = nullptr;
  life.scope.cancel();
  co_await life.scope.join();
}

// Until the link ends.
io::Task<void> Den::hear_watch(LinkLife& life) {
  bool mode_known = false;
  while (true) {
    auto got = co_await wire::receive<wire::WatchToDen>(loop(), life.peer.channel);
    if (got) {
      if (auto valid = wire::validate(got->message, got->fd_count); !valid) {
        got = std::unexpected(valid.error());
      }
    }
    if (!got) {
      role::log_warning("watch-link-ended", {{"error", got.error().message}});
      co_return;
    }
    // Its first word is what it keys by; only then can directories be named to it.
    if (got->message.has_mode()) {
      by_handle_ = got->message.mode().by_handle();
      watch_backend_ = got->message.mode().name();
      watched_stores_.assign(got->message.mode().fsids().begin(),
                             got->message.mode().fsids().end());
      topics_ = got->message.mode().topics();
      if (!mode_known) subscribe_all();
      mode_known = true;
    } else {
      watch_said(got->message);
    }
  }
}

void Den::watch_said(const wire::WatchToDen& message) {
  if (message.has_subscribed()) {
    WatchId watch = message.subscribed().watch();
    if (!watches_.exists(watch)) return;
    bool watched = message.subscribed().watched();
    watches_.set_state(watch, watched ? Watches::State::kActive : Watches::State::kRefused);
    watches_.set_polled(watch, message.subscribed().polled());
    watches_.for_each(watch, [&](uint32_t slot) {
      auto session = sessions_.find(slot);
      if (session != sessions_.end()) {
        session->second->watch_answer(watched, message.subscribed().reason());
      } else {
        // Subscribed again: what changed before this answer was told to nobody. And where it cannot
        // be watched, the refresh's answer names the directories anew.
        look_again(slot);
      }
    });
  } else if (message.has_changed()) {
    for (WatchId watch : message.changed().watches()) {
      if (!watches_.exists(watch)) continue;
      watches_.for_each(watch, [this](uint32_t slot) { mailbox_changed(slot); });
    }
    uint64_t after_ms = message.changed().after_ms();
    for (const auto& mail : message.changed().arrived()) {
      if (!watches_.exists(mail.watch())) continue;
      watches_.for_each(mail.watch(),
                        [&](uint32_t slot) { mail_arrived(slot, mail.count(), after_ms); });
    }
  } else if (message.has_lost()) {
    role::log_warning("notices-lost", {{"reason", message.lost().reason()}});
    if (message.lost().subscribe_again()) subscribe_all();
    sweep_all();
  }
  start_refreshes();
}

Result<std::vector<std::string>> Den::kept_directories(
    const google::protobuf::RepeatedPtrField<wire::Directory>& directories) const {
  if (directories.size() > wire::kMaxDirectories) {
    return fail(ErrorKind::kLimit, "too many directories to watch");
  }
  std::vector<std::string> kept;
  for (const wire::Directory& directory : directories) {
    bool by_handle =
        by_handle_ && (watched_stores_.empty() || in_watched_store(directory.handle()));
    const std::string& key = by_handle ? directory.handle() : directory.path();
    if (key.empty() || key.size() > kDirectoryBytesMax) {
      return fail(ErrorKind::kLimit, "a directory without a key to watch by");
    }
    kept.push_back(key);
  }
  if (!topics_) return kept;
  for (const wire::Directory& directory : directories) {
    if (directory.topic() != 0) kept.push_back(kept_topic(directory.topic()));
  }
  return kept;
}

bool Den::in_watched_store(std::string_view handle) const {
  return std::ranges::any_of(watched_stores_,
                             [&](const std::string& fsid) { return handle.starts_with(fsid); });
}

void Den::subscribe(WatchId watch, const std::vector<std::string>& directories) {
  if (watch_ == nullptr) return;  // subscribe_all() does it when there is one
  wire::DenToWatch message;
  auto* subscribe = message.mutable_subscribe();
  subscribe->set_watch(watch);
  for (const std::string& directory : directories) {
    auto* added = subscribe->add_directories();
    // A path where a handle is wanted: its file system is not one that is watched by handles.
    bool path =
        directory.starts_with('/') && !in_watched_store(directory) && !watched_stores_.empty();
    if (auto topic = topic_of_kept(directory)) {
      added->set_topic(*topic);
    } else if (by_handle_ && !path) {
      added->set_handle(directory);
    } else {
      added->set_path(directory);
    }
  }
  if (!watch_->push(message)) watches_.set_state(watch, Watches::State::kRefused);
}

void Den::subscribe_all() {
  watches_.for_all([this](WatchId watch, uint32_t slot) {
    watches_.set_state(watch, Watches::State::kAsked);
    if (auto session = sessions_.find(slot); session != sessions_.end()) {
      subscribe(watch, session->second->parts().directories);
    } else if (slab_.state(slot) == SlotState::kParked) {
      subscribe(watch, RecordView::trusted(slab_.block(slot)).directories());
    }
  });
}

void Den::watch(uint32_t slot, const std::vector<std::string>& directories) {
  auto session = sessions_.find(slot);
  auto answer = [&](bool watched, const char* reason) {
    if (session != sessions_.end()) session->second->watch_answer(watched, reason);
  };
  if (directories.empty()) return answer(true, "");  // no mailbox, nothing to miss
  auto joined = watches_.join(slot, watch_key(directories));
  if (joined.subscribe) {
    subscribe(joined.watch, directories);
    if (watches_.state(joined.watch) == Watches::State::kRefused) answer(false, "watch is busy");
  } else if (watches_.state(joined.watch) == Watches::State::kActive) {
    answer(true, "");
  } else if (watches_.state(joined.watch) == Watches::State::kRefused) {
    answer(false, "the mailbox cannot be watched");
  }
}

void Den::unwatch(uint32_t slot) {
  WatchId gone = watches_.leave(slot);
  if (gone == kNoWatch || watch_ == nullptr) return;
  wire::DenToWatch message;
  message.mutable_unsubscribe()->set_watch(gone);
  // A watch that is left over costs a notice that nobody waits for.
  [[maybe_unused]] bool told = watch_->push(message);
}

bool Den::polled(uint32_t slot) const {
  WatchId watch = watches_.watch_of(slot);
  return watch != kNoWatch && watches_.polled(watch);
}

bool Den::watched(uint32_t slot) const {
  WatchId watch = watches_.watch_of(slot);
  if (watch == kNoWatch) {
    return slab_.state(slot) == SlotState::kParked &&
           RecordView::trusted(slab_.block(slot)).directories().empty();
  }
  return watches_.state(watch) == Watches::State::kActive;
}

}  // namespace dormouse::hibernate
