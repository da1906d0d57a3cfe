// The role as a process: this test is its master, its login and its tracker.

#include "auth/auth_main.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "io/channel.h"
#include "wire/auth_tracker.pb.h"
#include "wire/control.pb.h"
#include "wire/link.h"
#include "wire/login_auth.pb.h"

namespace dormouse::auth {
namespace {

using namespace std::string_literals;

template <class T>
T next(io::Channel& from) {
  pollfd wait{.fd = from.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
  auto received = wire::try_receive<T>(from);
  EXPECT_TRUE(received);
  return received ? std::move(received->message) : T();
}

class AuthMain : public testing::Test {
 protected:
  void SetUp() override {
    auto ends = io::Channel::pair();
    ASSERT_TRUE(ends);
    control_ = std::move(ends->first);
    child_ = ::fork();
    if (child_ != 0) return;
    control_.close();
    if (ends->second.fd() != 3) ::dup2(ends->second.fd(), 3);
    ::_exit(auth_main());
  }
  void TearDown() override {
    control_.close();
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }
  void tell(const wire::MasterToRole& message, std::optional<int> fd = {}) {
    const int given = fd.value_or(-1);
    ASSERT_TRUE(wire::try_send(control_, message, std::span(&given, fd ? 1 : 0)));
  }
  void give_users(const std::string& text) {
    io::Fd file(::memfd_create("passwd", MFD_CLOEXEC));
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), ssize_t(text.size()));
    wire::MasterToRole resource;
    resource.mutable_resource()->set_kind(wire::MasterToRole::Resource::PASSWD_FILE);
    resource.mutable_resource()->set_name("/etc/passwd.mail");
    tell(resource, file.get());
  }
  wire::Settings settings() {
    wire::Settings made;
    made.set_log_level("error");
    made.mutable_auth()->add_mechanisms("PLAIN");
    made.mutable_auth()->set_hash_threads(2);
    made.mutable_auth()->set_default_home("/mail/%u");
    made.mutable_auth()->set_default_uid(5);
    made.mutable_auth()->set_default_gid(5);
    made.mutable_auth()->set_cache_entries(10);
    made.mutable_auth()->set_cache_ttl_ms(60'000);
    return made;
  }
  void start(const std::string& users) {
    wire::MasterToRole message;
    message.mutable_start()->set_role(wire::AUTH);
    *message.mutable_start()->mutable_settings() = settings();
    tell(message);
    give_users(users);
    wire::MasterToRole go;
    go.mutable_go();
    tell(go);
    ASSERT_TRUE(next<wire::RoleToMaster>(control_).has_ready());
    login_ = link(wire::LOGIN);
    tracker_ = link(wire::TRACKER);
  }
  io::Channel link(wire::Role peer) {
    auto ends = io::Channel::pair();
    EXPECT_TRUE(ends);
    wire::MasterToRole message;
    message.mutable_link()->set_peer(peer);
    tell(message, ends->second.fd());
    return std::move(ends->first);
  }
  // Whether the password is right, playing the tracker's part if it is.
  bool log_in(const std::string& user, const std::string& password) {
    wire::LoginToAuth ask;
    ask.mutable_start()->set_request(++request_);
    ask.mutable_start()->set_mechanism("PLAIN");
    ask.mutable_start()->set_initial_response("\0"s + user + "\0"s + password);
    EXPECT_TRUE(wire::try_send(login_, ask));
    pollfd either[] = {{.fd = login_.fd(), .events = POLLIN, .revents = 0},
                       {.fd = tracker_.fd(), .events = POLLIN, .revents = 0}};
    EXPECT_GT(::poll(either, 2, 10'000), 0);
    if (either[1].revents != 0) {
      auto grant = next<wire::AuthToTracker>(tracker_);
      EXPECT_EQ(grant.grant().identity().home(), "/mail/" + user);
      wire::TrackerToAuth stored;
      stored.mutable_grant_stored()->set_request(grant.grant().request());
      EXPECT_TRUE(wire::try_send(tracker_, stored));
    }
    return next<wire::AuthToLogin>(login_).has_granted();
  }
  std::string view() {
    wire::MasterToRole ask;
    ask.mutable_view()->set_request(1);
    tell(ask);
    return next<wire::RoleToMaster>(control_).view_text().text();
  }

  io::Channel control_, login_, tracker_;
  uint64_t request_ = 0;
  pid_t child_ = -1;
};

TEST_F(AuthMain, verifies_in_its_sandbox_and_rereads_the_users) {
  // {SHA512-CRYPT} of "Hello world!": a hash thread computes behind the system-call filter.
  start(
      "anna:{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJu"
      "esI68u4OTLiBFdcbYEdFCoEOfaS35inz1\nben:{PLAIN}old\n");
  EXPECT_TRUE(log_in("anna", "Hello world!"));
  EXPECT_TRUE(log_in("ben", "old"));
  EXPECT_TRUE(log_in("ben", "old")) << "from the cache";
  EXPECT_FALSE(log_in("anna", "hello world!"));
  EXPECT_FALSE(log_in("nobody", "x"));
  EXPECT_NE(view().find("users=2 "), std::string::npos);

  give_users("ben:{PLAIN}new\nbad line\ncarl:{PLAIN}x\ndora:{PLAIN}x\n");
  wire::MasterToRole reload;
  *reload.mutable_reload()->mutable_settings() = settings();
  tell(reload);
  while (view().find("users=3 ") == std::string::npos) ::usleep(1000);
  EXPECT_FALSE(log_in("ben", "old")) << "not from the cache either";
  EXPECT_TRUE(log_in("ben", "new"));
  EXPECT_FALSE(log_in("anna", "Hello world!"));

  wire::MasterToRole drain;
  drain.mutable_drain();
  tell(drain);
  EXPECT_TRUE(next<wire::RoleToMaster>(control_).has_drained());
  int status = -1;
  ASSERT_EQ(::waitpid(child_, &status, 0), child_);
  child_ = -1;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace dormouse::auth
