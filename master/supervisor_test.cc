// The supervisor with roles that do nothing but tell what they were given. This binary is both: run
// as `supervisor_test role NAME INDEX` it is such a role.

#include "master/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "role/log.h"
#include "role/process.h"

namespace dormouse::master {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// --- the fake role ---

class FakeRole final : public role::Role {
 public:
  explicit FakeRole(role::Process& process) : process_(process) {
    using Resource = wire::MasterToRole::Resource;
    for (auto kind : {Resource::SHARD_RING, Resource::SHARD_SLAB, Resource::EPOCHS}) {
      for (auto& resource : process_.take_resources(kind)) {
        given_ += fmt::format("resource {} fds={} bytes={}\n", int(kind), resource.fds.size(),
                              resource.message.data().size());
        if (kind == Resource::SHARD_RING) run_on(std::move(resource));
      }
    }
  }
  Result<> start() override { return {}; }
  void link(role::Link link) override {
    lines_ += fmt::format("link {} {} request={} user={}\n", role::role_name(link.peer), link.index,
                          link.request, link.user);
    channels_.push_back(std::move(link.channel));
  }
  void worker_failed(uint64_t request, const std::string& reason) override {
    lines_ += fmt::format("failed {} {}\n", request, reason);
  }
  void reload() override {
    using Resource = wire::MasterToRole::Resource;
    lines_ += fmt::format("reload greeting={} certificates={} passwd={}\n",
                          process_.settings().login().greeting(),
                          process_.take_resources(Resource::CERTIFICATE).size(),
                          process_.take_resources(Resource::PASSWD_FILE).size());
    obey(process_.settings().login().greeting());
  }
  void drain(uint32_t, const std::string&) override {
    if (!deaf_) process_.drained();
  }
  std::string view() override {
    std::string text = fmt::format("restarted={} secret={}\n", process_.start_message().restarted(),
                                   process_.start_message().secret().size());
    return text + given_ + lines_;
  }

 private:
  // As a den does.
  void run_on(role::Resource ring) {
    io_uring_params params;
    ASSERT_EQ(ring.message.data().size(), sizeof params);
    std::memcpy(&params, ring.message.data().data(), sizeof params);
    auto loop = io::Loop::adopt(std::move(ring.fds.at(0)), params, uint32_t(getpid()));
    ASSERT_TRUE(loop) << loop.error().message;
    process_.use_loop(std::move(*loop));
  }

  // The test speaks through the greeting: "<role>: <what to do>".
  void obey(const std::string& order) {
    std::string me(role::role_name(process_.role()));
    if (order == me + ": talk nonsense") ::send(3, "\xff\xff\xff", 3, 0);
    if (order == me + ": start workers") {
      wire::RoleToMaster::StartWorker request;
      request.set_uid(geteuid());
      request.set_request(7);
      request.set_user("mouse\xff");
      process_.start_worker(request);
      request.set_user(std::string(2000, 'm'));
      request.set_request(8);
      process_.start_worker(request);
    }
    if (order == me + ": be deaf") deaf_ = true;
  }

  role::Process& process_;
  std::string lines_;
  std::string given_;
  std::vector<io::Channel> channels_;
  bool deaf_ = false;
};

int fake_role_main() {
  role::Process process;
  FakeRole role(process);
  return process.run(role);
}

// --- the tests ---

class SupervisorTest : public testing::Test, public SupervisorEvents {
 public:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / "dormouse-supervisor-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    std::fclose(std::fopen((folder_ + "/passwd").c_str(), "w"));
    auto settings = parse_settings(
        "[listen]\nimaps=[]\n[den]\nsessions=60\nsockets_per_shard=30\n[login]\nprocesses=2\n"
        "[auth]\npasswd_file='passwd'\n[server]\nlog_level='error'\n",
        "t.toml", folder_);
    ASSERT_TRUE(settings) << settings.error().message;
    settings_ = std::move(*settings);
    ASSERT_TRUE(complete_settings(settings_, false, 1000));
    auto shards = make_shards({.shards = 2, .sockets_per_shard = 30}, 512);
    ASSERT_TRUE(shards) << shards.error().message;
    resources_.shards = std::move(*shards);
    resources_.epochs = std::move(*make_shared_memory("epochs", 0));
    resources_.ticket_key = io::Secret(std::string(80, 't'));
    resources_.cookie_key = io::Secret(std::string(32, 'c'));
    role::set_log_level(role::LogLevel::kError);
    loop_ = std::move(*io::Loop::create());
    supervisor_ = std::make_unique<Supervisor>(*loop_, settings_, resources_, *this,
                                               Supervisor::Options{.executable = executable_});
  }
  void TearDown() override {
    supervisor_.reset();
    loop_.reset();
    std::filesystem::remove_all(folder_);
  }
  void all_ready() override { ++ready_; }
  void cannot_start(const std::string& reason) override { cannot_start_ = reason; }

