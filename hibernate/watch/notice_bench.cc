// Notices read, believed and looked up, and what a topic costs (docs/watch.md).

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <chrono>
#include <random>

#include "hibernate/watch/bench_folder.h"
#include "hibernate/watch/change_source.h"
#include "hibernate/watch/notice_port.h"
#include "hibernate/watch/notice_sockets.h"
#include "hibernate/watch/watch_table.h"
#include "wire/topic.h"

namespace dormouse::hibernate {
namespace {

constexpr std::string_view kKey = "0123456789abcdef";
constexpr uint32_t kMailboxes = 1'000'000;

std::string user(uint32_t i) { return fmt::format("user{}@example.org", i); }

DirectoryKey key_of(std::string_view name) {
  return kTopicKey | (wire::topic_of(name, "INBOX") & kKeyMask & ~kKeyOwnerMask);
}

// As the watch does it, without the dens.
class Lookup final : public NoticeSink {
 public:
  explicit Lookup(const WatchTable& table) : table_(table) {}
  void noticed(const Notice& notice) override {
    table_.for_each(key_of(notice.user), [this](const WatchTable::Wanted&) { ++told; });
  }
  void notices_end() override {}
  uint64_t told = 0;

 private:
  const WatchTable& table_;
};

uint64_t unix_ms() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000;
}

// A million mailboxes with topics. Argument: 0: a unix socket, 1: UDP with the key. Sending is not
// timed: as much as the socket holds, and then all of it is read.
void notices_taken(benchmark::State& state) {
  bool sealed = state.range(0) != 0;
  Folder folder;
  std::string path = (folder.path() / "notices").string();
  auto socket = sealed ? make_udp_notice_socket("127.0.0.1", 0) : make_notice_socket(path, false);
  if (!socket) return state.SkipWithError(socket.error().message.c_str());
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  if (sealed) getsockname(socket->get(), reinterpret_cast<sockaddr*>(&bound), &length);
  auto to = sealed ? connect_notices("127.0.0.1", ntohs(bound.sin_port)) : connect_notices(path);
  if (!to) return state.SkipWithError(to.error().message.c_str());
  WatchTable table;
  std::vector<DirectoryKey> unused;
  for (uint32_t i = 0; i < kMailboxes; ++i) {
    DirectoryKey keys[] = {key_of(user(i))};
    if (!table.subscribe(uint16_t(i % 50), i, keys, unused)) std::abort();
  }
  auto loop = io::Loop::create();
  NoticePort port(**loop, io::Secret(kKey), 30'000);
  Lookup lookup(table);
  std::mt19937 random(1);
  Notice notice;
  notice.mailbox = "INBOX";
  notice.sender = 1;
  // 10 by default on a unix socket (net.unix.max_dgram_qlen), 277 of this size in UDP's 208 KiB.
  int batch = sealed ? 200 : 10;
  std::array<char, kNoticeBytesMax + 1> buffer;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      notice.user = user(random() % kMailboxes);
      ++notice.number;
      if (!send_notice(*to, notice, sealed ? kKey : "")) break;
    }
    auto began = std::chrono::steady_clock::now();
    uint64_t now_ms = unix_ms();
    ssize_t got = 0;
    while ((got = recv(socket->get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) >= 0) {
      port.take(std::string_view(buffer.data(), size_t(got)), sealed, now_ms, lookup);
    }
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    state.SetIterationTime(took.count());
  }
  if (port.count(NoticePort::kTaken) != lookup.told) state.SkipWithError("not all were wanted");
  state.SetLabel(sealed ? "udp" : "unix");
  state.SetItemsProcessed(int64_t(lookup.told));
  state.counters["table_bytes_per_topic"] = double(table.bytes()) / double(table.subscriptions());
}
BENCHMARK(notices_taken)->Arg(0)->Arg(1)->UseManualTime();

}  // namespace
}  // namespace dormouse::hibernate
