// A den in a process of its own, and around it a test that plays everybody else: the master (with
// the ring and the slab), a login, the tracker, the watch, the worker and the client. Every
// handshake of relay.proto is forced step by step, so races are not left to luck.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "compress/deflate_stream.h"
#include "compress/inflate_stream.h"
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
namespace {

constexpr uint32_t kSlots = 64;
constexpr int kWaitMs = 5000;

template <class T>
wire::Received<T> must_receive(io::Channel& channel) {
  pollfd wait{channel.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, kWaitMs), 1) << "no message came";
  auto got = wire::try_receive<T>(channel);
  EXPECT_TRUE(got) << (got ? "" : got.error().message);
  if (!got) return {};
  return std::move(*got);
}

bool must_close(io::Channel& channel) {
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

  io::Channel link(wire::Role peer) {
    auto ends = io::Channel::pair();
    EXPECT_TRUE(ends);
    wire::MasterToRole message;
    message.mutable_link()->set_peer(peer);
    must_send(control_, message, ends->second.fd());
    return std::move(ends->first);
  }

  // Login hands a connection over; the tracker is asked and grants it; the worker gets Begin.
  Client open_session() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    io::Fd far(ends[1]);
    wire::LoginToDen message;
    auto* handover = message.mutable_handover();
    handover->set_grant(std::string(16, 'g'));
    handover->set_tag("a1");
    handover->set_remote_address("127.0.0.9");
    must_send(login_, message, far.get());
    auto asked = must_receive<wire::DenToTracker>(tracker_);
    EXPECT_TRUE(asked.message.has_open());
    session_ = asked.message.open().session();
    worker_ = io::Channel(std::move(asked.fds[0]));
    wire::TrackerToDen opened;
    opened.mutable_opened()->set_request(asked.message.open().request());
    opened.mutable_opened()->set_user("alice");
    opened.mutable_opened()->set_cookie(std::string(16, 'c'));
    must_send(tracker_, opened);
    auto begin = must_receive<wire::DenToWorker>(worker_);
    EXPECT_EQ(begin.message.begin().purpose(), wire::DenToWorker::NEW);
    EXPECT_EQ(begin.message.begin().tag(), "a1");
    worker_says("a1 OK Logged in\r\n");
    Client client{io::Fd(ends[0])};
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
    must_send(worker_, message);
  }
  void watch_subscribes() {
    auto asked = must_receive<wire::DenToWatch>(watch_);
    ASSERT_TRUE(asked.message.has_subscribe());
    EXPECT_EQ(asked.message.subscribe().directories(0).handle(), "handle-of-inbox");
    watch_id_ = asked.message.subscribe().watch();
    wire::WatchToDen answer;
    answer.mutable_subscribed()->set_watch(watch_id_);
    answer.mutable_subscribed()->set_watched(true);
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
  }
  // The whole four-step handshake, of a client in IDLE with tag a2.
  void park(Client& client, const std::string& state) {
    client.say("a2 IDLE\r\n");
    worker_hears("a2 IDLE\r\n");
    worker_says("+ idling\r\n");
    client.hears("+ idling\r\n");
    offer();
    watch_subscribes();
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
  uint32_t exists_ = 0;  // what the worker says with a Park; 0: the den may announce nothing
  uint32_t offers_ = 0;
  uint32_t watch_id_ = 0;
  uint64_t session_ = 0;
  io::Channel control_, login_, tracker_, watch_, worker_;
};

TEST_F(DenTest, done_is_answered_with_no_worker_and_a_command_attaches_with_the_state) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  client.say("a3 IDLE\r\n");
  client.hears("+ idling\r\n");
  client.say("DONE\r\na4 FETCH 1 ALL\r\n");
  client.hears("a3 OK Idle completed.\r\n");
  auto attach = attached();
  EXPECT_EQ(attach.user(), "alice");
  EXPECT_EQ(attach.cookie(), std::string(16, 'c'));
  EXPECT_EQ(attach.session(), session_);
  EXPECT_EQ(attach.purpose(), wire::DenToTracker::INPUT);
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.state(), "state-1");
  EXPECT_EQ(begin.mode(), wire::WorkerToDen::Parked::SELECTED);
  worker_hears("a4 FETCH 1 ALL\r\n");
  worker_says("a4 OK\r\n");
  client.hears("a4 OK\r\n");
}

