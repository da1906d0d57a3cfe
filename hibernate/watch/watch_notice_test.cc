// What is told without the file system's help, and to whom.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "hibernate/watch/notice_sockets.h"
#include "hibernate/watch/test_rig.h"
#include "wire/topic.h"
#include "wire/watch_worker.pb.h"

namespace dormouse::hibernate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kKey = "0123456789abcdef";

// A worker's end of a link, and what the watch says first on it.
io::Task<io::Channel> worker_of(Rig* rig, bool publish) {
  auto ends = io::Channel::pair();
  EXPECT_TRUE(ends);
  role::Link link;
  link.peer = wire::WORKER;
  link.channel = std::move(ends->first);
  rig->watch->link(std::move(link));
  io::Channel worker = std::move(ends->second);
  auto mode = co_await wire::receive<wire::WatchToWorker>(*rig->loop, worker);
  EXPECT_TRUE(mode);
  if (mode) EXPECT_EQ(mode->message.mode().publish(), publish);
  co_return worker;
}

void publish(io::Channel& worker, uint64_t topic) {
  wire::WorkerToWatch message;
  message.mutable_published()->add_topics(topic);
  EXPECT_TRUE(wire::try_send(worker, message));
}

io::Task<void> workers(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  io::Channel early = co_await worker_of(rig, false);
  uint64_t topic = wire::topic_of("ada", "INBOX");
  // One watch for inotify: the first mailbox has it, the second is polled.
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a"}, topic));
  EXPECT_FALSE(rig->polled);
  EXPECT_TRUE(co_await rig->subscribe(&den, 2, {"b"}, topic));
  EXPECT_TRUE(rig->polled);
  auto mode = co_await wire::receive<wire::WatchToWorker>(*rig->loop, early);
  EXPECT_TRUE(mode && mode->message.mode().publish()) << "now there is something polled";
  io::Channel late = co_await worker_of(rig, true);
  // Looks are an hour apart.
  publish(early, wire::topic_of("ada", "Sent"));
  publish(late, topic);
  auto told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), ElementsAre(2)) << "inotify tells of the other";
  EXPECT_THAT(rig->watch->view(), HasSubstr("topics told=1 unwanted=1 workers=2"));
  EXPECT_TRUE(early.try_send("\xff\xff\xff"));
  auto closed = co_await early.receive(*rig->loop);
  EXPECT_FALSE(closed) << "nonsense ends its own link";
  publish(late, topic);
  told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), ElementsAre(2));
}
TEST(WatchNotices, of_workers_are_told_where_a_mailbox_is_polled) {
  WatchOptions options;
  options.settings.set_backend("auto");
  options.settings.set_polling_ms(3'600'000);
  options.inotify_watches_max = 1;
  run_with_rig(workers, std::move(options));
}

struct Sockets {
  io::Fd to_unix;
  io::Fd to_udp;
};
// run_with_rig() takes no captures.
Sockets* sockets = nullptr;

WatchOptions with_sockets(const std::string& folder, Sockets& ends) {
  WatchOptions options;
  options.settings.set_notice_window_ms(30'000);
  std::string path = folder + "/socket";
  auto unix = make_notice_socket(path, false);
  auto udp = make_udp_notice_socket("127.0.0.1", 0);
  EXPECT_TRUE(unix && udp);
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  EXPECT_EQ(getsockname(udp->get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
  ends.to_unix = std::move(*connect_notices(path));
  ends.to_udp = std::move(*connect_notices("127.0.0.1", ntohs(bound.sin_port)));
  options.notices.push_back({.fd = std::move(*unix), .sealed = false});
  options.notices.push_back({.fd = std::move(*udp), .sealed = true});
  options.notice_key = io::Secret(kKey);
  return options;
}

io::Task<void> notices(Rig* rig) {
  io::Channel den = co_await rig->greeted(0);
  EXPECT_TRUE(co_await rig->subscribe(&den, 1, {"a"}, wire::topic_of("ada", "INBOX")));
  EXPECT_TRUE(co_await rig->subscribe(&den, 2, {"b"}, wire::topic_of("ada", "Sent")));
  EXPECT_FALSE(rig->polled);
  auto send = [](const io::Fd& to, const char* mailbox, bool local, std::string_view key) {
    EXPECT_TRUE(send_notice(to, {.local = local, .user = "ada", .mailbox = mailbox}, key));
  };
  send(sockets->to_unix, "inbox", true, "");  // inotify tells of what happens here
  send(sockets->to_udp, "INBOX", false, "another key 0000");
  send(sockets->to_unix, "Sent", false, "");
  auto told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), ElementsAre(2));
  send(sockets->to_udp, "INBOX", true, kKey);
  told = co_await rig->next(&den);
  EXPECT_THAT(told.changed().watches(), ElementsAre(1));
  EXPECT_THAT(rig->watch->view(), HasSubstr("notices taken=3 malformed=0 denied=1"));
}
TEST(WatchNotices, on_sockets_are_told_but_for_what_the_file_system_tells) {
  std::string folder = testing::TempDir() + "dormouse_notice_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  Sockets ends;
  sockets = &ends;
  WatchOptions options = with_sockets(folder, ends);
  options.settings.set_backend("inotify");
  run_with_rig(notices, std::move(options));
  fs::remove_all(folder);
}

io::Task<void> modes(Rig* rig) {
  io::Channel den = rig->connect(3);
  auto mode = co_await rig->next(&den);
  EXPECT_EQ(mode.mode().name(), "polling");
  EXPECT_TRUE(mode.mode().topics());
}
TEST(WatchNotices, are_wanted_where_anything_may_be_polled) { run_with_rig(modes, "polling"); }

}  // namespace
}  // namespace dormouse::hibernate
