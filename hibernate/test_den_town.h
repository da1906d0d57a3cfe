#pragma once
// A den in a process of its own, and around it a test that plays everybody else: the master (with
// the ring and the slab), a login, the tracker, the watch, the worker and the client. Every
// handshake of relay.proto is forced step by step, so races are not left to luck.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "hibernate/den_main.h"
#include "hibernate/session.h"
#include "hibernate/slab.h"
#include "io/ring_setup.h"
#include "wire/control.pb.h"
#include "wire/den_tracker.pb.h"
#include "wire/den_watch.pb.h"
#include "wire/link.h"
#include "wire/login_den.pb.h"
#include "wire/relay.pb.h"

namespace dormouse::hibernate {

inline constexpr uint32_t kSlots = 256;
inline constexpr int kWaitMs = 5000;
// Of an arrival: later than any look of a worker's, by far.
inline constexpr uint64_t kLongAfterMs = uint64_t(1) << 40;

template <class T>
wire::Received<T> must_receive(io::Channel& channel) {
  pollfd wait{channel.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, kWaitMs), 1) << "no message came";
  auto got = wire::try_receive<T>(channel);
  EXPECT_TRUE(got) << (got ? "" : got.error().message);
  if (!got) return {};
  return std::move(*got);
}

inline bool must_close(io::Channel& channel) {
  pollfd wait{channel.fd(), POLLIN, 0};
  if (::poll(&wait, 1, kWaitMs) != 1) return false;
  auto got = channel.try_receive();
  return !got && got.error().kind == ErrorKind::kClosed;
}

template <class T>
void must_send(io::Channel& channel, const T& message, int fd = -1) {
  auto sent = wire::try_send(channel, message,
                             fd < 0 ? std::span<const int>() : std::span<const int>(&fd, 1));
  EXPECT_TRUE(sent) << (sent ? "" : sent.error().message);
}

// The client's end of a connection.
class Client {
 public:
  explicit Client(io::Fd fd) : fd_(std::move(fd)) {}
  void say(std::string_view text) {
    ASSERT_EQ(::write(fd_.get(), text.data(), text.size()), ssize_t(text.size()));
  }
  // Closes its direction; it goes on listening.
  void says_no_more() { ASSERT_EQ(::shutdown(fd_.get(), SHUT_WR), 0); }
  // Exactly this comes next.
  void hears(std::string_view text) {
    std::string got;
    while (got.size() < text.size()) {
      pollfd wait{fd_.get(), POLLIN, 0};
      if (::poll(&wait, 1, kWaitMs) != 1) break;
      char buffer[4096];
      ssize_t length = ::read(fd_.get(), buffer, std::min(sizeof buffer, text.size() - got.size()));
      if (length <= 0) break;
      got.append(buffer, size_t(length));
    }
    EXPECT_EQ(got, text);
  }
  // What comes next, whatever it is; empty: nothing, or the end.
  std::string receive() {
    pollfd wait{fd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kWaitMs) != 1) return {};
    std::string buffer(65536, '\0');
    ssize_t length = ::read(fd_.get(), buffer.data(), buffer.size());
    buffer.resize(size_t(std::max<ssize_t>(length, 0)));
    return buffer;
  }
  bool silent(int ms = 50) {
    pollfd wait{fd_.get(), POLLIN, 0};
    return ::poll(&wait, 1, ms) == 0;
  }
  bool has_something() {
    pollfd wait{fd_.get(), POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
  }
  bool closed() {
    pollfd wait{fd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kWaitMs) != 1) return false;
    char byte = 0;
    return ::read(fd_.get(), &byte, 1) <= 0;
  }

 private:
  io::Fd fd_;
};

