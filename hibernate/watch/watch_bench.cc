// Events per second of the watch, and what a watch costs (docs/watch.md).

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <vector>

#include "hibernate/watch/fanotify_events.h"
#include "hibernate/watch/fanotify_group.h"

namespace dormouse::hibernate {
namespace {

constexpr SipKey kKey{1, 2};

std::string handle_of(uint64_t directory) {
  std::string handle("fsidfsid\1\0\0\0", 12);
  handle.append(reinterpret_cast<const char*>(&directory), sizeof directory);
  return handle;
}

std::unique_ptr<WatchTable> table_of(uint32_t mailboxes) {
  auto table = std::make_unique<WatchTable>();
  std::vector<DirectoryKey> unused;
  for (uint32_t i = 0; i < mailboxes; ++i) {
    DirectoryKey keys[] = {directory_key(kKey, handle_of(2 * i)),
                           directory_key(kKey, handle_of(2 * i + 1))};
    if (!table->subscribe(uint16_t(i % 50), i, keys, unused)) std::abort();
  }
  return table;
}

std::vector<std::byte> event_of(uint64_t directory) {
  std::vector<std::byte> bytes(sizeof(fanotify_event_metadata) + 4 + 8 + 8 + 8 + 24);
  fanotify_event_metadata head{};
  head.event_len = uint32_t(bytes.size());
  head.metadata_len = sizeof head;
  head.vers = FANOTIFY_METADATA_VERSION;
  head.mask = FAN_MOVED_TO;
  std::memcpy(bytes.data(), &head, sizeof head);
  std::byte* record = bytes.data() + sizeof head;
  fanotify_event_info_header info{};
  info.info_type = FAN_EVENT_INFO_TYPE_DFID_NAME;
  info.len = uint16_t(bytes.size() - sizeof head);
  std::memcpy(record, &info, sizeof info);
  uint32_t handle_head[] = {8, 1};
  std::memcpy(record + 4, "fsidfsid", 8);
  std::memcpy(record + 12, handle_head, sizeof handle_head);
  std::memcpy(record + 20, &directory, sizeof directory);
  return bytes;
}

// Parsing and looking up, a million watched directories; argument: percent that are watched.
void events(benchmark::State& state) {
  constexpr uint32_t kMailboxes = 500'000;
  auto table = table_of(kMailboxes);
  std::mt19937_64 random(1);
  std::vector<std::byte> buffer;
  constexpr int kEvents = 1000;
  for (int i = 0; i < kEvents; ++i) {
    bool watched = int64_t(random() % 100) < state.range(0);
    uint64_t directory = random() % (2 * kMailboxes) + (watched ? 0 : uint64_t(1) << 40);
    auto event = event_of(directory);
    buffer.insert(buffer.end(), event.begin(), event.end());
  }
  uint64_t told = 0;
  for (auto _ : state) {
    read_fanotify_events(kKey, buffer, [&](const Change& change) {
      table->for_each(change.from | change.to,
                      [&](const WatchTable::Wanted& who) { told += who.watch; });
    });
  }
  benchmark::DoNotOptimize(told);
  state.SetItemsProcessed(state.iterations() * kEvents);
  state.counters["bytes_per_directory"] = double(table->bytes()) / double(table->directories());
}
BENCHMARK(events)->Arg(0)->Arg(10)->Arg(100);

void subscribe(benchmark::State& state) {
  auto mailboxes = uint32_t(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(table_of(mailboxes));
  state.SetItemsProcessed(state.iterations() * mailboxes);
}
BENCHMARK(subscribe)->Arg(1000)->Arg(100'000)->Arg(500'000)->Unit(benchmark::kMillisecond);

// One rebuild of the table: how long the process stands still for it.
void rebuild(benchmark::State& state) {
  auto table = table_of(uint32_t(state.range(0)));
  std::vector<DirectoryKey> unused;
  constexpr uint16_t kNoDen = 60'000;
  for (auto _ : state) table->drop_den(kNoDen, unused);
}
BENCHMARK(rebuild)->Arg(100'000)->Arg(500'000)->Unit(benchmark::kMillisecond);

// Real events: files created in 64 directories in turn, then read from the kernel and looked up.
void from_the_kernel(benchmark::State& state) {
  namespace fs = std::filesystem;
  std::string root = "/tmp/dormouse_watch_bench_XXXXXX";
  if (mkdtemp(root.data()) == nullptr) return state.SkipWithError("mkdtemp");
  auto group = make_fanotify_group(root);
  if (!group) return state.SkipWithError(group.error().message.c_str());
  constexpr int kDirectories = 64;
  constexpr int kEvents = 8192;
  WatchTable table;
  std::vector<DirectoryKey> unused;
  for (int i = 0; i < kDirectories; ++i) {
    std::string path = fmt::format("{}/{}", root, i);
    fs::create_directory(path);
    DirectoryKey keys[] = {directory_key(kKey, *directory_handle(path))};
    if (!table.subscribe(0, uint32_t(i), keys, unused)) std::abort();
  }
  std::vector<std::byte> buffer(64 * 1024);
  uint64_t told = 0;
  uint64_t seen = 0;
  auto drain = [&] {
    ssize_t got = 0;
    while ((got = read(group->get(), buffer.data(), buffer.size())) > 0) {
      auto batch = read_fanotify_events(
          kKey, std::span(buffer.data(), size_t(got)), [&](const Change& change) {
            table.for_each(change.from | change.to, [&](const WatchTable::Wanted&) { ++told; });
          });
      seen += batch.events;
    }
  };
  drain();
  seen = 0;
  uint64_t round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ++round;
    for (int i = 0; i < kEvents; ++i) {
      std::string name = fmt::format("{}/{}/{}-{}", root, i % kDirectories, round, i);
      close(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    state.ResumeTiming();
    drain();
  }
  state.SetItemsProcessed(int64_t(seen));
  benchmark::DoNotOptimize(told);
  fs::remove_all(root);
}
BENCHMARK(from_the_kernel)->Iterations(3)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dormouse::hibernate
