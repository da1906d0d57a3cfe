#include "hibernate/watch/watch.h"

#include <fmt/format.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "hibernate/watch/fanotify_source.h"
#include "hibernate/watch/inotify_source.h"
#include "hibernate/watch/polling_source.h"
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

bool known_backend(const std::string& name) {
  return name == "auto" || name == "fanotify" || name == "inotify" || name == "polling";
}

}  // namespace

Result<std::unique_ptr<Watch>> Watch::create(io::Loop& loop, io::Scope& scope,
                                             WatchOptions options) {
  if (!known_backend(options.settings.backend())) {
    return fail(ErrorKind::kInvalid,
                fmt::format("watch.backend \"{}\" is unknown", options.settings.backend()));
  }
  auto watch = std::unique_ptr<Watch>(new Watch(loop, scope, options.settings));
  watch->choose(std::move(options));
  return watch;
}

Watch::Watch(io::Loop& loop, io::Scope& scope, const wire::Settings::Watch& settings)
    : loop_(loop), scope_(scope), settings_(settings), stir_(loop) {}

Watch::~Watch() = default;

// The best one that works: fanotify, inotify (with polling for what it cannot take), polling. A
// backend asked for by name that is not to be had is said, and the next one is used.
void Watch::choose(WatchOptions options) {
  const std::string& wish = settings_.backend();
  bool any = wish == "auto";
  why_ = any ? "the best there is" : "asked for";
  if (any || wish == "fanotify") {
    if (options.fanotify) {
      auto made = FanotifySource::create(loop_, std::move(options.fanotify),
                                         fsid_of(settings_.mail_root()), SipKey::random());
      if (made) {
        source_ = std::move(*made);
        return;
      }
      why_ = made.error().message;
    } else {
      why_ = "the master could make no fanotify group (see its log)";
    }
    any = true;
  }
  fallback_ = std::make_unique<PollingSource>(loop_, settings_.polling_ms());
  if (any || wish == "inotify") {
    auto made = InotifySource::create(loop_, options.inotify_watches_max);
    if (made) {
      source_ = std::move(*made);
      return;
    }
    why_ = made.error().message;
  }
  source_ = std::move(fallback_);
}

void Watch::start() {
  role::log_info("watch_backend", {{"backend", source_->name()}, {"why", why_}});
  scope_.spawn(listen(source_.get()));
  if (fallback_) scope_.spawn(listen(fallback_.get()));
  scope_.spawn(settle());
}

// Keeps the moment after which an arrival is known to have come near to now.
io::Task<void> Watch::settle() {
  while (true) {
    stir_.clear();
    if (loop_.now_ms() > stirred_ms_ + kSettleMs && !co_await stir_.wait()) co_return;
    if (!co_await loop_.sleep(kSettleStepMs)) co_return;
    source_->take_queued(*this);
  }
}

io::Task<void> Watch::listen(ChangeSource* source) {
  auto ended = co_await source->run(*this);
  if (ended || ended.error().kind == ErrorKind::kCancelled) co_return;
  // Without its source the watch would be silently deaf. The master starts another.
  bug(__FILE__, __LINE__, "a source of changes", ended.error().message);
}

void Watch::reload(const wire::Settings::Watch& settings) {
  settings_.set_polling_ms(settings.polling_ms());
  for (ChangeSource* source : {source_.get(), fallback_.get()}) {
    if (auto* polling = dynamic_cast<PollingSource*>(source)) {
      polling->set_interval(settings.polling_ms());
    }
  }
}

ChangeSource& Watch::source_of(DirectoryKey key) {
  return fallback_ && (key & PollingSource::kKeyBit) != 0 ? *fallback_ : *source_;
}

Result<DirectoryKey> Watch::add(const wire::Directory& directory) {
  auto key = source_->add(directory);
  if (key || !fallback_ || key.error().kind == ErrorKind::kNotFound) return key;
  auto polled = fallback_->add(directory);
  if (!polled) return key;
  if (fallen_back_++ == 0) {
    role::log_warning("watch_falls_back", {{"to", fallback_->name()},
                                           {"why", key.error().message},
                                           {"interval_ms", settings_.polling_ms()}});
  }
  return polled;
}

void Watch::forget(std::vector<DirectoryKey>& unused) {
  std::ranges::sort(unused);
  auto again = std::ranges::unique(unused);
  unused.erase(again.begin(), again.end());
  for (DirectoryKey key : unused) source_of(key).remove(key);
  unused.clear();
}

Result<> Watch::subscribe_all(Den& den, const wire::DenToWatch::Subscribe& request) {
  std::vector<DirectoryKey> keys;  // each once, in the order of the request: 64 at the most
  Result<> result;
  if (request.watch() > WatchTable::kWatchMax) {
    return fail(ErrorKind::kInvalid, "a watch's number has 31 bits");
  }
  for (const auto& directory : request.directories()) {
    auto key = add(directory);
    if (!key) {
      result = std::unexpected(key.error());
      break;
    }
    if (std::ranges::find(keys, *key) == keys.end()) keys.push_back(*key);
  }
  std::vector<DirectoryKey> unused;
  // A subscription that fails leaves none behind: the session stays awake.
  if (result) result = table_.subscribe(den.slot, request.watch(), keys, unused);
  if (!result) {
    table_.unsubscribe(den.slot, request.watch(), unused);
    for (DirectoryKey key : keys) {
      if (!table_.wanted(key)) unused.push_back(key);
    }
  }
  forget(unused);
  return result;
}

