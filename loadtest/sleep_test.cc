// The load tester against a small server in the same process: what is right must be found right,
// and each kind of wrong must be found.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <filesystem>
#include <set>

#include "loadtest/fake_server.h"
#include "loadtest/maildrop.h"
#include "loadtest/sleep_command.h"

namespace dormouse::loadtest {
namespace {

using test::FakeServer;
using test::Fault;

constexpr uint32_t kUsers = 4;

class MailFolder {
 public:
  MailFolder() {
    std::string name = testing::TempDir() + "dormouse_load_XXXXXX";
    path_ = mkdtemp(name.data());
    for (uint32_t user = 1; user <= kUsers; ++user) {
      for (const char* folder : {"tmp", "new", "cur"}) {
        std::filesystem::create_directories(fmt::format("{}/u{}/{}", path_, user, folder));
      }
    }
  }
  ~MailFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Outcome {
  bool clean = false;
  Counters counters;
  uint64_t missing = 0;
  uint32_t polling = 0;  // in the middle of a NOOP at the end
  std::vector<std::string> answers;
  std::string reason;
};

io::Task<int> run_script(Driver* driver, std::vector<std::string> lines, Outcome* outcome) {
  driver->connect_all();
  for (std::string& line : lines) {
    auto command = Command::parse(line);
    EXPECT_TRUE(command) << line;
    if (command) outcome->answers.push_back(co_await driver->run(std::move(*command)));
  }
  co_return 0;
}

Outcome run(const SleepOptions& options, std::vector<std::string> lines) {
  Outcome outcome;
  auto settings = fleet_settings(options);
  EXPECT_TRUE(settings) << settings.error().message;
  auto loop = io::Loop::create();
  EXPECT_TRUE(loop);
  auto fleet = Fleet::create(**loop, std::move(*settings));
  EXPECT_TRUE(fleet) << fleet.error().message;
  auto driver = Driver::create(**loop, **fleet, driver_settings(options));
  EXPECT_TRUE(driver);
  (*loop)->run(run_script(driver->get(), std::move(lines), &outcome));
  outcome.clean = (*driver)->clean();
  outcome.counters = (*fleet)->counters();
  for (uint32_t i = 0; i < options.sessions; ++i) {
    if ((*fleet)->session(i).phase == Phase::kPoll) ++outcome.polling;
  }
  outcome.missing = (*fleet)->ledger().missing();
  if (!(*fleet)->reasons().empty()) outcome.reason = (*fleet)->reasons().begin()->first;
  return outcome;
}

SleepOptions options_for(const FakeServer& server, const MailFolder& mail) {
  SleepOptions options;
  options.target = server.target();
  options.sessions = 12;
  options.user = "u%d";
  options.users = kUsers;
  options.maildir = mail.path() + "/%u";
  options.parallel = 5;
  options.sockets_per_shard = 5;  // three rings
  return options;
}

std::vector<std::string> everything() {
  return {"wait-connected",
          "wait-parked quiet=0",
          "deliver 3 rate=100",
          "deliver-all rate=0",
          "done 5 rate=200",
          "done-all rate=0",
          "command 5 rate=200",
          "command-all rate=0",
          "deliver-all rate=1000",
          "wait-parked quiet=0.1",
          "status",
          "hold 0.1"};
}

void expect_all_right(const Outcome& outcome) {
  for (const std::string& answer : outcome.answers) {
    EXPECT_NE(answer.find("\"ok\":true"), std::string::npos) << answer;
  }
  EXPECT_TRUE(outcome.clean) << outcome.reason;
  EXPECT_EQ(outcome.counters.connected, 12u);
  EXPECT_EQ(outcome.counters.idle + outcome.polling, 12u);
}

TEST(Sleep, sees_a_good_server_do_everything_right) {
  MailFolder mail;
  FakeServer server(mail.path(), false);
  expect_all_right(run(options_for(server, mail), everything()));
  EXPECT_EQ(server.logins(), 12);
}

TEST(Sleep, sees_a_good_server_do_everything_right_over_tls) {
  MailFolder mail;
  FakeServer server(mail.path(), true);
  SleepOptions options = options_for(server, mail);
  options.tls = true;
  for (const char* version : {"1.2", "1.3"}) {
    options.tls_version = version;
    expect_all_right(run(options, everything()));
    options.headers = 3;  // the second time there are messages to fetch
  }
}

TEST(Sleep, sees_a_good_server_do_everything_right_with_compress) {
  for (bool tls : {false, true}) {
    MailFolder mail;
    FakeServer server(mail.path(), tls);
    SleepOptions options = options_for(server, mail);
    options.tls = tls;
    options.compress = 0.5;
    Outcome outcome = run(options, everything());
    expect_all_right(outcome);
    EXPECT_EQ(outcome.counters.compressed, 6u);
    EXPECT_EQ(server.compressed(), 6);
  }
}

TEST(Sleep, logs_out) {
  MailFolder mail;
  FakeServer server(mail.path(), false);
  Outcome outcome = run(options_for(server, mail), {"wait-connected", "logout"});
  EXPECT_TRUE(outcome.clean);
  EXPECT_EQ(outcome.counters.left, 12u);
  EXPECT_EQ(outcome.counters.connected, 0u);
}

TEST(Sleep, a_ramp_spreads_the_logins_and_all_arrive) {
  MailFolder mail;
  FakeServer server(mail.path(), false);
  SleepOptions options = options_for(server, mail);
  options.ramp = 400;
  EXPECT_TRUE(run(options, {"wait-connected"}).clean);
}

TEST(Sleep, some_poll_some_have_notify_and_all_hear_what_they_are_owed) {
  MailFolder mail;
  FakeServer server(mail.path(), false);
  SleepOptions options = options_for(server, mail);
  options.poll = 0.3;
  options.poll_every = 0.05;
  options.notify = 0.3;
  std::vector<std::string> lines = everything();
  lines.push_back("status");
  Outcome outcome = run(options, lines);
  expect_all_right(outcome);
  EXPECT_NE(outcome.answers.back().find("\"polls\""), std::string::npos) << outcome.answers.back();
}

TEST(Sleep, holds_on_while_messages_come_and_clients_talk_and_leave_and_come_back) {
  MailFolder mail;
  FakeServer server(mail.path(), false);
  SleepOptions options = options_for(server, mail);
  options.poll = 0.2;
  options.poll_every = 0.05;
  Outcome outcome =
      run(options, {"wait-connected", "hold 1 deliver=100 done=50 command=50 leave=50", "status"});
  expect_all_right(outcome);
  EXPECT_EQ(outcome.counters.left, 50u);
  EXPECT_EQ(server.logins(), 62);
  for (const char* field : {"\"deliveries\":100", "\"asked\":100", "\"answered\":100"}) {
    EXPECT_NE(outcome.answers[1].find(field), std::string::npos) << outcome.answers[1];
  }
}

TEST(Sleep, a_storm_cuts_all_off_and_brings_all_back) {
  MailFolder mail;
  FakeServer server(mail.path(), true);
  SleepOptions options = options_for(server, mail);
  options.tls = true;
  Outcome outcome = run(options, {"wait-connected", "storm", "deliver-all", "storm", "status"});
  expect_all_right(outcome);
  EXPECT_EQ(server.logins(), 36);
  EXPECT_NE(outcome.answers[1].find("\"logins\":12"), std::string::npos) << outcome.answers[1];
}

TEST(Sleep, who_is_dropped_awake_where_that_is_allowed_comes_back_and_is_no_loss) {
  MailFolder mail;
  FakeServer server(mail.path(), false, Fault::kCloseOnDone);
  SleepOptions options = options_for(server, mail);
  options.may_drop_awake = true;
  Outcome outcome = run(options, {"wait-connected", "hold 0.5 done=24", "hold 0.2", "status"});
  EXPECT_GT(outcome.counters.dropped, 0u);
  EXPECT_EQ(outcome.counters.lost, 0u);
  EXPECT_EQ(outcome.counters.connected, 12u);
}

TEST(Sleep, a_sleeper_that_is_dropped_is_a_loss_even_where_awake_ones_may_be) {
  MailFolder mail;
  FakeServer server(mail.path(), false, Fault::kByeLater);
  SleepOptions options = options_for(server, mail);
  options.may_drop_awake = true;
  options.park_wait = 0.05;
  EXPECT_EQ(run(options, {"wait-connected", "hold 3.5"}).counters.lost, 3u);
}

struct FaultCase {
  Fault fault;
  const char* name;
  std::string line;  // that meets it
};

class SleepFault : public testing::TestWithParam<FaultCase> {};

TEST_P(SleepFault, is_found) {
  MailFolder mail;
  FakeServer server(mail.path(), false, GetParam().fault);
  Outcome outcome = run(options_for(server, mail), {"wait-connected timeout=20", GetParam().line});
  EXPECT_FALSE(outcome.clean);
  const Counters& counters = outcome.counters;
  switch (GetParam().fault) {
    case Fault::kNone:
      break;
    case Fault::kRefuseLogin:
      EXPECT_EQ(counters.failed, 3u);
      EXPECT_TRUE(outcome.reason.ends_with(" (login)")) << outcome.reason;
      break;
    case Fault::kNoExists:
      EXPECT_EQ(outcome.missing, 3u);
      break;
    case Fault::kRepeatedExists:
      EXPECT_EQ(counters.repeated_exists, 3u);
      break;
    case Fault::kForeignExists:
      EXPECT_GE(counters.unexpected_exists, 3u);
      break;
    case Fault::kCloseOnDone:
    case Fault::kByeInIdle:
    case Fault::kByeLater:
    case Fault::kWrongTag:
      EXPECT_EQ(counters.lost, 3u) << outcome.reason;
      break;
    case Fault::kHangAfterDone:
      EXPECT_EQ(counters.idle, 9u);
      break;
  }
}

INSTANTIATE_TEST_SUITE_P(
    each, SleepFault,
    testing::Values(FaultCase{Fault::kRefuseLogin, "refused_login", "status"},
                    FaultCase{Fault::kNoExists, "no_exists", "deliver-all timeout=0.5"},
                    FaultCase{Fault::kRepeatedExists, "repeated_exists", "deliver-all"},
                    FaultCase{Fault::kForeignExists, "foreign_exists", "hold 0.3"},
                    FaultCase{Fault::kCloseOnDone, "close_on_done", "done-all timeout=5"},
                    FaultCase{Fault::kHangAfterDone, "hang_after_done", "done-all timeout=0.5"},
                    FaultCase{Fault::kWrongTag, "wrong_tag", "command-all timeout=5"},
                    FaultCase{Fault::kByeInIdle, "bye_in_idle", "hold 0.3"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Sleep, a_port_where_nobody_listens_is_a_failed_login) {
  MailFolder mail;
  SleepOptions options;
  {
    FakeServer server(mail.path(), false);
    options = options_for(server, mail);
  }
  Outcome outcome = run(options, {"wait-connected timeout=20"});
  EXPECT_EQ(outcome.counters.failed, 12u);
  EXPECT_FALSE(outcome.clean);
}

TEST(Maildrop, two_drivers_of_one_process_do_not_overwrite_each_other) {
  MailFolder mail;
  for (int driver = 0; driver < 20; ++driver) {
    auto drop = Maildrop::prepare(mail.path() + "/u1", "u1", 1, 300);
    ASSERT_TRUE(drop) << drop.error().message;
    EXPECT_TRUE(drop->drop());
  }
  auto dropped = Maildrop::prepare(mail.path() + "/u1", "u1", 1, 300);
  ASSERT_TRUE(dropped);
  std::filesystem::directory_iterator files(mail.path() + "/u1/new");
  EXPECT_EQ(std::distance(begin(files), end(files)), 20);
}

TEST(SleepOptions, a_target_off_loopback_needs_its_flag) {
  SleepOptions options;
  options.target = "192.0.2.1:143";
  auto refused = fleet_settings(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kDenied);
  options.allow_remote = true;
  EXPECT_TRUE(fleet_settings(options));
  options.target = "[::1]:143";
  options.allow_remote = false;
  EXPECT_TRUE(fleet_settings(options));
}

TEST(SleepOptions, refuses_what_makes_no_sense) {
  for (const char* target : {"", "localhost:143", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000",
                             "::1:143", "[::1]", "127.0.0.1:14x"}) {
    SleepOptions options;
    options.target = target;
    EXPECT_FALSE(fleet_settings(options)) << target;
  }
  SleepOptions options;
  options.user = "alice";
  options.users = 2;
  EXPECT_FALSE(fleet_settings(options)) << "two users of one name";
  options.users = 1;
  EXPECT_TRUE(fleet_settings(options));
  options.password = "a\r\nb";
  EXPECT_FALSE(fleet_settings(options));
}

TEST(SourceAddress, indexes_give_different_addresses_inside_127) {
  std::set<uint32_t> seen;
  for (uint32_t index = 0; index < 100'000; ++index) {
    uint32_t address = ntohl(source_address(index).s_addr);
    EXPECT_EQ(address >> 24, 127u);
    EXPECT_GE(address >> 16 & 0xff, 16u) << "127.0 is left to servers";
    seen.insert(address);
  }
  EXPECT_EQ(seen.size(), 100'000u);
}

TEST(Command, parses_and_refuses) {
  auto command = Command::parse("deliver  100 rate=2.5");
  ASSERT_TRUE(command);
  EXPECT_EQ(command->verb, Verb::kDeliver);
  EXPECT_EQ(*command->number, 100);
  EXPECT_EQ(command->option("rate", 1), 2.5);
  EXPECT_EQ(command->option("timeout", 7), 7);
  for (const char* bad :
       {"", " ", "deliver", "deliver 1 2", "deliver x", "deliver -1", "deliver 1 speed=2",
        "deliver 1 rate=", "deliver nan", "deliver 1e300", "status 1", "sing"}) {
    EXPECT_FALSE(Command::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace dormouse::loadtest