TEST_F(DenTest, a_command_that_crosses_the_park_is_relayed_once_and_the_session_stays) {
  Client client = open_session();
  client.say("a2 IDLE\r\n");
  worker_hears("a2 IDLE\r\n");
  worker_says("+ idling\r\n");
  client.hears("+ idling\r\n");
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  // The client speaks before the worker's Park, which does not know of it.
  client.say("DONE\r\n");
  worker_hears("DONE\r\n");
  send_park(9, "too-old");
  auto gone = must_receive<wire::DenToWatch>(watch_);
  EXPECT_TRUE(gone.message.has_unsubscribe());
  worker_says("a2 OK from the worker\r\n");
  client.hears("a2 OK from the worker\r\n");
  EXPECT_TRUE(client.silent()) << "answered once";
  // And it can park after all.
  client.say("a5 IDLE\r\n");
  worker_hears("a5 IDLE\r\n");
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  send_park(9 + 6 + 9, "newer");
  EXPECT_TRUE(must_close(worker_));
}

TEST_F(DenTest, a_change_between_ready_and_park_is_refreshed_at_once) {
  Client client = open_session();
  client.say("a2 IDLE\r\n");
  worker_hears("a2 IDLE\r\n");
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  change();
  send_park(9, "state-1");
  auto attach = attached();
  EXPECT_EQ(attach.purpose(), wire::DenToTracker::REFRESH);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  refresh("* 3 EXISTS\r\n", "state-2");
  client.hears("* 3 EXISTS\r\n");
}

