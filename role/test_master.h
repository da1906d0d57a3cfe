#pragma once
// For tests of a role as a process: the test is its master. The role runs in a child of the test,
// in its sandbox, on its control channel; every wait is bounded.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "io/channel.h"
#include "wire/control.pb.h"
#include "wire/link.h"

namespace dormouse::role {

inline constexpr int kPatienceMs = 20'000;  // far above what anything takes

// The next message with its descriptors; nothing, and a failure of the test, when none comes.
template <class T>
std::optional<wire::Received<T>> next_received(io::Channel& from) {
  pollfd wait{.fd = from.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, kPatienceMs), 1);
  auto received = wire::try_receive<T>(from);
  EXPECT_TRUE(received) << (received ? "" : received.error().message);
  if (!received) return std::nullopt;
  return std::move(*received);
}

template <class T>
T next(io::Channel& from) {
  auto received = next_received<T>(from);
  return received ? std::move(received->message) : T();
}

class TestMaster {
 public:
  TestMaster() = default;
  TestMaster(const TestMaster&) = delete;
  TestMaster& operator=(const TestMaster&) = delete;
  ~TestMaster() {
    control_.close();
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }

  // `role_main` ends the child with what it returns.
  void fork_role(int (*role_main)()) {
    auto ends = io::Channel::pair();
    ASSERT_TRUE(ends);
    control_ = std::move(ends->first);
    child_ = ::fork();
    if (child_ != 0) return;
    control_.close();
    if (ends->second.fd() != 3) ::dup2(ends->second.fd(), 3);
    ::_exit(role_main());
  }
  // `fd` stays the caller's.
  void tell(const wire::MasterToRole& message, std::optional<int> fd = {}) {
    const int given = fd.value_or(-1);
    ASSERT_TRUE(wire::try_send(control_, message, std::span(&given, fd ? 1 : 0)));
  }
  void start(wire::Role role, const wire::Settings& settings, const std::string& secret = {}) {
    wire::MasterToRole message;
    message.mutable_start()->set_role(role);
    message.mutable_start()->set_secret(secret);
    *message.mutable_start()->mutable_settings() = settings;
    tell(message);
  }
  void give(wire::MasterToRole::Resource::Kind kind, const std::string& name, int fd) {
    wire::MasterToRole message;
    message.mutable_resource()->set_kind(kind);
    message.mutable_resource()->set_name(name);
    tell(message, fd);
  }
  void go() {
    wire::MasterToRole message;
    message.mutable_go();
    tell(message);
    ASSERT_TRUE(next<wire::RoleToMaster>(control_).has_ready());
  }
  // The test's end of a link to the role, on which it plays `peer`.
  io::Channel link(wire::Role peer) {
    auto ends = io::Channel::pair();
    EXPECT_TRUE(ends);
    wire::MasterToRole message;
    message.mutable_link()->set_peer(peer);
    tell(message, ends->second.fd());
    return std::move(ends->first);
  }
  std::string view() {
    wire::MasterToRole message;
    message.mutable_view()->set_request(1);
    tell(message);
    return said().view_text().text();
  }
  // The role says that it has drained, and ends with status 0.
  void drain(const std::string& text = {}) {
    wire::MasterToRole message;
    message.mutable_drain()->set_text(text);
    tell(message);
  }
  void expect_drained() {
    EXPECT_TRUE(said().has_drained());
    expect_exit(0);
  }
  void expect_exit(std::optional<int> with = {}) {
    int status = -1;
    ASSERT_EQ(::waitpid(child_, &status, 0), child_);
    child_ = -1;
    ASSERT_TRUE(WIFEXITED(status)) << status;
    if (with) EXPECT_EQ(WEXITSTATUS(status), *with);
  }

  io::Channel& control() { return control_; }
  pid_t child() const { return child_; }

 private:
  // A tracker's word on its queue may come at any time.
  wire::RoleToMaster said() {
    auto message = next<wire::RoleToMaster>(control_);
    while (message.has_strain()) message = next<wire::RoleToMaster>(control_);
    return message;
  }

  io::Channel control_;
  pid_t child_ = -1;
};

}  // namespace dormouse::role
