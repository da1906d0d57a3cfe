#pragma once
// For tests: a tracker whose dens, workers, auth and master are played by the test.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tracker/tracker.h"
#include "wire/link.h"

namespace dormouse::tracker {

inline wire::Settings::Tracker rig_settings() {
  wire::Settings::Tracker settings;
  settings.set_policy("shared");
  settings.set_max_workers(4);
  settings.set_sessions_per_worker(10);
  settings.set_sessions_per_user(3);
  settings.set_sessions_per_address(5);
  settings.set_worker_idle_ms(60'000);
  return settings;
}

class Rig {
 public:
  Rig(io::Loop* loop, io::Scope* parent, wire::Settings::Tracker settings = rig_settings(),
      size_t waiting_max = 0)
      : loop_(loop),
        parent_(parent),
        settings_(std::move(settings)),
        waiting_max_(waiting_max),
        epochs_(memfd_create("epochs", MFD_CLOEXEC)) {
    begin();
  }

  void begin() {
    scope_ = std::make_unique<io::Scope>(*loop_, parent_);
    TrackerOptions options;
    options.settings = settings_;
    options.secret = std::string(CookieKey::kKeyBytes, 's');
    options.epochs = io::Fd(dup(epochs_.get()));
    options.start_worker = [this](const wire::RoleToMaster::StartWorker& start) {
      starts.push_back(start);
    };
    options.tell_strain = [this](const wire::RoleToMaster::Strain& strain) {
      strains.push_back(strain);
    };
    options.waiting_max = waiting_max_;
    auto made = Tracker::create(*loop_, *scope_, std::move(options));
    ASSERT_TRUE(made) << (made ? "" : made.error().message);
    tracker_ = std::move(*made);
    tracker_->start();
  }
  // As kill -9 would: nothing is said to anybody.
  io::Task<void> end() {
    scope_->cancel();
    co_await scope_->join();
    tracker_.reset();
    scope_.reset();
    starts.clear();
  }
  io::Task<void> restart() {
    co_await end();
    begin();
  }

  Tracker& operator*() { return *tracker_; }
  Tracker* operator->() { return tracker_.get(); }

  // Our end of a new link.
  io::Channel connect(wire::Role role, uint32_t index, uint64_t request = 0, uint32_t uid = 0) {
    auto ends = io::Channel::pair();
    EXPECT_TRUE(ends);
    role::Link link;
    link.peer = role;
    link.index = index;
    link.request = request;
    link.uid = uid;
    link.channel = std::move(ends->first);
    tracker_->link(std::move(link));
    return std::move(ends->second);
  }
  // The next message from the tracker; a default one, and a failure, when none comes.
  template <class T>
  io::Task<T> next(io::Channel* channel) {
    auto got = co_await io::with_timeout<wire::Received<T>>(kPatienceMs,
                                                            wire::receive<T>(*loop_, *channel));
    EXPECT_TRUE(got) << (got ? "" : got.error().message);
    if (!got) co_return T();
    last_fd = std::move(got->fds[0]);
    co_return got->message;
  }
  // True when the tracker has closed the link.
  io::Task<bool> closed(io::Channel* channel) {
    while (true) {
      auto got = co_await io::with_timeout<io::Message>(kPatienceMs, channel->receive(*loop_));
      if (!got) co_return got.error().kind == ErrorKind::kClosed;
    }
  }
  // Until what was sent to the tracker has been taken: answers need no time beyond turns.
  io::Task<void> settle() {
    for (int i = 0; i < 20; ++i) [[maybe_unused]]
      auto turn = co_await loop_->sleep(1);
  }

  io::Task<bool> settle_turns(int turns) {
    for (int i = 0; i < turns; ++i) {
      if (auto turn = co_await loop_->sleep(1); !turn) co_return false;
    }
    co_return true;
  }

  wire::AuthToTracker grant(char name, const std::string& user, uint32_t uid = 1000) {
    wire::AuthToTracker message;
    message.mutable_grant()->set_request(uint64_t(name));
    message.mutable_grant()->set_grant(std::string(wire::kGrantBytes, name));
    *message.mutable_grant()->mutable_identity() = identity(user, uid);
    return message;
  }
  static wire::Identity identity(const std::string& user, uint32_t uid = 1000) {
    wire::Identity identity;
    identity.set_user(user);
    identity.set_uid(uid);
    identity.set_gid(uid);
    identity.set_home("/home/" + user);
    return identity;
  }
  // Sends with one end of a fresh relay channel, whose other end is answered.
  io::Channel send_with_relay(io::Channel& den, const wire::DenToTracker& message) {
    auto relay = io::Channel::pair();
    EXPECT_TRUE(relay);
    int fd = relay->second.fd();
    EXPECT_TRUE(wire::try_send(den, message, std::span(&fd, 1)));
    return std::move(relay->first);
  }
  io::Channel open(io::Channel& den, char grant_name, uint64_t session,
                   const std::string& address = "192.0.2.1") {
    wire::DenToTracker message;
    message.mutable_open()->set_request(session);
    message.mutable_open()->set_session(session);
    message.mutable_open()->set_remote_address(address);
    message.mutable_open()->set_grant(std::string(wire::kGrantBytes, grant_name));
    return send_with_relay(den, message);
  }
  io::Channel attach(io::Channel& den, const std::string& user, uint64_t session,
                     const std::string& cookie, uint32_t attempt = 0,
                     wire::DenToTracker::Purpose purpose = wire::DenToTracker::INPUT) {
    wire::DenToTracker message;
    auto* attach = message.mutable_attach();
    attach->set_request(session);
    attach->set_session(session);
    attach->set_user(user);
    attach->set_cookie(cookie);
    attach->set_attempt(attempt);
    attach->set_purpose(purpose);
    return send_with_relay(den, message);
  }
  // The cookie that this tracker would give.
  static std::string cookie(const std::string& user, uint64_t session, uint32_t epoch = 0) {
    auto key = CookieKey::create(std::string(CookieKey::kKeyBytes, 's'));
    Cookie made = key->make(user, session, epoch);
    return std::string(made.data(), made.size());
  }
  void send_closed(io::Channel& den, const std::string& user, uint64_t session,
                   const std::string& address = "192.0.2.1") {
    wire::DenToTracker message;
    message.mutable_closed()->set_user(user);
    message.mutable_closed()->set_session(session);
    message.mutable_closed()->set_remote_address(address);
    EXPECT_TRUE(wire::try_send(den, message));
  }
  void send_census(io::Channel& den, const std::string& user, uint32_t sessions,
                   const std::string& address = "192.0.2.1") {
    wire::DenToTracker message;
    if (sessions > 0) {
      auto* entry = message.mutable_census()->add_entries();
      entry->set_user(user);
      entry->set_sessions(sessions);
      entry->set_remote_address(address);
    }
    message.mutable_census()->set_last(true);
    EXPECT_TRUE(wire::try_send(den, message));
  }
  void send_ended(io::Channel& worker, uint64_t session) {
    wire::WorkerToTracker message;
    message.mutable_ended()->set_session(session);
    EXPECT_TRUE(wire::try_send(worker, message));
  }

  std::vector<wire::RoleToMaster::StartWorker> starts;
  std::vector<wire::RoleToMaster::Strain> strains;
  io::Fd last_fd;  // that came with the last message

 private:
  // Far beyond any answer's time on a loaded machine: only a missing answer takes it.
  static constexpr uint64_t kPatienceMs = 20'000;

  io::Loop* loop_;
  io::Scope* parent_;
  wire::Settings::Tracker settings_;
  size_t waiting_max_;
  io::Fd epochs_;
  std::unique_ptr<io::Scope> scope_;
  std::unique_ptr<Tracker> tracker_;
};

// Runs a test's coroutine with a rig of its own.
inline void run_with_rig(io::Task<void> (*body)(Rig*),
                         wire::Settings::Tracker settings = rig_settings(),
                         size_t waiting_max = 0) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  struct Main {
    static io::Task<int> run(io::Loop* loop, io::Task<void> (*body)(Rig*),
                             wire::Settings::Tracker settings, size_t waiting_max) {
      Rig rig(loop, co_await io::current_scope(), std::move(settings), waiting_max);
      co_await body(&rig);
      co_await rig.end();
      co_return 0;
    }
  };
  (*loop)->run(Main::run(loop->get(), body, std::move(settings), waiting_max));
}

// A user logs in: grant, Open, Opened. Answers the cookie.
inline io::Task<std::string> log_in(Rig* rig, io::Channel* auth, io::Channel* den, std::string user,
                                    char grant, uint64_t session, io::Channel* relay,
                                    std::string address = "192.0.2.1", uint32_t uid = 1000) {
  EXPECT_TRUE(wire::try_send(*auth, rig->grant(grant, user, uid)));
  auto stored = co_await rig->next<wire::TrackerToAuth>(auth);
  EXPECT_EQ(stored.grant_stored().request(), uint64_t(grant));
  *relay = rig->open(*den, grant, session, address);
  auto opened = co_await rig->next<wire::TrackerToDen>(den);
  EXPECT_TRUE(opened.has_opened());
  EXPECT_EQ(opened.opened().request(), session);
  EXPECT_EQ(opened.opened().user(), user);
  co_return opened.opened().cookie();
}

}  // namespace dormouse::tracker
