// The tracker as a process in its sandbox, with this test as its master.

#include "tracker/tracker_main.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "role/test_master.h"
#include "tracker/cookie.h"

namespace dormouse::tracker {
namespace {

TEST(TrackerProcess, serves_kicks_and_starts_workers_inside_its_sandbox) {
  role::TestMaster master;
  master.fork_role(tracker_main);
  wire::Settings settings;
  settings.set_log_level("error");
  settings.mutable_tracker()->set_policy("shared");
  settings.mutable_tracker()->set_max_workers(2);
  settings.mutable_tracker()->set_sessions_per_worker(10);
  master.start(wire::TRACKER, settings, std::string(CookieKey::kKeyBytes, 's'));
  io::Fd epochs(memfd_create("epochs", MFD_CLOEXEC));
  master.give(wire::MasterToRole::Resource::EPOCHS, "", epochs.get());
  master.go();

  io::Channel auth = master.link(wire::AUTH);
  io::Channel den = master.link(wire::DEN);
  wire::AuthToTracker grant;
  grant.mutable_grant()->set_grant(std::string(wire::kGrantBytes, 'g'));
  grant.mutable_grant()->mutable_identity()->set_user("alice");
  grant.mutable_grant()->mutable_identity()->set_home("/home/alice");
  ASSERT_TRUE(wire::try_send(auth, grant));
  EXPECT_TRUE(role::next<wire::TrackerToAuth>(auth).has_grant_stored());
  auto relay = io::Channel::pair();
  wire::DenToTracker open;
  open.mutable_open()->set_grant(std::string(wire::kGrantBytes, 'g'));
  int relay_fd = relay->second.fd();
  ASSERT_TRUE(wire::try_send(den, open, std::span(&relay_fd, 1)));
  EXPECT_TRUE(role::next<wire::TrackerToDen>(den).has_opened());
  auto asked = role::next<wire::RoleToMaster>(master.control());
  EXPECT_TRUE(asked.start_worker().switch_identity());
  wire::AuthToTracker revoke;
  revoke.mutable_revoke()->set_user("alice");
  ASSERT_TRUE(wire::try_send(auth, revoke));
  EXPECT_TRUE(role::next<wire::TrackerToDen>(den).has_kick());

  EXPECT_THAT(master.view(), testing::HasSubstr("kicked_users=1"));
  master.drain();
  master.expect_drained();
}

}  // namespace
}  // namespace dormouse::tracker
