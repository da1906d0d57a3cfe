// The role as a process: this test is its master, its login and its tracker.

#include "auth/auth_main.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "role/test_master.h"
#include "wire/auth_tracker.pb.h"
#include "wire/login_auth.pb.h"

namespace dormouse::auth {
namespace {

using namespace std::string_literals;

class AuthMain : public testing::Test {
 protected:
  void SetUp() override { master_.fork_role(auth_main); }
  void give_users(const std::string& text) {
    io::Fd file(::memfd_create("passwd", MFD_CLOEXEC));
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), ssize_t(text.size()));
    master_.give(wire::MasterToRole::Resource::PASSWD_FILE, "/etc/passwd.mail", file.get());
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
    master_.start(wire::AUTH, settings());
    give_users(users);
    master_.go();
    login_ = master_.link(wire::LOGIN);
    tracker_ = master_.link(wire::TRACKER);
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
      auto grant = role::next<wire::AuthToTracker>(tracker_);
      EXPECT_EQ(grant.grant().identity().home(), "/mail/" + user);
      wire::TrackerToAuth stored;
      stored.mutable_grant_stored()->set_request(grant.grant().request());
      EXPECT_TRUE(wire::try_send(tracker_, stored));
    }
    return role::next<wire::AuthToLogin>(login_).has_granted();
  }
  role::TestMaster master_;
  io::Channel login_, tracker_;
  uint64_t request_ = 0;
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
  EXPECT_NE(master_.view().find("users=2 "), std::string::npos);

  give_users("ben:{PLAIN}new\nbad line\ncarl:{PLAIN}x\ndora:{PLAIN}x\n");
  wire::MasterToRole reload;
  *reload.mutable_reload()->mutable_settings() = settings();
  master_.tell(reload);
  while (master_.view().find("users=3 ") == std::string::npos) ::usleep(1000);
  EXPECT_FALSE(log_in("ben", "old")) << "not from the cache either";
  EXPECT_TRUE(log_in("ben", "new"));
  EXPECT_FALSE(log_in("anna", "Hello world!"));

  master_.drain();
  master_.expect_drained();
}

}  // namespace
}  // namespace dormouse::auth
