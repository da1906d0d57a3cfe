// The tracker as a process in its sandbox, with this test as its master.

#include "tracker/tracker_main.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tracker/cookie.h"
#include "wire/control.pb.h"
#include "wire/link.h"

namespace dormouse::tracker {
namespace {

template <class T>
T next(io::Channel& from) {
  pollfd wait{.fd = from.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 20'000), 1);
  auto got = wire::try_receive<T>(from);
  EXPECT_TRUE(got) << (got ? "" : got.error().message);
  return got ? got->message : T();
}

io::Channel give_link(io::Channel& control, wire::Role role) {
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  wire::MasterToRole message;
  message.mutable_link()->set_peer(role);
  int fd = ends->first.fd();
  EXPECT_TRUE(wire::try_send(control, message, std::span(&fd, 1)));
  return std::move(ends->second);
}

TEST(TrackerProcess, serves_kicks_and_starts_workers_inside_its_sandbox) {
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  io::Channel control = std::move(ends->first);
  pid_t child = fork();
  if (child == 0) {
    control.close();
    if (ends->second.fd() != 3) dup2(ends->second.fd(), 3);
    std::exit(tracker_main());
  }
  ends->second.close();
  wire::MasterToRole start;
  start.mutable_start()->set_role(wire::TRACKER);
  start.mutable_start()->set_secret(std::string(CookieKey::kKeyBytes, 's'));
  auto* settings = start.mutable_start()->mutable_settings();
  settings->set_log_level("error");
  settings->mutable_tracker()->set_policy("shared");
  settings->mutable_tracker()->set_max_workers(2);
  settings->mutable_tracker()->set_sessions_per_worker(10);
  ASSERT_TRUE(wire::try_send(control, start));
  wire::MasterToRole resource;
  resource.mutable_resource()->set_kind(wire::MasterToRole::Resource::EPOCHS);
  io::Fd epochs(memfd_create("epochs", MFD_CLOEXEC));
  int fd = epochs.get();
  ASSERT_TRUE(wire::try_send(control, resource, std::span(&fd, 1)));
  wire::MasterToRole go;
  go.mutable_go();
  ASSERT_TRUE(wire::try_send(control, go));
  ASSERT_TRUE(next<wire::RoleToMaster>(control).has_ready());

  io::Channel auth = give_link(control, wire::AUTH);
  io::Channel den = give_link(control, wire::DEN);
  wire::AuthToTracker grant;
  grant.mutable_grant()->set_grant(std::string(wire::kGrantBytes, 'g'));
  grant.mutable_grant()->mutable_identity()->set_user("alice");
  grant.mutable_grant()->mutable_identity()->set_home("/home/alice");
  ASSERT_TRUE(wire::try_send(auth, grant));
  EXPECT_TRUE(next<wire::TrackerToAuth>(auth).has_grant_stored());
  auto relay = io::Channel::pair();
  wire::DenToTracker open;
  open.mutable_open()->set_grant(std::string(wire::kGrantBytes, 'g'));
  int relay_fd = relay->second.fd();
  ASSERT_TRUE(wire::try_send(den, open, std::span(&relay_fd, 1)));
  EXPECT_TRUE(next<wire::TrackerToDen>(den).has_opened());
  auto asked = next<wire::RoleToMaster>(control);
  EXPECT_TRUE(asked.start_worker().switch_identity());
  wire::AuthToTracker revoke;
  revoke.mutable_revoke()->set_user("alice");
  ASSERT_TRUE(wire::try_send(auth, revoke));
  EXPECT_TRUE(next<wire::TrackerToDen>(den).has_kick());

  wire::MasterToRole view;
  view.mutable_view()->set_request(1);
  ASSERT_TRUE(wire::try_send(control, view));
  EXPECT_THAT(next<wire::RoleToMaster>(control).view_text().text(),
              testing::HasSubstr("kicked_users=1"));
  wire::MasterToRole drain;
  drain.mutable_drain();
  ASSERT_TRUE(wire::try_send(control, drain));
  EXPECT_TRUE(next<wire::RoleToMaster>(control).has_drained());
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace dormouse::tracker
