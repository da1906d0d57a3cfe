#include "hibernate/watch/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "role/log.h"

namespace dormouse::hibernate {
namespace {

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
  auto watch = std::unique_ptr<Watch>(new Watch(loop, scope, options));
  watch->choose(options);
  return watch;
}

Watch::Watch(io::Loop& loop, io::Scope& scope, WatchOptions& options)
    : loop_(loop),
      scope_(scope),
      settings_(options.settings),
      stores_(std::move(options.stores)),
      notice_sockets_(std::move(options.notices)),
      notices_(loop, std::move(options.notice_key), options.settings.notice_window_ms()),
      stir_(loop) {
  hears_machines_ = std::ranges::any_of(notice_sockets_, &NoticeSocket::sealed);
}

Watch::~Watch() = default;

void Watch::start() {
  role::log_info("watch_backend", {{"backend", backend()}, {"why", why_}});
  for (const std::string& reason : stores_.reasons()) {
    role::log_warning("not_under_fanotify", {{"store", reason}});
  }
  loop_.look_between(kLookMs);
  scope_.spawn(listen_all());
  for (const NoticeSocket& socket : notice_sockets_) scope_.spawn(notices_.run(&socket, this));
  scope_.spawn(settle());
}

// Keeps the moment after which an arrival is known to have come near to now.
io::Task<void> Watch::settle() {
  while (true) {
    stir_.clear();
    if (loop_.now_ms() > stirred_ms_ + kSettleMs && !co_await stir_.wait()) co_return;
    if (!co_await loop_.sleep(kSettleStepMs)) co_return;
    for (ChangeSource* source : sources()) source->take_queued(*this);
  }
}

// What changed goes before what dens ask for: in a storm of logins that is two directories each.
// Polling is no news until it has looked, which is long work of its own.
io::Task<void> Watch::listen_all() {
  io::Scope scope(loop_, &scope_);
  scope.set_urgency(io::Urgency::kNow);
  for (ChangeSource* source : sources()) {
    (source == polling_.get() ? scope_ : scope).spawn(listen(source));
  }
  co_await scope.join();
}

io::Task<void> Watch::listen(ChangeSource* source) {
  auto ended = co_await source->run(*this);
  if (ended || ended.error().kind == ErrorKind::kCancelled) co_return;
  // Without its source the watch would be silently deaf. The master starts another.
  bug(__FILE__, __LINE__, "a source of changes", ended.error().message);
}

void Watch::reload(const wire::Settings::Watch& settings) {
  settings_.set_polling_ms(settings.polling_ms());
  if (polling_) polling_->set_interval(settings.polling_ms());
  settings_.set_notice_window_ms(settings.notice_window_ms());
  notices_.set_window(settings.notice_window_ms());
}

void Watch::forget(std::vector<DirectoryKey>& unused) {
  std::ranges::sort(unused);
  auto again = std::ranges::unique(unused);
  unused.erase(again.begin(), again.end());
  for (DirectoryKey key : unused) {
    if (ChangeSource* source = source_of(key)) source->remove(key);
  }
  unused.clear();
}

Result<bool> Watch::subscribe_all(Den& den, const wire::DenToWatch::Subscribe& request) {
  std::vector<DirectoryKey> keys;  // each once, in the order of the request: at most kMaxSubscribed
  Result<> result;
  if (request.watch() > WatchTable::kWatchMax) {
    return fail(ErrorKind::kInvalid, "a watch's number has 31 bits");
  }
  auto take = [&](DirectoryKey key) {
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  };
  bool polled = false;
  for (const auto& directory : request.directories()) {
    if (directory.handle().empty() && directory.path().empty()) continue;  // a topic
    auto added = add(directory);
    if (!added) {
      result = std::unexpected(added.error());
      break;
    }
    polled |= added->polled;
    take(added->key);
  }
  for (const auto& directory : request.directories()) {
    bool wanted = directory.topic() != 0 && (polled || hears_machines_);
    if (wanted) take(topic_key(directory.topic(), polled));
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
  if (!result) return std::unexpected(result.error());
  return polled;
}

void Watch::subscribe(Den& den, const wire::DenToWatch::Subscribe& request) {
  Result<bool> done = subscribe_all(den, request);
  wire::WatchToDen answer;
  auto* message = answer.mutable_subscribed();
  message->set_watch(request.watch());
  message->set_watched(bool(done));
  if (done) {
    message->set_polled(*done);
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
  // Each source has a moment of its own.
  den->arrived_after_ms =
      den->arrived.empty() ? after_ms : std::min(den->arrived_after_ms, after_ms);
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
  std::string out = fmt::format("backend={} why=\"{}\"\n", backend(), why_);
  for (ChangeSource* source : sources()) {
    fmt::format_to(std::back_inserter(out), "source={} {}\n", source->name(), source->state());
  }
  for (const std::string& reason : stores_.reasons()) {
    fmt::format_to(std::back_inserter(out), "not_under_fanotify store=\"{}\"\n", reason);
  }
  if (polling_) {
    fmt::format_to(std::back_inserter(out), "ever_polled no_inotify_watch={} shared_store={}\n",
                   fallen_back_, shared_);
  }
  fmt::format_to(std::back_inserter(out),
                 "directories={} subscriptions={} table_bytes={} changes={} arrivals={} "
                 "moved_on={} lost={} subscribed={} refused={}\n",
                 table_.directories(), table_.subscriptions(), table_.bytes(), changes_, arrivals_,
                 moved_on_, lost_, subscribed_, refused_);
  fmt::format_to(std::back_inserter(out),
                 "topics told={} unwanted={} workers={} workers_publish={}\n", topics_told_,
                 topics_unwanted_, workers_.size(), publishing_);
  if (!notice_sockets_.empty()) out += notices_.view();
  for (const Den* den : dens_) {
    if (den == nullptr) continue;
    fmt::format_to(std::back_inserter(out), "den index={} told={} pending={} unread={}\n",
                   den->link.index, den->told, den->pending.size(), den->outbox.size());
  }
  return out;
}

}  // namespace dormouse::hibernate