  // Waits, bounded, until `done`.
  io::Task<bool> until(std::function<bool()> done) {
    for (int i = 0; i < 1000 && !done(); ++i) {
      auto slept = co_await loop_->sleep(10);
      if (!slept) break;
    }
    co_return done();
  }
  Seat* seat(wire::Role role, uint32_t index = 0) {
    for (auto& seat : supervisor_->seats()) {
      if (seat->role == role && seat->index == index && !seat->ended) return seat.get();
    }
    return nullptr;
  }
  // What one role says of itself, from the view of all.
  io::Task<std::string> view_of(std::string name) {
    std::string all = co_await supervisor_->view();
    size_t begin = all.find(name + " pid=");
    if (begin == std::string::npos) co_return "";
    size_t end = begin;
    do {
      end = std::min(all.find('\n', end), all.size() - 1) + 1;
    } while (end < all.size() && all[end] == ' ');
    co_return all.substr(begin, end - begin);
  }
  // Asks until the view says so.
  io::Task<std::string> view_with(std::string name, std::string what) {
    std::string text;
    for (int i = 0; i < 300; ++i) {
      text = co_await view_of(name);
      if (text.find(what) != std::string::npos) break;
      auto slept = co_await loop_->sleep(10);
      if (!slept) break;
    }
    co_return text;
  }
  void order(const std::string& text) {
    settings_.wire.mutable_login()->set_greeting(text);
    ASSERT_TRUE(supervisor_->reload());
  }
  // Starts everything, runs the body, ends everything.
  int run(io::Task<void> body) { return loop_->run(whole(std::move(body))); }
  io::Task<int> whole(io::Task<void> body) {
    supervisor_->start();
    bool ready = co_await until([this] { return ready_ > 0; });
    EXPECT_TRUE(ready) << cannot_start_;
    if (ready) co_await std::move(body);
    co_await supervisor_->drain(grace_ms_, "bye");
    for (auto& seat : supervisor_->seats()) EXPECT_TRUE(seat->ended) << seat_name(*seat);
    co_return 0;
  }

  std::string folder_;
  std::string executable_ = "/proc/self/exe";
  Settings settings_;
  Resources resources_;
  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<Supervisor> supervisor_;
  int ready_ = 0;
  uint64_t grace_ms_ = 5'000;
  std::string cannot_start_;

  io::Task<void> introduces_everybody() {
    std::string den = co_await view_with("den[1]", "link watch");
    EXPECT_THAT(den, HasSubstr("restarted=false secret=0"));
    EXPECT_THAT(den, HasSubstr("resource 2 fds=1 bytes=120"));
    EXPECT_THAT(den, HasSubstr("resource 3 fds=1"));
    for (const char* peer : {"login 0", "login 1", "tracker 0", "watch 0"}) {
      EXPECT_THAT(den, HasSubstr(fmt::format("link {} ", peer)));
    }
    EXPECT_THAT(den, Not(HasSubstr("link auth")));
    std::string login = co_await view_of("login[1]");
    EXPECT_THAT(login, HasSubstr("secret=80"));
    for (const char* peer : {"auth 0", "den 0", "den 1"}) {
      EXPECT_THAT(login, HasSubstr(fmt::format("link {} ", peer)));
    }
    EXPECT_THAT(login, Not(HasSubstr("link tracker")));
    std::string tracker = co_await view_of("tracker[0]");
    EXPECT_THAT(tracker, HasSubstr("secret=32"));
    EXPECT_THAT(tracker, HasSubstr("resource 5 fds=1"));
  }

  io::Task<void> replaces_a_killed_den() {
    pid_t before = seat(wire::DEN, 1)->child.pid;
    kill(before, SIGKILL);
    Seat* den = seat(wire::DEN, 1);
    EXPECT_TRUE(co_await until([=] { return den->ready && den->child.pid != before; }));
    std::string text = co_await view_with("den[1]", "link watch");
    EXPECT_THAT(text, HasSubstr("restarts=1"));
    EXPECT_THAT(text, HasSubstr("killed by signal 9"));
    EXPECT_THAT(text, HasSubstr("restarted=true"));
    EXPECT_THAT(text, HasSubstr("resource 2 fds=1 bytes=120"));
    std::string login = co_await view_of("login[0]");
    size_t links = 0;
    for (size_t at = login.find("link den 1"); at != std::string::npos;
         at = login.find("link den 1", at + 1)) {
      ++links;
    }
    EXPECT_EQ(links, 2u) << login;
    EXPECT_EQ(ready_, 1);
  }

  io::Task<void> starts_workers() {
    order("tracker: start workers");
    std::string tracker = co_await view_with("tracker[0]", "link worker");
    EXPECT_THAT(tracker, HasSubstr("link worker 0 request=7 user=mouse\xff"));
    EXPECT_THAT(tracker, HasSubstr("failed 8 user name too long"));
    kill(seat(wire::WORKER)->child.pid, SIGKILL);
    EXPECT_TRUE(co_await until([this] { return seat(wire::WORKER) == nullptr; }));
    kill(seat(wire::TRACKER)->child.pid, SIGKILL);
    Seat* again = seat(wire::TRACKER);
    EXPECT_TRUE(co_await until([=] { return again->ready && again->life == 2; }));
  }

