#include "imap/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "role/log.h"
#include "wire/link.h"
#include "wire/validate.h"

namespace dormouse::imap {
namespace {

// Stores kept open without a session, where the setting gives none, and the bytes that they may
// have: a busy one has up to 390 KiB, one at rest 60, so this is a thousand at rest. All are closed
// when nobody is awake (UserCache::tidy).
constexpr size_t kIdleUsersDefault = 1'000;
constexpr uint64_t kIdleStoreBytesMax = 64u << 20;
// Messages for a tracker that does not read: it sends us no new sessions either, so what is owed is
// at most one Ended a session, and a Load a second.
constexpr size_t kTrackerMessagesMax = 100'000;
// Changes for a watch that does not read. Beyond, it finds them by itself, only later.
constexpr size_t kWatchMessagesMax = 1'000;
constexpr uint64_t kHousekeepingMs = 1'000;
// Most steps of a command are shorter (a store that is not in memory takes longer to open), so a
// sleeper's command waits for one other's step, not for all that are ready.
constexpr uint64_t kLookMs = 1;
// A loop that is behind by less is only busy with one command.
constexpr uint64_t kLateMs = 50;

// Of kIdleStoreBytesMax, by level. An open store saves a refresh 0.5 ms, memory that is gone ends
// the server.
constexpr uint64_t idle_store_bytes_max(tuning::Pressure level) {
  switch (level) {
    case tuning::Pressure::kCalm:
      return kIdleStoreBytesMax;
    case tuning::Pressure::kBusy:
      return kIdleStoreBytesMax / 4;
    case tuning::Pressure::kPressed:
      return kIdleStoreBytesMax / 16;
    case tuning::Pressure::kCritical:
      break;
  }
  return 0;
}

}  // namespace

struct Worker::TrackerLink {
  TrackerLink(io::Loop& loop, io::Channel c)
      : channel(std::move(c)), outbox(loop, channel, kTrackerMessagesMax) {}
  // The reader then sees the end of the channel.
  void hang_up() { ::shutdown(channel.fd(), SHUT_RDWR); }
  io::Channel channel;
  wire::Outbox outbox;
};

struct Worker::WatchLink {
  WatchLink(io::Loop& loop, io::Channel c)
      : channel(std::move(c)), outbox(loop, channel, kWatchMessagesMax) {}
  io::Channel channel;
  wire::Outbox outbox;
  bool publish = false;
};

Worker::Worker(role::Process& process)
    : process_(process),
      host_(process.loop()),
      users_(process.loop(), process.start_message().switch_identity(),
             {.users = process.settings().worker().store_cache_users() != 0
                           ? process.settings().worker().store_cache_users()
                           : kIdleUsersDefault,
              .bytes = kIdleStoreBytesMax},
             process.start_message().clean_boots()) {
  host_.settings = process.settings().worker();
  host_.publisher = this;
}

Worker::~Worker() { DORMOUSE_CHECK(sessions_.empty(), "sessions end with the process's scope"); }

Result<> Worker::start() {
  statm_ = io::Fd(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  process_.loop().look_between(kLookMs);
  process_.scope().spawn(housekeeping());
  return {};
}

void Worker::reload() { host_.settings = process_.settings().worker(); }

void Worker::pressure(tuning::Pressure level, const std::string& /*text*/) {
  users_.set_bytes_max(idle_store_bytes_max(level));
  host_.pressure = level;
  for (auto& [key, running] : sessions_) running.session->pressure_changed();
}

void Worker::link(role::Link link) {
  io::Loop& loop = process_.loop();
  io::Scope& scope = process_.scope();
  if (link.peer == wire::MASTER) {
    scope.spawn(record(std::move(link.channel)));
  } else if (link.peer == wire::WATCH) {
    scope.spawn(serve_watch(std::make_unique<WatchLink>(loop, std::move(link.channel))));
  } else if (link.peer == wire::TRACKER) {
    scope.spawn(serve_tracker(std::make_unique<TrackerLink>(loop, std::move(link.channel))));
  }
}

// For an administrator who records a trace; a second one replaces the first.
io::Task<void> Worker::record(io::Channel channel) {
  TraceTap tap(process_.loop(), std::move(channel));
  host_.tap = &tap;
  co_await tap.run();
  if (host_.tap == &tap) host_.tap = nullptr;
}

// One tracker's life; a restarted one comes with a new link.
io::Task<void> Worker::serve_tracker(std::unique_ptr<TrackerLink> link) {
  io::Scope scope(process_.loop(), co_await io::current_scope());
  scope.set_urgency(io::Urgency::kNow);  // else a sleeper's command waits here already
  tracker_ = link.get();
  scope.spawn(link->outbox.run());
  tell_load();
  co_await scope.run(take_orders(*link));
  if (tracker_ == link.get()) tracker_ = nullptr;
  scope.cancel();
  co_await scope.join();
}

io::Task<void> Worker::take_orders(TrackerLink& link) {
  while (true) {
    auto received = co_await wire::receive<wire::TrackerToWorker>(process_.loop(), link.channel);
    if (!received) co_return;
    if (auto valid = wire::validate(received->message, received->fd_count); !valid) {
      role::log_error("tracker-misbehaves", {{"reason", valid.error().message}});
      co_return;
    }
    if (received->message.has_serve()) {
      accept(std::move(*received->message.mutable_serve()),
             io::Channel(std::move(received->fds[0])));
    } else if (received->message.has_retire()) {
      leaving_ = true;
      leave_if_empty();
    } else if (received->message.has_probe()) {
      wire::WorkerToTracker answer;
      answer.mutable_probed()->set_number(received->message.probe().number());
      if (!link.outbox.push(answer)) link.hang_up();
    }
  }
}

io::Task<void> Worker::serve_watch(std::unique_ptr<WatchLink> link) {
  io::Loop& loop = process_.loop();
  io::Scope scope(loop, co_await io::current_scope());
  watch_ = link.get();
  scope.spawn(link->outbox.run());
  while (true) {
    auto received = co_await wire::receive<wire::WatchToWorker>(loop, link->channel);
    if (!received) break;
    if (auto valid = wire::validate(received->message, received->fd_count); !valid) {
      role::log_error("watch-misbehaves", {{"reason", valid.error().message}});
      break;
    }
    link->publish = received->message.mode().publish();
  }
  if (watch_ == link.get()) watch_ = nullptr;
  scope.cancel();
  co_await scope.join();
}

bool Worker::wanted() const { return watch_ != nullptr && watch_->publish; }

void Worker::publish(uint64_t topic) {
  wire::WorkerToWatch message;
  message.mutable_published()->add_topics(topic);
  if (watch_ != nullptr && watch_->outbox.push(message)) ++published_;
}

void Worker::accept(wire::TrackerToWorker::Serve serve, io::Channel channel) {
  auto user = users_.acquire(serve.identity());
  if (!user) {
    // The channel closes: the den takes it as a worker that died before its first word.
    role::log_error("user-refused",
                    {{"user", serve.identity().user()}, {"reason", user.error().message}});
    tell_ended(serve.session(), serve.identity().user());
    return;
  }
  uint64_t key = next_key_++;
  Running& running = sessions_[key];
  running.user = *user;
  running.scope = std::make_unique<io::Scope>(process_.loop(), &process_.scope());
  running.scope->set_hook(&(*user)->identity());
  // Until Begin says what it is about: a sleeper's command goes before new sessions.
  running.scope->set_urgency(io::Urgency::kNow);
  running.session = std::make_unique<Session>(host_, **user, serve.session(),
                                              serve.remote_address(), std::move(channel));
  if (!shutdown_text_.empty()) running.session->shut_down(shutdown_text_);
  running.scope->spawn(running.session->run());
  process_.scope().spawn(live(key));
}

// Outside the user's identity, which only the session's own scope has.
io::Task<void> Worker::live(uint64_t key) {
  Running& running = sessions_.at(key);
  co_await running.scope->join();
  tell_ended(running.session->id(), running.user->name());
  User* user = running.user;
  sessions_.erase(key);
  users_.release(user);
  leave_if_empty();
}

void Worker::drain(uint32_t grace_ms, const std::string& text) {
  leaving_ = true;
  shutdown_text_ = text.empty() ? "Server shutting down." : text;
  for (auto& [key, running] : sessions_) running.session->shut_down(shutdown_text_);
  process_.scope().spawn(end_after(grace_ms));
  leave_if_empty();
}

io::Task<void> Worker::end_after(uint64_t grace_ms) {
  auto waited = co_await process_.loop().sleep(grace_ms);
  if (waited) process_.drained();  // cancels what is left
}

void Worker::leave_if_empty() {
  if (leaving_ && sessions_.empty()) process_.drained();
}

void Worker::tell_ended(uint64_t session, const std::string& user) {
  wire::WorkerToTracker message;
  message.mutable_ended()->set_session(session);
  message.mutable_ended()->set_user(user);
  // Without a tracker nobody needs to know: a new one starts from our Load.
  if (tracker_ != nullptr && !tracker_->outbox.push(message)) tracker_->hang_up();
}

void Worker::tell_load() {
  wire::WorkerToTracker message;
  message.mutable_load()->set_sessions(uint32_t(sessions_.size()));
  message.mutable_load()->set_memory_bytes(memory_bytes());
  message.mutable_load()->set_late_ms(late_ms_);
  if (tracker_ != nullptr && !tracker_->outbox.push(message)) tracker_->hang_up();
  told_sessions_ = sessions_.size();
  told_late_ms_ = late_ms_;
}

uint64_t Worker::memory_bytes() const {
  // "size resident shared ...", in pages.
  char text[128] = {};
  if (::pread(statm_.get(), text, sizeof text - 1, 0) <= 0) return 0;
  char* resident = nullptr;
  std::strtoull(text, &resident, 10);
  return std::strtoull(resident, nullptr, 10) * uint64_t(sysconf(_SC_PAGESIZE));
}

io::Task<void> Worker::housekeeping() {
  while (true) {
    uint64_t due_ms = process_.loop().now_ms() + kHousekeepingMs;
    auto waited = co_await process_.loop().sleep(kHousekeepingMs);
    if (!waited) co_return;
    uint64_t late_ms = process_.loop().now_ms() - std::min(due_ms, process_.loop().now_ms());
    late_ms_ = late_ms >= kLateMs ? uint32_t(std::min<uint64_t>(late_ms, UINT32_MAX)) : 0;
    if (!co_await tidy()) co_return;
    if (sessions_.size() != told_sessions_ || late_ms_ != told_late_ms_) tell_load();
  }
}

// A store at a time, since a sleeper's command may come meanwhile: all in one step took 28 ms where
// hundreds had been there.
io::Task<Result<void>> Worker::tidy() {
  UserCache::Tidied round;
  uint64_t key = next_key_;
  auto quiet = [this] { return sessions_.empty() && next_key_ == tidied_key_; };
  while (users_.tidy(quiet(), &round)) {
    if (auto others = co_await process_.loop().yield(); !others) co_return others;
  }
  tidied_key_ = key;
  co_return Result<>{};
}

std::string Worker::view() {
  const SessionCounters& count = host_.counters;
  std::string text = fmt::format(
      "worker sessions={} users={} memory_bytes={} logins={} attaches={} refreshes={} offers={} "
      "withdrawn={} parks={} crossed={} commands={} byes={} pressure={} client_kinds={} "
      "published={}\n",
      sessions_.size(), users_.users(), memory_bytes(), count.logins, count.attaches,
      count.refreshes, count.offers, count.withdrawn, count.parks, count.crossed, count.commands,
      count.byes, tuning::name_of(host_.pressure), host_.habits.kinds(), published_);
  for (const auto& [key, running] : sessions_) text += running.session->describe();
  return text;
}

}  // namespace dormouse::imap