TEST_F(DenTest, a_refresh_leaves_the_session_parked_with_its_new_state) {
  Client client = open_session();
  park(client, "state-1");
  for (int round = 2; round < 6; ++round) {
    change();
    attached();
    auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
    EXPECT_EQ(begin.purpose(), wire::DenToWorker::REFRESH);
    EXPECT_EQ(begin.state(), "state-" + std::to_string(round - 1));
    refresh("* " + std::to_string(round) + " EXISTS\r\n", "state-" + std::to_string(round));
    client.hears("* " + std::to_string(round) + " EXISTS\r\n");
  }
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

// Later than any look of a worker's, by far.
constexpr uint64_t kLongAfterMs = uint64_t(1) << 40;

TEST_F(DenTest, mail_that_arrived_is_announced_with_no_worker_and_the_next_one_hears_how_much) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  arrive(2, kLongAfterMs);
  client.hears("* 8 EXISTS\r\n");
  // Also by a den that finds the record.
  ::usleep(100'000);
  kill_den();
  start_den();
  watch_subscribes();
  attached();
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.state(), "state-1");
  EXPECT_EQ(begin.exists(), 8u);
  exists_ = 8;
  refresh("", "state-2");
  // The sweep at adoption; and one more where the watch answered after that one had begun.
  pollfd again{tracker_.fd(), POLLIN, 0};
  if (::poll(&again, 1, 300) == 1) {
    attached();
    must_receive<wire::DenToWorker>(worker_);
    refresh("", "state-2");
    ::usleep(50'000);
  }
  arrive(1, kLongAfterMs);
  client.hears("* 9 EXISTS\r\n");
  client.say("DONE\r\na3 FETCH 9 ALL\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.state(), "state-2");
  EXPECT_EQ(begin.exists(), 9u);
}

TEST_F(DenTest, mail_that_a_worker_may_have_counted_already_is_left_to_a_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  arrive(1, 0);
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 5u);
  // And so is what comes while one looks, and then while another change waits.
  arrive(1, kLongAfterMs);
  ::usleep(20'000);
  exists_ = 6;
  refresh("* 6 EXISTS\r\n", "state-2");
  client.hears("* 6 EXISTS\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-2");
  exists_ = 7;
  refresh("* 7 EXISTS\r\n", "state-3");
  client.hears("* 7 EXISTS\r\n");
}

TEST_F(DenTest, outside_idle_an_arrival_waits_for_a_command) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  arrive(1, kLongAfterMs);
  EXPECT_TRUE(client.silent());
  client.say("a3 NOOP\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 5u);
  worker_hears("a3 NOOP\r\n");
}

// A change and the client's word at one moment: whichever the den sees first, the word is answered.
TEST_F(DenTest, a_word_that_comes_as_a_refresh_begins_is_not_lost) {
  Client client = open_session();
  park(client, "state-1");
  for (int round = 0; round < 50 && !HasFailure(); ++round) {
    client.say("DONE\r\n");
    change();
    pollfd wait{tracker_.fd(), POLLIN, 0};
    bool asked = ::poll(&wait, 1, 5) == 1;
    bool awake = false;
    if (asked) {
      attached();
      auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
      if (begin.purpose() == wire::DenToWorker::REFRESH) {
        refresh("", "state-1");
      } else {
        // The change was seen first: a worker tells it before it ends the IDLE.
        worker_hears("DONE\r\n");
        worker_says("a2 OK Idle completed.\r\n");
        awake = true;
      }
    }
    client.hears("a2 OK Idle completed.\r\n");
    client.say("a2 IDLE\r\n");
    if (!awake && ::poll(&wait, 1, 5) == 1) {
      attached();
      must_receive<wire::DenToWorker>(worker_);
      awake = true;
      worker_hears("a2 IDLE\r\n");
      park_again(client, 9);
    } else if (awake) {
      worker_hears("a2 IDLE\r\n");
      park_again(client, 6 + 9);
    } else {
      client.hears("+ idling\r\n");
    }
  }
}

// An arrival and a command at one moment: the announcement and the woken session must not both
// send.
TEST_F(DenTest, an_arrival_as_the_client_speaks_is_announced_or_left_to_the_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  uint32_t told = exists_;
  for (int round = 0; round < 50 && !HasFailure(); ++round) {
    client.say("DONE\r\na3 CHECK\r\n");
    arrive(1, kLongAfterMs);
    auto attach = attached();
    auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
    ASSERT_EQ(attach.purpose(), wire::DenToTracker::INPUT);
    bool announced = begin.exists() == told + 1;
    if (announced) client.hears("* " + std::to_string(told + 1) + " EXISTS\r\n");
    bool done = begin.mode() == wire::WorkerToDen::Parked::SELECTED;
    worker_hears(done ? "a3 CHECK\r\n" : "DONE\r\na3 CHECK\r\n");
    worker_says(done ? "a3 OK\r\n" : "a2 OK Idle completed.\r\na3 OK\r\n");
    client.hears("a2 OK Idle completed.\r\na3 OK\r\n");
    told = ++exists_;
    client.say("a2 IDLE\r\n");
    worker_hears("a2 IDLE\r\n");
    park_again(client, (done ? 10 : 16) + 9);
  }
}

TEST_F(DenTest, a_den_whose_tracker_died_answers_small_talk_and_asks_the_next_one) {
  Client client = open_session();
  park(client, "state-1");
  // The tracker dies with the question on its way: its link still takes messages for a moment.
  client.say("DONE\r\na3 CHECK\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  tracker_.close();
  Client other = [this] {
    int ends[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    io::Fd far(ends[1]);
    wire::LoginToDen message;
    message.mutable_handover()->set_grant(std::string(16, 'g'));
    message.mutable_handover()->set_tag("b1");
    message.mutable_handover()->set_remote_address("127.0.0.9");
    must_send(login_, message, far.get());
    return Client{io::Fd(ends[0])};
  }();
  EXPECT_TRUE(other.silent(100)) << "it waits for a tracker";
  tracker_ = link(wire::TRACKER);
  EXPECT_TRUE(must_receive<wire::DenToTracker>(tracker_).message.has_census());
  bool resumed = false;
  bool opened = false;
  for (int i = 0; i < 2; ++i) {
    auto asked = must_receive<wire::DenToTracker>(tracker_);
    resumed |= asked.message.has_attach();
    opened |= asked.message.has_open();
  }
  EXPECT_TRUE(resumed && opened);
}

TEST_F(DenTest, what_the_client_says_during_a_refresh_waits_for_it) {
  Client client = open_session();
  park(client, "state-1");
  change();
  attached();
  client.say("DONE\r\n");
  EXPECT_TRUE(client.silent());
  refresh("* 3 EXISTS\r\n", "state-2");
  client.hears("* 3 EXISTS\r\na2 OK Idle completed.\r\n");
}

TEST_F(DenTest, a_change_during_a_refresh_makes_another_one) {
  Client client = open_session();
  park(client, "state-1");
  change();
  attached();
  change();
  ::usleep(20'000);
  refresh("* 3 EXISTS\r\n", "state-2");
  client.hears("* 3 EXISTS\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-2");
  refresh("", "state-3");
  EXPECT_TRUE(client.silent());
}

TEST_F(DenTest, a_worker_that_dies_before_its_first_word_is_replaced_and_hears_it_all) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 NOOP extra\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  EXPECT_EQ(attached().attempt(), 0u);
  must_receive<wire::DenToWorker>(worker_);
  worker_hears("a3 NOOP extra\r\n");
  worker_.close();
  EXPECT_EQ(attached().attempt(), 1u);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  worker_hears("a3 NOOP extra\r\n");
  worker_says("a3 BAD\r\n");
  client.hears("a3 BAD\r\n");
  worker_.close();
  client.hears("* BYE Internal error: the session's worker is gone\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(DenTest, a_refresh_that_no_worker_can_answer_is_put_off_and_small_talk_goes_on) {
  Client client = open_session();
  park(client, "state-1");
  change();
  for (uint32_t attempt = 0; attempt <= kAttemptsMax; ++attempt) {
    EXPECT_EQ(attached().attempt(), attempt);
    must_receive<wire::DenToWorker>(worker_);
    worker_.close();
  }
  change();
  pollfd wait{tracker_.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 300), 0) << "not tried again at once, by another change neither";
  // A command does not wait for it.
  client.say("DONE\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().purpose(),
            wire::DenToWorker::INPUT);
  worker_hears("DONE\r\n");
}

TEST_F(DenTest, a_killed_den_loses_no_sleeper_nor_what_it_says_meanwhile) {
  Client client = open_session();
  park(client, "state-1");
  Client second = open_session();
  second.say("a2 IDLE\r\n");
  worker_hears("a2 IDLE\r\n");
  offer();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready()) << "already watched";
  send_park(9, "state-b");
  EXPECT_TRUE(must_close(worker_));
  kill_den();
  second.say("DONE\r\n");
  EXPECT_TRUE(client.silent());
  start_den();
  // The new one watches again, and looks at every sleeper, since a change may have been missed.
  watch_subscribes();
  second.hears("a2 OK Idle completed.\r\n");
  auto attach = attached();
  EXPECT_EQ(attach.purpose(), wire::DenToTracker::SWEEP);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  refresh("* 9 EXISTS\r\n", "state-2");
  client.hears("* 9 EXISTS\r\n");
  change();
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-2");
  refresh("* 10 EXISTS\r\n", "state-3");
  client.hears("* 10 EXISTS\r\n");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(DenTest, a_den_killed_while_it_waits_for_a_worker_leaves_the_command_to_the_next) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 CHECK\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  // The den learns that its answer is out; killed before, it would leave a record half sent.
  ::usleep(100'000);
  kill_den();
  start_den();
  watch_subscribes();
  EXPECT_EQ(attached().purpose(), wire::DenToTracker::INPUT);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  worker_hears("a3 CHECK\r\n");
  worker_says("a3 OK\r\n");
  client.hears("a3 OK\r\n");
}

TEST_F(DenTest, sleepers_hear_from_the_server_now_and_then) {
  kill_den();
  keepalive_ms_ = 1000;
  start_den();
  Client client = open_session();
  park(client, "state-1");
  client.hears("* OK Still here\r\n* OK Still here\r\n");
}

TEST_F(DenTest, a_client_that_leaves_is_told_to_the_tracker) {
  {
    Client client = open_session();
    park(client, "state-1");
  }
  auto said = must_receive<wire::DenToTracker>(tracker_);
  EXPECT_EQ(said.message.closed().user(), "alice");
  EXPECT_EQ(said.message.closed().session(), session_);
}

TEST_F(DenTest, a_refused_login_gets_a_tagged_no_and_a_bye) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Client client{io::Fd(ends[0])};
  {
    io::Fd far(ends[1]);
    wire::LoginToDen message;
    message.mutable_handover()->set_grant(std::string(16, 'g'));
    message.mutable_handover()->set_tag("a1");
    must_send(login_, message, far.get());
  }
  auto asked = must_receive<wire::DenToTracker>(tracker_);
  wire::TrackerToDen refused;
  refused.mutable_refused()->set_request(asked.message.open().request());
  refused.mutable_refused()->set_permanent(true);
  refused.mutable_refused()->set_response_code("LIMIT");
  refused.mutable_refused()->set_text("Too many sessions");
  must_send(tracker_, refused);
  client.hears("a1 NO [LIMIT] Too many sessions\r\n* BYE Too many sessions\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(DenTest, a_drain_says_bye_to_sleepers_and_ends_the_process) {
  Client client = open_session();
  park(client, "state-1");
  wire::MasterToRole message;
  message.mutable_drain()->set_grace_ms(5000);
  message.mutable_drain()->set_text("Server is going down");
  must_send(control_, message);
  client.hears("* BYE Server is going down\r\n");
  EXPECT_TRUE(client.closed());
  int status = 0;
  ASSERT_EQ(::waitpid(den_, &status, 0), den_);
  den_ = -1;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// A client that has COMPRESS in force, over its end of the connection.
class DeflatedClient {
 public:
  explicit DeflatedClient(Client& plain)
      : plain_(plain), inflate_(*compress::InflateStream::create()) {}
  void say(std::string_view text) {
    compress::Bytes wire;
    // Above the size that goes out stored: later words refer to earlier ones, as a client's do.
    ASSERT_TRUE(
        deflate_.put(first_ ? std::string(compress::kStoredBytesMax, ' ') + "\r\n" : "", wire));
    ASSERT_TRUE(deflate_.put(text, wire));
    first_ = false;
    plain_.say({reinterpret_cast<const char*>(wire.data()), wire.size()});
  }
  void hears(std::string_view text) {
    std::string got;
    while (got.size() < text.size()) {
      std::string wire = plain_.receive();
      if (wire.empty()) break;
      auto taken = inflate_.take(std::as_bytes(std::span(wire)), got, 1 << 20);
      if (taken.event != compress::InflateStream::Event::kNeedInput) break;
    }
    EXPECT_EQ(got, text);
  }
  static std::string first_words() { return std::string(compress::kStoredBytesMax, ' ') + "\r\n"; }

 private:
  Client& plain_;
  bool first_ = true;
  compress::DeflateStream deflate_;
  compress::InflateStream inflate_;
};

class CompressTest : public DenTest {
 protected:
  // The client asks, the worker agrees.
  void start_compress(Client& client) {
    client.say("c COMPRESS DEFLATE\r\n");
    worker_hears("c COMPRESS DEFLATE\r\n");
    answer_compress(20);
    client.hears("c OK DEFLATE active.\r\n");
  }
  void answer_compress(uint64_t consumed) {
    wire::WorkerToDen message;
    message.mutable_start_compress()->set_last_plain("c OK DEFLATE active.\r\n");
    message.mutable_start_compress()->set_consumed_bytes(consumed);
    must_send(worker_, message);
  }
  void park_deflated(DeflatedClient& client) {
    client.say("a2 IDLE\r\n");
    worker_hears(DeflatedClient::first_words() + "a2 IDLE\r\n");
    worker_says("+ idling\r\n");
    client.hears("+ idling\r\n");
    offer();
    watch_subscribes();
    EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
    send_park(20 + DeflatedClient::first_words().size() + 9, "state-1");
    EXPECT_TRUE(must_close(worker_));
  }
};

TEST_F(CompressTest, a_compressed_session_sleeps_is_told_talks_and_wakes) {
  exists_ = 5;
  Client plain = open_session();
  start_compress(plain);
  DeflatedClient client(plain);
  park_deflated(client);
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  change();
  attached();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.begin().compressed());
  refresh("* 7 EXISTS\r\n", "state-2");
  client.hears("* 7 EXISTS\r\n");
  for (int round = 0; round < 20; ++round) {
    client.say("DONE\r\na2 IDLE\r\n");
    client.hears("a2 OK Idle completed.\r\n+ idling\r\n");
  }
  client.say("DONE\r\na4 FETCH 1 ALL\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_TRUE(begin.compressed());
  worker_hears("a4 FETCH 1 ALL\r\n");
  std::string long_answer(20'000, 'x');
  worker_says(long_answer);
  worker_says("\r\na4 OK\r\n");
  client.hears(long_answer + "\r\na4 OK\r\n");
}

TEST_F(CompressTest, a_compressed_sleeper_survives_its_den) {
  Client plain = open_session();
  start_compress(plain);
  DeflatedClient client(plain);
  park_deflated(client);
  client.say("DONE\r\na2 IDLE\r\n");
  client.hears("a2 OK Idle completed.\r\n+ idling\r\n");
  ::usleep(100'000);
  kill_den();
  start_den();
  watch_subscribes();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  refresh("", "state-2");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(CompressTest, who_speaks_before_the_answer_to_compress_is_told_to_go) {
  Client client = open_session();
  client.say("c COMPRESS DEFLATE\r\nc2 NOOP\r\n");
  worker_hears("c COMPRESS DEFLATE\r\nc2 NOOP\r\n");
  answer_compress(20);
  client.hears("* BYE Nothing may be sent between COMPRESS and its answer\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(CompressTest, what_is_not_deflate_costs_the_connection) {
  Client plain = open_session();
  start_compress(plain);
  plain.say("\x06 clear text\r\n");
  std::string bye;
  auto inflate = *compress::InflateStream::create();
  std::string wire = plain.receive();
  inflate.take(std::as_bytes(std::span(wire)), bye, 1000);
  EXPECT_EQ(bye, "* BYE What you send is not deflate (RFC 4978)\r\n");
  EXPECT_TRUE(plain.closed());
}

}  // namespace
}  // namespace dormouse::hibernate
