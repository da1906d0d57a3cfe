// The worker as a process, in its sandbox; this test is master, tracker and den.

#include "imap/worker.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "imap/worker_main.h"
#include "role/test_master.h"
#include "wire/link.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;

// Neither may be anybody's on the machine that runs the tests.
constexpr uint32_t kMailUids[] = {64101, 64102};

std::pair<io::Channel, io::Channel> channel_pair() {
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  return std::move(*ends);
}

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/dormouse-worker-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    ASSERT_EQ(chmod(pattern, 0755), 0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void start(bool switch_identity) {
    master_.fork_role(worker_main);
    wire::MasterToRole message;
    auto* start = message.mutable_start();
    start->set_role(wire::WORKER);
    start->mutable_settings()->mutable_worker()->set_park_after_ms(5);
    start->mutable_settings()->set_log_level("error");
    start->set_privileged(switch_identity);
    start->set_switch_identity(switch_identity);
    master_.tell(message);
    master_.go();
    tracker_ = master_.link(wire::TRACKER);
    ASSERT_TRUE(role::next<wire::WorkerToTracker>(tracker_).has_load());
  }

  // A new session of a user; answers the den's end of its channel, and waits for nothing.
  io::Channel hand_over(const std::string& user, uint32_t uid) {
    wire::DenToWorker begin;
    begin.mutable_begin()->set_tag("l0");
    return hand_over(user, uid, begin);
  }
  io::Channel hand_over(const std::string& user, uint32_t uid, const wire::DenToWorker& begin) {
    std::string home = directory_ + "/" + user;
    if (!std::filesystem::exists(home)) {
      EXPECT_EQ(mkdir(home.c_str(), 0700), 0);
      if (uid != getuid()) EXPECT_EQ(chown(home.c_str(), uid, uid), 0);
    }
    auto [den, workers] = channel_pair();
    EXPECT_TRUE(wire::try_send(den, begin));
    wire::TrackerToWorker message;
    auto* serve = message.mutable_serve();
    serve->set_session(++session_);
    serve->set_remote_address("192.0.2.1");
    serve->mutable_identity()->set_user(user);
    serve->mutable_identity()->set_uid(uid);
    serve->mutable_identity()->set_gid(uid);
    serve->mutable_identity()->set_home(home);
    int fd = workers.fd();
    EXPECT_TRUE(wire::try_send(tracker_, message, std::span(&fd, 1)));
    return std::move(den);
  }
  // The same, logged in.
  io::Channel serve(const std::string& user, uint32_t uid) {
    io::Channel den = hand_over(user, uid);
    EXPECT_THAT(read_until(den, "l0 "), HasSubstr("l0 OK [CAPABILITY"));
    return den;
  }

  static void say(io::Channel& den, const std::string& text) {
    wire::DenToWorker message;
    message.set_data(text);
    EXPECT_TRUE(wire::try_send(den, message));
  }
  static std::string read_until(io::Channel& den, const std::string& what) {
    std::string text;
    while (text.find(what) == std::string::npos) {
      auto message = role::next<wire::WorkerToDen>(den);
      if (!message.has_data()) {
        ADD_FAILURE() << "no data, got so far: " << text;
        break;
      }
      text += message.data();
    }
    return text;
  }

  // Waits until the session sleeps; what came before is read over.
  static wire::WorkerToDen::Parked park(io::Channel& den) {
    auto message = role::next<wire::WorkerToDen>(den);
    while (message.has_data()) message = role::next<wire::WorkerToDen>(den);
    EXPECT_EQ(message.offer().directories_size(), 2);
    wire::DenToWorker ready;
    ready.mutable_ready()->set_number(message.offer().number());
    EXPECT_TRUE(wire::try_send(den, ready));
    message = role::next<wire::WorkerToDen>(den);
    EXPECT_TRUE(message.has_park());
    return message.park().parked();
  }
  static wire::DenToWorker resumption(const wire::WorkerToDen::Parked& parked) {
    wire::DenToWorker message;
    auto* begin = message.mutable_begin();
    begin->set_purpose(wire::DenToWorker::INPUT);
    begin->set_state(parked.state());
    begin->set_mode(parked.mode());
    begin->set_idle_tag(parked.idle_tag());
    return message;
  }

  std::string directory_;
  role::TestMaster master_;
  io::Channel tracker_;
  uint64_t session_ = 0;
};

constexpr const char* kAppend = "p APPEND INBOX {14+}\r\nSubject: a\r\n\r\n\r\n";

TEST_F(WorkerTest, serves_parks_and_retires_inside_its_sandbox) {
  start(false);
  io::Channel den = serve("ada", getuid());
  say(den, std::string(kAppend) + "s SELECT INBOX\r\nf FETCH 1 BODYSTRUCTURE\r\ni IDLE\r\n");
  std::string text = read_until(den, "+ idling");
  EXPECT_THAT(text, HasSubstr("p OK [APPENDUID"));
  EXPECT_THAT(text, HasSubstr("* 1 EXISTS"));
  EXPECT_THAT(text, HasSubstr("\"text\" \"plain\""));
  EXPECT_EQ(park(den).idle_tag(), "i");
  den.close();
  wire::WorkerToTracker ended;
  while (!ended.has_ended()) ended = role::next<wire::WorkerToTracker>(tracker_);
  EXPECT_EQ(ended.ended().user(), "ada");
  wire::TrackerToWorker retire;
  retire.mutable_retire();
  ASSERT_TRUE(wire::try_send(tracker_, retire));
  master_.expect_drained();
}