void Watch::subscribe(Den& den, const wire::DenToWatch::Subscribe& request) {
  Result<> done = subscribe_all(den, request);
  wire::WatchToDen answer;
  auto* message = answer.mutable_subscribed();
  message->set_watch(request.watch());
  message->set_watched(bool(done));
  if (done) {
    ++subscribed_;
    stirred_ms_ = loop_.now_ms();
    stir_.set();
  } else {
    ++refused_;
    message->set_reason(done.error().message);
    role::log_info(
        "not_watched",
        {{"den", den.link.index}, {"watch", request.watch()}, {"reason", done.error().message}});
  }
  if (!den.outbox.push(answer)) den.end("does not read its answers");
}

void Watch::changed(const Change& change, uint64_t after_ms) {
  stirred_ms_ = loop_.now_ms();
  stir_.set();
  auto collect = [this](DirectoryKey key, std::vector<Wanting>& into) {
    into.clear();
    if (key == 0) return;
    table_.for_each(key, [&into](const Wanting& who) { into.push_back(who); });
  };
  collect(change.from, left_);
  collect(change.to, came_);
  // From new/ to cur/ of one mailbox: whoever counts the message goes on doing so.
  auto went_on = [&](const Wanting& who) {
    return change.as_it_was &&
           std::ranges::any_of(came_, [&](const Wanting& to) { return to.follows(who); });
  };
  auto came_on = [&](const Wanting& who) {
    return change.as_it_was &&
           std::ranges::any_of(left_, [&](const Wanting& from) { return who.follows(from); });
  };
  for (const Wanting& who : left_) {
    if (went_on(who)) {
      ++moved_on_;
    } else {
      note_change(who);
    }
  }
  for (const Wanting& who : came_) {
    if (came_on(who)) continue;
    if (who.first && change.file && change.from != change.to) {
      note_arrival(who, after_ms);
    } else {
      note_change(who);
    }
  }
}

Watch::Den* Watch::stirred(uint16_t slot) {
  Den* den = dens_[slot];
  if (!den->fresh) {
    den->fresh = true;
    fresh_.push_back(den);
  }
  return den->lost.empty() ? den : nullptr;  // else it will look at everything
}

void Watch::note_change(const Wanting& who) {
  ++changes_;
  Den* den = stirred(who.den);
  if (den == nullptr) return;
  den->pending.push_back(who.watch);
  if (den->pending.size() < 2 * kPendingMax) return;
  compact(den->pending);
  if (den->pending.size() > kPendingMax) overflow(*den, "more changes than the den took");
}

void Watch::note_arrival(const Wanting& who, uint64_t after_ms) {
  ++arrivals_;
  Den* den = stirred(who.den);
  if (den == nullptr) return;
  if (den->arrived.empty()) den->arrived_after_ms = after_ms;
  den->arrived.push_back(Arrived{who.watch, 1});
  if (den->arrived.size() < 2 * kPendingMax) return;
  compact(den->arrived);
  if (den->arrived.size() > kPendingMax) overflow(*den, "more arrivals than the den took");
}

void Watch::compact(std::vector<uint32_t>& pending) {
  std::ranges::sort(pending);
  auto again = std::ranges::unique(pending);
  pending.erase(again.begin(), again.end());
}

void Watch::compact(std::vector<Arrived>& arrived) {
  std::ranges::sort(arrived, {}, &Arrived::watch);
  size_t kept = 0;
  for (const Arrived& one : arrived) {
    if (kept > 0 && arrived[kept - 1].watch == one.watch) {
      arrived[kept - 1].count += one.count;
    } else {
      arrived[kept++] = one;
    }
  }
  arrived.resize(kept);
}

void Watch::overflow(Den& den, std::string reason) {
  ++lost_;
  den.pending = {};
  den.arrived = {};
  den.lost = std::move(reason);
  den.work.set();
}

void Watch::lost(const std::string& reason) {
  role::log_warning("changes_lost", {{"reason", reason}});
  for (Den* den : dens_) {
    if (den != nullptr) overflow(*den, reason);
  }
}

void Watch::flush() {
  for (Den* den : fresh_) {
    den->fresh = false;
    den->work.set();
  }
  fresh_.clear();
}

std::string Watch::view() const {
  std::string out =
      fmt::format("backend={} why=\"{}\" {}\n", source_->name(), why_, source_->state());
  if (fallback_) {
    fmt::format_to(std::back_inserter(out), "fallback={} used={} {}\n", fallback_->name(),
                   fallen_back_, fallback_->state());
  }
  fmt::format_to(std::back_inserter(out),
                 "directories={} subscriptions={} table_bytes={} changes={} arrivals={} "
                 "moved_on={} lost={} subscribed={} refused={}\n",
                 table_.directories(), table_.subscriptions(), table_.bytes(), changes_, arrivals_,
                 moved_on_, lost_, subscribed_, refused_);
  for (const Den* den : dens_) {
    if (den == nullptr) continue;
    fmt::format_to(std::back_inserter(out), "den index={} told={} pending={} unread={}\n",
                   den->link.index, den->told, den->pending.size(), den->outbox.size());
  }
  return out;
}

}  // namespace dormouse::hibernate