class DenTest : public testing::Test {
 protected:
  void SetUp() override {
    io::SharedRingOptions options;
    options.sockets = kSlots;
    auto ring = io::make_shared_ring(options);
    ASSERT_TRUE(ring) << ring.error().message;
    ring_ = std::move(*ring);
    slab_ = io::Fd(memfd_create("den_test", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(slab_.get(), off_t(Slab::bytes_for(kSlots, 4096))), 0);
    start_den();
  }
  void TearDown() override { kill_den(); }

  void start_den() {
    auto control = io::Channel::pair();
    ASSERT_TRUE(control);
    den_ = fork();
    if (den_ == 0) {
      io::Fd high(::fcntl(control->second.fd(), F_DUPFD, 64));
      ::dup2(ring_.fd.get(), 4);
      ::dup2(high.get(), 3);
      _exit(den_main());
    }
    control_ = std::move(control->first);
    wire::MasterToRole start;
    start.mutable_start()->set_role(wire::DEN);
    auto* settings = start.mutable_start()->mutable_settings();
    settings->mutable_den()->set_sockets_per_shard(kSlots);
    settings->mutable_den()->set_keepalive_ms(keepalive_ms_);
    settings->mutable_den()->set_coalesce_ms(coalesce_ms_);
    *settings->mutable_pressure() = pressure_;
    settings->mutable_worker()->set_idle_timeout_ms(1'800'000);
    settings->set_log_level("error");
    must_send(control_, start);
    wire::MasterToRole ring;
    ring.mutable_resource()->set_kind(wire::MasterToRole::Resource::SHARD_RING);
    ring.mutable_resource()->set_data(&ring_.params, sizeof ring_.params);
    must_send(control_, ring);
    wire::MasterToRole slab;
    slab.mutable_resource()->set_kind(wire::MasterToRole::Resource::SHARD_SLAB);
    must_send(control_, slab, slab_.get());
    wire::MasterToRole go;
    go.mutable_go();
    must_send(control_, go);
    EXPECT_TRUE(must_receive<wire::RoleToMaster>(control_).message.has_ready());
    login_ = link(wire::LOGIN);
    tracker_ = link(wire::TRACKER);
    watch_ = link(wire::WATCH);
    EXPECT_TRUE(must_receive<wire::DenToLogin>(login_).message.load().accepting());
    EXPECT_TRUE(must_receive<wire::DenToTracker>(tracker_).message.has_census());
    wire::WatchToDen mode;
    *mode.mutable_mode() = mode_;
    mode.mutable_mode()->set_by_handle(true);
    mode.mutable_mode()->set_name("test");
    must_send(watch_, mode);
  }

  void kill_den() {
    if (den_ <= 0) return;
    ::kill(den_, SIGKILL);
    ::waitpid(den_, nullptr, 0);
    den_ = -1;
  }

  // What comes until it is let on lies there when the den looks, all of it. (A SIGCONT undoes a
  // SIGSTOP that has not arrived.)
  void stop_den() {
    int status = 0;
    ASSERT_EQ(::kill(den_, SIGSTOP), 0);
    ASSERT_EQ(::waitpid(den_, &status, WUNTRACED), den_);
    ASSERT_TRUE(WIFSTOPPED(status)) << "the den ended by itself";
  }
  void let_den_on() { ASSERT_EQ(::kill(den_, SIGCONT), 0); }

  // From here on the den stands still before and after each of its system calls until it is let on.
  // False: tracing is not permitted here.
  bool trace_den() {
    if (::ptrace(PTRACE_SEIZE, den_, 0, PTRACE_O_TRACESYSGOOD) != 0) return false;
    ::ptrace(PTRACE_INTERRUPT, den_, 0, 0);
    return ::waitpid(den_, nullptr, 0) == den_;
  }
  // Lets a traced den on, and kills it as soon as the client has something to hear: on its way back
  // from the system call that sent it, before it knows.
  void kill_den_as_it_sends(Client& client) {
    while (!client.has_something()) {
      int status = 0;
      ASSERT_EQ(::ptrace(PTRACE_SYSCALL, den_, 0, 0), 0);
      ASSERT_EQ(::waitpid(den_, &status, 0), den_);
      ASSERT_TRUE(WIFSTOPPED(status)) << "the den ended by itself";
    }
    kill_den();
  }

  // Kills it before the system call that would send what the slab has noted.
  void kill_den_before_it_sends() {
    constexpr size_t kHeaderPage = 4096;
    std::string before(kHeaderPage, '\0');
    std::string now(kHeaderPage, '\0');
    ASSERT_EQ(::pread(slab_.get(), before.data(), kHeaderPage, 0), ssize_t(kHeaderPage));
    do {
      int status = 0;
      ASSERT_EQ(::ptrace(PTRACE_SYSCALL, den_, 0, 0), 0);
      ASSERT_EQ(::waitpid(den_, &status, 0), den_);
      ASSERT_TRUE(WIFSTOPPED(status)) << "the den ended by itself";
      ASSERT_EQ(::pread(slab_.get(), now.data(), kHeaderPage, 0), ssize_t(kHeaderPage));
    } while (now == before);
    kill_den();
  }

  io::Channel link(wire::Role peer) {
    auto ends = io::Channel::pair();
    EXPECT_TRUE(ends);
    wire::MasterToRole message;
    message.mutable_link()->set_peer(peer);
    must_send(control_, message, ends->second.fd());
    return std::move(ends->first);
  }

  // Login hands a connection over.
  Client come(const char* tag = "a1") {
    int ends[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    io::Fd far(ends[1]);
    wire::LoginToDen message;
    auto* handover = message.mutable_handover();
    handover->set_grant(std::string(16, 'g'));
    handover->set_tag(tag);
    handover->set_remote_address("127.0.0.9");
    must_send(login_, message, far.get());
    return Client{io::Fd(ends[0])};
  }
  // And the tracker is asked: its request.
  Client hand_over(uint64_t& request) {
    Client client = come();
    auto asked = must_receive<wire::DenToTracker>(tracker_);
    EXPECT_TRUE(asked.message.has_open());
    session_ = asked.message.open().session();
    request = asked.message.open().request();
    worker_ = io::Channel(std::move(asked.fds[0]));
    return client;
  }
  // The tracker grants what was asked, and the worker gets Begin.
  void grant(uint64_t request) {
    wire::TrackerToDen opened;
    opened.mutable_opened()->set_request(request);
    opened.mutable_opened()->set_user("alice");
    opened.mutable_opened()->set_cookie(std::string(16, 'c'));
    must_send(tracker_, opened);
    auto begin = must_receive<wire::DenToWorker>(worker_);
    EXPECT_EQ(begin.message.begin().purpose(), wire::DenToWorker::NEW);
    EXPECT_EQ(begin.message.begin().tag(), "a1");
  }
  Client open_session() {
    uint64_t request = 0;
    Client client = hand_over(request);
    grant(request);
    worker_says("a1 OK Logged in\r\n");
    client.hears("a1 OK Logged in\r\n");
    return client;
  }

  void worker_says(const std::string& text) {
    wire::WorkerToDen message;
    message.set_data(text);
    must_send(worker_, message);
  }
  void worker_hears(const std::string& text) {
    std::string got;
    while (got.size() < text.size()) {
      auto message = must_receive<wire::DenToWorker>(worker_);
      if (!message.message.has_data()) break;
      got += message.message.data();
    }
    EXPECT_EQ(got, text);
  }

  void offer() {
    wire::WorkerToDen message;
    message.mutable_offer()->set_number(++offers_);
    auto* directory = message.mutable_offer()->add_directories();
    directory->set_handle("handle-of-inbox");
    directory->set_path("/mail/inbox");
    directory->set_topic(topic_);
    must_send(worker_, message);
  }
  void watch_subscribes() {
    auto asked = must_receive<wire::DenToWatch>(watch_);
    ASSERT_TRUE(asked.message.has_subscribe());
    subscribed_ = asked.message.subscribe();
    if (mode_.fsids().empty()) {
      EXPECT_EQ(subscribed_.directories(0).handle(), "handle-of-inbox");
    }
    watch_id_ = subscribed_.watch();
    wire::WatchToDen answer;
    answer.mutable_subscribed()->set_watch(watch_id_);
    answer.mutable_subscribed()->set_watched(true);
    answer.mutable_subscribed()->set_polled(polled_);
    must_send(watch_, answer);
  }
  void send_park(uint64_t consumed, const std::string& state) {
    wire::WorkerToDen message;
    message.mutable_park()->set_consumed_bytes(consumed);
    fill(message.mutable_park()->mutable_parked(), state);
    must_send(worker_, message);
  }
  void fill(wire::WorkerToDen::Parked* parked, const std::string& state) {
    parked->set_mode(wire::WorkerToDen::Parked::IDLE);
    parked->set_idle_tag("a2");
    parked->set_state(state);
    parked->set_small_talk(true);
    parked->set_announces(exists_ > 0);
    parked->set_exists(exists_);
    parked->set_pushes(pushes_);
  }
  // The whole four-step handshake, of a client in IDLE with tag a2.
  // `watched`: the mailbox is, for a session that was parked before.
  void park(Client& client, const std::string& state, bool watched = false) {
    client.say("a2 IDLE\r\n");
    worker_hears("a2 IDLE\r\n");
    worker_says("+ idling\r\n");
    client.hears("+ idling\r\n");
    offer();
    if (!watched) watch_subscribes();
    EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.ready().number(), offers_);
    send_park(9, state);
    EXPECT_TRUE(must_close(worker_)) << "parked: the worker's end is closed";
  }
  // The worker of a woken session answers its IDLE and parks it.
  void park_again(Client& client, uint64_t consumed) {
    worker_says("+ idling\r\n");
    client.hears("+ idling\r\n");
    ASSERT_TRUE(must_receive<wire::DenToWatch>(watch_).message.has_unsubscribe());
    offer();
    watch_subscribes();
    ASSERT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
    send_park(consumed, "state-1");
    ASSERT_TRUE(must_close(worker_));
  }
  void change() {
    wire::WatchToDen message;
    message.mutable_changed()->add_watches(watch_id_);
    must_send(watch_, message);
  }
  // Mail came after `after_ms`, CLOCK_MONOTONIC.
  void arrive(uint32_t count, uint64_t after_ms) {
    wire::WatchToDen message;
    auto* arrived = message.mutable_changed()->add_arrived();
    arrived->set_watch(watch_id_);
    arrived->set_count(count);
    message.mutable_changed()->set_after_ms(after_ms);
    must_send(watch_, message);
  }
  // What the den says of itself.
  std::string view() {
    wire::MasterToRole message;
    message.mutable_view()->set_request(1);
    must_send(control_, message);
    std::string text;
    for (bool last = false; !last;) {
      auto said = must_receive<wire::RoleToMaster>(control_).message;
      if (!said.has_view_text()) break;
      text += said.view_text().text();
      last = said.view_text().last();
    }
    return text;
  }
  // A worker is asked for; the test takes its place.
  wire::DenToTracker::Attach attached() {
    auto asked = must_receive<wire::DenToTracker>(tracker_);
    EXPECT_TRUE(asked.message.has_attach());
    worker_ = io::Channel(std::move(asked.fds[0]));
    return asked.message.attach();
  }
  void refresh(const std::string& text, const std::string& state) {
    if (!text.empty()) worker_says(text);
    wire::WorkerToDen message;
    fill(message.mutable_refreshed()->mutable_parked(), state);
    must_send(worker_, message);
  }

  io::SharedRing ring_;
  io::Fd slab_;
  pid_t den_ = -1;
  uint32_t keepalive_ms_ = 900'000;
  uint32_t coalesce_ms_ = 0;
  wire::Settings::Pressure pressure_;
  uint32_t exists_ = 0;  // what the worker says with a Park; 0: the den may announce nothing
  bool pushes_ = false;  // it has NOTIFY
  uint32_t offers_ = 0;
  uint32_t watch_id_ = 0;
  wire::WatchToDen::Mode mode_;             // what the watch says first, beside its name
  wire::DenToWatch::Subscribe subscribed_;  // the last one
  bool polled_ = false;                     // and what it was answered
  uint64_t topic_ = 0;                      // of the offered mailbox
  uint64_t session_ = 0;
  io::Channel control_, login_, tracker_, watch_, worker_;
};

}  // namespace dormouse::hibernate