TEST_F(WorkerTest, tells_how_late_its_loop_was) {
  start(false);
  // Longer than the second between two looks: whenever it stood still, one was late.
  ASSERT_EQ(kill(master_.child(), SIGSTOP), 0);
  usleep(1'300'000);
  ASSERT_EQ(kill(master_.child(), SIGCONT), 0);
  auto told = role::next<wire::WorkerToTracker>(tracker_);
  EXPECT_GT(told.load().late_ms(), 0u);
}

TEST_F(WorkerTest, new_sessions_open_their_stores_behind_a_sleepers_command) {
  constexpr size_t kSessions = 40;
  start(false);
  wire::DenToWorker input;
  {
    io::Channel den = serve("ada", getuid());
    say(den, "s SELECT INBOX\r\ni IDLE\r\n");
    input = resumption(park(den));
  }
  // All are there at once, the sleeper behind the new ones.
  ASSERT_EQ(kill(master_.child(), SIGSTOP), 0);
  std::vector<io::Channel> dens;
  for (size_t i = 0; i < kSessions; ++i) {
    dens.push_back(hand_over(fmt::format("user{}", i), getuid()));
  }
  io::Channel sleeper = hand_over("ada", getuid(), input);
  say(sleeper, "DONE\r\nn NOOP\r\n");
  ASSERT_EQ(kill(master_.child(), SIGCONT), 0);
  EXPECT_THAT(read_until(sleeper, "n OK"), HasSubstr("i OK"));
  size_t opened = size_t(std::ranges::count_if(dens, [](io::Channel& den) {
    pollfd readable{.fd = den.fd(), .events = POLLIN, .revents = 0};
    return poll(&readable, 1, 0) == 1;
  }));
  // Each store is made anew, milliseconds: time enough to count.
  EXPECT_LT(opened, kSessions / 2);
  for (io::Channel& den : dens) {
    EXPECT_THAT(read_until(den, "l0 "), HasSubstr("l0 OK [CAPABILITY"));
  }
}

TEST_F(WorkerTest, answers_a_probe) {
  start(false);
  wire::TrackerToWorker probe;
  probe.mutable_probe()->set_number(42);
  ASSERT_TRUE(wire::try_send(tracker_, probe));
  wire::WorkerToTracker answer;
  while (!answer.has_probed()) answer = role::next<wire::WorkerToTracker>(tracker_);
  EXPECT_EQ(answer.probed().number(), 42u);
}

TEST_F(WorkerTest, a_drain_says_bye_with_its_text) {
  start(false);
  io::Channel den = serve("ada", getuid());
  wire::MasterToRole drain;
  drain.mutable_drain()->set_grace_ms(5'000);
  drain.mutable_drain()->set_text("Back in a minute");
  master_.tell(drain);
  EXPECT_THAT(read_until(den, "\r\n"), HasSubstr("* BYE Back in a minute\r\n"));
  EXPECT_TRUE(role::next<wire::WorkerToDen>(den).has_bye());
  den.close();
  EXPECT_TRUE(role::next<wire::RoleToMaster>(master_.control()).has_drained());
}

TEST_F(WorkerTest, every_session_acts_as_its_own_user) {
  if (getuid() != 0) GTEST_SKIP() << "only root can become somebody";
  start(true);
  const char* users[] = {"ada", "bob"};
  std::vector<io::Channel> dens;
  for (int i = 0; i < 2; ++i) dens.push_back(serve(users[i], kMailUids[i]));
  for (io::Channel& den : dens) say(den, kAppend);
  for (io::Channel& den : dens) EXPECT_THAT(read_until(den, "p "), HasSubstr("p OK"));
  for (io::Channel& den : dens) say(den, "s SELECT INBOX\r\nf FETCH 1 BODY[]\r\nx LOGOUT\r\n");
  for (io::Channel& den : dens) EXPECT_THAT(read_until(den, "x OK"), HasSubstr("Subject: a"));
  size_t files = 0;
  for (int i = 0; i < 2; ++i) {
    std::string home = directory_ + "/" + users[i];
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home)) {
      struct stat info{};
      ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
      EXPECT_EQ(info.st_uid, kMailUids[i]) << entry.path();
      EXPECT_EQ(info.st_gid, kMailUids[i]) << entry.path();
      ++files;
    }
  }
  EXPECT_GT(files, 10u);
}

TEST_F(WorkerTest, nobody_s_mail_is_read_with_another_s_rights) {
  if (getuid() != 0) GTEST_SKIP() << "only root can become somebody";
  start(true);
  io::Channel ada = serve("ada", kMailUids[0]);
  // bob's identity with ada's mail: the files refuse him, not our bookkeeping.
  auto [den, workers] = channel_pair();
  wire::DenToWorker begin;
  begin.mutable_begin()->set_tag("l0");
  ASSERT_TRUE(wire::try_send(den, begin));
  wire::TrackerToWorker message;
  auto* serve = message.mutable_serve();
  serve->set_session(99);
  serve->set_remote_address("192.0.2.1");
  serve->mutable_identity()->set_user("bob");
  serve->mutable_identity()->set_uid(kMailUids[1]);
  serve->mutable_identity()->set_gid(kMailUids[1]);
  serve->mutable_identity()->set_home(directory_ + "/ada");
  int fd = workers.fd();
  ASSERT_TRUE(wire::try_send(tracker_, message, std::span(&fd, 1)));
  workers.close();
  EXPECT_THAT(read_until(den, "l0 "), HasSubstr("l0 NO [UNAVAILABLE]"));
}

}  // namespace
}  // namespace dormouse::imap
