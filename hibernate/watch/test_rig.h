#pragma once
// A watch with a folder that has the directories a, b and c, and dens that the test plays.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "hibernate/watch/watch.h"
#include "wire/link.h"

namespace dormouse::hibernate {

namespace fs = std::filesystem;
using wire::WatchToDen;

// Far beyond any answer's time on a loaded machine: only a missing answer takes it.
inline constexpr uint64_t kPatienceMs = 20'000;

// The watches that a notice names, of either kind.
inline std::vector<uint32_t> watches_of(const WatchToDen& message) {
  std::set<uint32_t> found(message.changed().watches().begin(), message.changed().watches().end());
  for (const auto& mail : message.changed().arrived()) found.insert(mail.watch());
  return {found.begin(), found.end()};
}

struct Rig {
  io::Loop* loop;
  Watch* watch;
  fs::path root;
  bool polled = false;  // said of the last subscription

  io::Channel connect(uint32_t index) {
    auto ends = io::Channel::pair();
    EXPECT_TRUE(ends);
    role::Link link;
    link.peer = wire::DEN;
    link.index = index;
    link.channel = std::move(ends->first);
    watch->link(std::move(link));
    return std::move(ends->second);
  }
  io::Task<WatchToDen> next(io::Channel* den) {
    auto got = co_await io::with_timeout<wire::Received<WatchToDen>>(
        kPatienceMs, wire::receive<WatchToDen>(*loop, *den));
    EXPECT_TRUE(got) << (got ? "" : got.error().message);
    co_return got ? got->message : WatchToDen();
  }
  // Connects and takes what comes first on every link.
  io::Task<io::Channel> greeted(uint32_t index) {
    io::Channel den = connect(index);
    auto mode = co_await next(&den);
    EXPECT_EQ(mode.mode().name(), watch->backend());
    auto lost = co_await next(&den);
    EXPECT_TRUE(lost.lost().subscribe_again());
    co_return den;
  }
  // `topic`: none where 0.
  void send_subscribe(io::Channel& den, uint32_t number, std::vector<std::string> names,
                      uint64_t topic = 0) {
    wire::DenToWatch message;
    message.mutable_subscribe()->set_watch(number);
    for (const auto& name : names) {
      message.mutable_subscribe()->add_directories()->set_path((root / name).string());
    }
    if (topic != 0) message.mutable_subscribe()->add_directories()->set_topic(topic);
    EXPECT_TRUE(wire::try_send(den, message));
  }
  io::Task<bool> subscribe(io::Channel* den, uint32_t number, std::vector<std::string> names,
                           uint64_t topic = 0) {
    send_subscribe(*den, number, std::move(names), topic);
    auto answer = co_await next(den);
    EXPECT_TRUE(answer.has_subscribed());
    EXPECT_EQ(answer.subscribed().watch(), number);
    EXPECT_EQ(answer.subscribed().watched(), answer.subscribed().reason().empty());
    polled = answer.subscribed().polled();
    co_return answer.subscribed().watched();
  }
  void touch(const std::string& name) const { std::ofstream(root / name) << "mail"; }
  io::Task<void> settle() {
    for (int i = 0; i < 20; ++i) [[maybe_unused]]
      auto slept = co_await loop->sleep(1);
  }
};

inline io::Task<int> rig_main(io::Loop* loop, io::Task<void> (*body)(Rig*), WatchOptions options,
                              fs::path root) {
  io::Scope scope(*loop, co_await io::current_scope());
  auto watch = Watch::create(*loop, scope, std::move(options));
  EXPECT_TRUE(watch);
  (*watch)->start();
  Rig rig{.loop = loop, .watch = watch->get(), .root = root};
  co_await body(&rig);
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

inline void run_with_rig(io::Task<void> (*body)(Rig*), WatchOptions options) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  std::string root = testing::TempDir() + "dormouse_watch_XXXXXX";
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  for (const char* name : {"a", "b", "c"}) fs::create_directory(fs::path(root) / name);
  if (options.settings.polling_ms() == 0) options.settings.set_polling_ms(200);
  (*loop)->run(rig_main(loop->get(), body, std::move(options), root));
  fs::remove_all(root);
}

inline void run_with_rig(io::Task<void> (*body)(Rig*), const std::string& backend = "inotify",
                         uint64_t inotify_watches_max = 0) {
  WatchOptions options;
  options.settings.set_backend(backend);
  options.inotify_watches_max = inotify_watches_max;
  run_with_rig(body, std::move(options));
}

}  // namespace dormouse::hibernate