  io::Task<void> a_new_tracker_meets_the_old_workers() {
    order("tracker: start workers");
    co_await view_with("tracker[0]", "link worker");
    kill(seat(wire::TRACKER)->child.pid, SIGKILL);
    Seat* again = seat(wire::TRACKER);
    EXPECT_TRUE(co_await until([=] { return again->ready && again->life == 2; }));
    std::string tracker = co_await view_with("tracker[0]", "link worker");
    EXPECT_THAT(tracker, HasSubstr("link worker 0 request=0"));
  }

  io::Task<void> reloads() {
    resources_.certificates.push_back({.name = "", .pem = io::Secret(std::string("PEM"))});
    order("second");
    EXPECT_THAT(co_await view_with("login[0]", "reload"),
                HasSubstr("reload greeting=second certificates=1 passwd=0"));
    EXPECT_THAT(co_await view_with("auth[0]", "reload"),
                HasSubstr("reload greeting=second certificates=0 passwd=1"));
    std::string den = co_await view_of("den[0]");
    EXPECT_THAT(den, HasSubstr("restarts=0"));
  }

  io::Task<void> ends_a_role_that_talks_nonsense() {
    role::set_log_level(role::LogLevel(4));
    order("auth: talk nonsense");
    Seat* auth = seat(wire::AUTH);
    EXPECT_TRUE(co_await until([=] { return auth->ready && auth->life >= 2; }));
    EXPECT_EQ(seat(wire::TRACKER)->life, 1u);
    order("fine");
  }

  io::Task<void> kills_a_deaf_role() {
    role::set_log_level(role::LogLevel(4));
    grace_ms_ = 100;
    order("den: be deaf");
    EXPECT_THAT(co_await view_with("den[1]", "be deaf"), HasSubstr("be deaf"));
  }
};

TEST_F(SupervisorTest, every_role_gets_its_resources_and_its_peers) { run(introduces_everybody()); }
TEST_F(SupervisorTest, a_killed_den_is_replaced_on_the_same_ring_and_slab_with_new_links) {
  run(replaces_a_killed_den());
}
TEST_F(SupervisorTest, workers_start_on_request_and_stay_dead) { run(starts_workers()); }
TEST_F(SupervisorTest, a_new_tracker_meets_the_workers_that_run) {
  run(a_new_tracker_meets_the_old_workers());
}
TEST_F(SupervisorTest, a_reload_reaches_every_role_and_restarts_none) { run(reloads()); }
TEST_F(SupervisorTest, a_role_that_talks_nonsense_costs_itself_only) {
  run(ends_a_role_that_talks_nonsense());
}
TEST_F(SupervisorTest, a_role_that_ignores_the_drain_is_killed_in_the_end) {
  run(kills_a_deaf_role());
}

TEST_F(SupervisorTest, a_program_that_cannot_run_is_told) {
  role::set_log_level(role::LogLevel(4));
  Supervisor supervisor(*loop_, settings_, resources_, *this, {.executable = "/nonexistent"});
  struct Script {
    static io::Task<int> run(SupervisorTest* test, Supervisor* supervisor) {
      supervisor->start();
      EXPECT_TRUE(co_await test->until([=] { return !test->cannot_start_.empty(); }));
      co_await supervisor->drain(100, "bye");
      co_return 0;
    }
  };
  loop_->run(Script::run(this, &supervisor));
  EXPECT_THAT(cannot_start_, HasSubstr("exited with 127"));
}

TEST(Shards, sessions_are_spread_evenly_within_the_limit_of_open_files) {
  auto plan = plan_shards(1'000'000, 0, 20'000);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->shards, 56u);
  EXPECT_GE(uint64_t(plan->shards) * plan->sockets_per_shard, 1'000'000u);
  EXPECT_LE(plan->sockets_per_shard, 18'000u);
  plan = plan_shards(100, 30, 20'000);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->shards, 4u);
  EXPECT_EQ(plan->sockets_per_shard, 25u);
}

TEST(Shards, what_cannot_be_is_refused_by_the_name_of_the_limit) {
  auto plan = plan_shards(1000, 19'000, 20'000);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("RLIMIT_NOFILE"));
  plan = plan_shards(4'000'000, 0, 1000);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("512 shards"));
}

TEST(Shards, shared_memory_cannot_be_cut_short) {
  auto memory = make_shared_memory("test", 8192);
  ASSERT_TRUE(memory);
  EXPECT_NE(ftruncate(memory->get(), 4096), 0);
  auto growing = make_shared_memory("test", 0);
  ASSERT_TRUE(growing);
  EXPECT_EQ(ftruncate(growing->get(), 4096), 0);
  EXPECT_NE(ftruncate(growing->get(), 0), 0);
}

}  // namespace

int fake_role() { return fake_role_main(); }

}  // namespace dormouse::master

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[1]) == "role") return dormouse::master::fake_role();
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
