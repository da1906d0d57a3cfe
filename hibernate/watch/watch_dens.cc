// The dens' links: what they ask, and what they are told at the speed at which they read.

#include <fmt/format.h>

#include <algorithm>

#include "hibernate/watch/watch.h"
#include "role/log.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::hibernate {

void Watch::link(role::Link link) {
  if (link.peer == wire::WORKER) {
    scope_.spawn(serve_worker(std::make_unique<Worker>(loop_, &scope_, std::move(link))));
    return;
  }
  if (link.peer != wire::DEN) {
    role::log_warning("link_ignored", {{"peer", role::role_name(link.peer)}});
    return;
  }
  for (Den* den : dens_) {
    if (den != nullptr && den->link.index == link.index) den->end("replaced by a new link");
  }
  auto free = std::ranges::find(dens_, nullptr);
  if (free == dens_.end()) {
    // One den per 20,000 sessions, and its predecessor that is not cleared away yet: far below.
    if (dens_.size() > UINT16_MAX) {
      role::log_error("link_refused", {{"den", link.index}, {"reason", "too many dens"}});
      return;
    }
    free = dens_.insert(dens_.end(), nullptr);
  }
  auto den = std::make_unique<Den>(loop_, &scope_, std::move(link), uint16_t(free - dens_.begin()));
  *free = den.get();
  wire::WatchToDen mode;
  mode.mutable_mode()->set_by_handle(primary().by_handle());
  mode.mutable_mode()->set_name(std::string(backend()));
  // Where there is no going by path, a handle of any file system says which one is refused.
  if (fanotify_ && polling_) *mode.mutable_mode()->mutable_fsids() = stores_.fsids();
  mode.mutable_mode()->set_topics(takes_topics());
  // The table knows nothing of this link. A den that has no watches yet has nothing to do.
  wire::WatchToDen lost;
  lost.mutable_lost()->set_subscribe_again(true);
  lost.mutable_lost()->set_reason("new link");
  if (!den->outbox.push(mode) || !den->outbox.push(lost)) den->end("gone already");
  scope_.spawn(serve(std::move(den)));
}

io::Task<void> Watch::serve(std::unique_ptr<Den> den) {
  den->scope.spawn(den->outbox.run());
  io::Scope notices(loop_, &den->scope);
  notices.set_urgency(io::Urgency::kNow);
  notices.spawn(tell(den.get()));
  std::string reason = co_await den->scope.run(read_all(den.get()));
  den->end(std::move(reason));
  co_await notices.join();
  co_await den->scope.join();
  if (scope_.cancelled()) co_return;
  role::log_info("link_ended",
                 {{"peer", "den"}, {"index", den->link.index}, {"reason", den->reason}});
  std::vector<DirectoryKey> unused;
  table_.drop_den(den->slot, unused);
  forget(unused);
  std::erase(fresh_, den.get());
  dens_[den->slot] = nullptr;
}

io::Task<std::string> Watch::read_all(Den* den) {
  for (uint32_t messages = 1;; ++messages) {
    if (den->outbox.crowded()) {
      auto room = co_await den->outbox.wait_for_room();
      if (!room) co_return room.error().message;
    }
    auto got = co_await wire::receive<wire::DenToWatch>(loop_, den->link.channel);
    if (!got) co_return got.error().message;
    if (auto valid = wire::validate(got->message, got->fd_count); !valid) {
      co_return valid.error().message;
    }
    if (got->message.has_subscribe()) {
      subscribe(*den, got->message.subscribe());
    } else {
      std::vector<DirectoryKey> unused;
      table_.unsubscribe(den->slot, got->message.unsubscribe().watch(), unused);
      forget(unused);
    }
    if (messages % kTurnMessages == 0) {
      if (auto next = co_await loop_.yield(); !next) co_return next.error().message;
    }
  }
}

// While the den does not read, what changes is gathered; it never holds up the source.
io::Task<void> Watch::tell(Den* den) {
  while (true) {
    den->work.clear();
    if (!den->lost.empty()) {
      wire::WatchToDen message;
      message.mutable_lost()->set_reason(std::exchange(den->lost, {}));
      if (!co_await say(den, std::move(message))) co_return;
    } else if (!den->pending.empty()) {
      std::vector<uint32_t> changed = std::exchange(den->pending, {});
      compact(changed);
      // Should changes be lost meanwhile, the den looks at everything, and the rest is not needed.
      while (!changed.empty() && den->lost.empty()) {
        size_t count = std::min(changed.size(), size_t(wire::kMaxChangedWatches));
        wire::WatchToDen message;
        message.mutable_changed()->mutable_watches()->Add(changed.end() - ptrdiff_t(count),
                                                          changed.end());
        changed.resize(changed.size() - count);
        den->told += count;
        if (!co_await say(den, std::move(message))) co_return;
      }
    } else if (!den->arrived.empty()) {
      std::vector<Arrived> arrived = std::exchange(den->arrived, {});
      uint64_t after_ms = den->arrived_after_ms;
      compact(arrived);
      while (!arrived.empty() && den->lost.empty()) {
        size_t count = std::min(arrived.size(), size_t(wire::kMaxChangedWatches));
        wire::WatchToDen message;
        message.mutable_changed()->set_after_ms(after_ms);
        for (; count > 0; --count) {
          auto* one = message.mutable_changed()->add_arrived();
          one->set_watch(arrived.back().watch);
          one->set_count(arrived.back().count);
          arrived.pop_back();
          ++den->told;
        }
        if (!co_await say(den, std::move(message))) co_return;
      }
    } else if (!co_await den->work.wait()) {
      co_return;
    }
  }
}

io::Task<bool> Watch::say(Den* den, wire::WatchToDen message) {
  if (den->outbox.crowded() && !co_await den->outbox.wait_for_room()) co_return false;
  if (den->outbox.push(message)) co_return true;
  den->end("does not read its notices");
  co_return false;
}

}  // namespace dormouse::hibernate
