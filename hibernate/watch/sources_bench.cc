// What each source of changes costs: a watched mailbox, an event (docs/watch.md).

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <jemalloc/jemalloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <vector>

#include "hibernate/watch/bench_folder.h"
#include "hibernate/watch/fanotify_events.h"
#include "hibernate/watch/fanotify_group.h"
#include "hibernate/watch/watch.h"

namespace dormouse::hibernate {
namespace {

constexpr SipKey kKey{1, 2};

wire::Directory named(const std::string& path) {
  wire::Directory directory;
  directory.set_path(path);
  return directory;
}

class Counter final : public ChangeSink {
 public:
  void changed(const Change&, uint64_t) override { ++changes; }
  void lost(const std::string&) override { ++losses; }
  void flush() override {}
  uint64_t changes = 0;
  uint64_t losses = 0;
};

// Events of 10,000 real mailboxes in random order, read, parsed and looked up in a table where
// `range` mailboxes are watched, the others by handles that no directory has.
void fanotify_events_among(benchmark::State& state) {
  constexpr size_t kReal = 10'000;
  constexpr int kEvents = 12'000;  // below the kernel's queue of 16,384
  Folder folder;
  folder.make(kReal);
  auto group = make_fanotify_group(folder.path().string());
  if (!group) return state.SkipWithError(group.error().message.c_str());
  WatchTable table;
  std::vector<DirectoryKey> unused;
  auto subscribe = [&](uint32_t number, const std::string& fresh, const std::string& cur) {
    DirectoryKey keys[] = {directory_key(kKey, fresh), directory_key(kKey, cur)};
    if (!table.subscribe(uint16_t(number % 50), number, keys, unused)) std::abort();
  };
  for (uint32_t i = 0; i < uint32_t(state.range(0)); ++i) {
    auto directories = folder.mailbox(i);
    if (i < kReal) {
      subscribe(i, *directory_handle(directories[0]), *directory_handle(directories[1]));
    } else {
      subscribe(i, fmt::format("none-of-them-{}-n", i), fmt::format("none-of-them-{}-c", i));
    }
  }
  std::mt19937 random(1);
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
      if (batch.overflow) state.SkipWithError("the queue ran over");
    }
  };
  drain();
  seen = told = 0;
  uint64_t round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ++round;
    for (int i = 0; i < kEvents; ++i) {
      auto directories = folder.mailbox(random() % kReal);
      std::string name = fmt::format("{}/{}-{}", directories[random() % 2], round, i);
      close(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    state.ResumeTiming();
    drain();
  }
  state.SetItemsProcessed(int64_t(seen));
  state.counters["told"] = double(told) / double(std::max<uint64_t>(seen, 1));
  state.counters["bytes_per_mailbox"] = double(table.bytes()) / double(table.subscriptions());
}
BENCHMARK(fanotify_events_among)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

// Reading and telling, without the table.
void inotify_events(benchmark::State& state) {
  constexpr size_t kMailboxes = 1'000;
  constexpr int kEvents = 12'000;
  Folder folder;
  folder.make(kMailboxes);
  auto loop = io::Loop::create();
  auto source = InotifySource::create(**loop);
  if (!source) return state.SkipWithError(source.error().message.c_str());
  for (size_t i = 0; i < kMailboxes; ++i) {
    for (const auto& path : folder.mailbox(i)) {
      if (!(*source)->add(named(path))) return state.SkipWithError("no watch is left");
    }
  }
  std::mt19937 random(1);
  Counter counter;
  uint64_t round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ++round;
    for (int i = 0; i < kEvents; ++i) {
      std::string name =
          fmt::format("{}/{}-{}", folder.mailbox(random() % kMailboxes)[0], round, i);
      close(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    state.ResumeTiming();
    uint64_t before = 0;
    do {
      before = counter.changes;
      (*source)->take_queued(counter);
    } while (counter.changes != before);
  }
  if (counter.losses > 0) state.SkipWithError("the queue ran over");
  state.SetItemsProcessed(int64_t(counter.changes));
}
BENCHMARK(inotify_events)->Iterations(5)->Unit(benchmark::kMillisecond);

// By this thread, and not freed since.
uint64_t allocated_bytes() {
  uint64_t allocated = 0;
  uint64_t freed = 0;
  size_t length = sizeof allocated;
  if (mallctl("thread.allocated", &allocated, &length, nullptr, 0) != 0) return 0;
  if (mallctl("thread.deallocated", &freed, &length, nullptr, 0) != 0) return 0;
  return allocated - freed;
}

uint64_t cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return uint64_t(now.tv_sec) * 1'000'000'000 + uint64_t(now.tv_nsec);
}

io::Task<void> run_source(ChangeSource* source, ChangeSink* sink) {
  [[maybe_unused]] auto ended = co_await source->run(*sink);
}
io::Task<int> poll_for(io::Loop* loop, PollingSource* source, Counter* counter, uint64_t ms) {
  io::Scope scope(*loop, co_await io::current_scope());
  scope.spawn(run_source(source, counter));
  [[maybe_unused]] auto slept = co_await loop->sleep(ms);
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

// CPU of a look, and memory of a polled mailbox.
void polling_looks(benchmark::State& state) {
  constexpr size_t kMailboxes = 5'000;
  Folder folder;
  folder.make(kMailboxes);
  auto loop = io::Loop::create();
  PollingSource source(**loop, 1'000);
  uint64_t before = allocated_bytes();
  for (size_t i = 0; i < kMailboxes; ++i) {
    for (const auto& path : folder.mailbox(i)) {
      if (!source.add(named(path))) return state.SkipWithError("cannot be polled");
    }
  }
  state.counters["bytes_per_mailbox"] = double(allocated_bytes() - before) / kMailboxes;
  auto looks = [&] {
    std::string text = source.state();
    return std::strtoull(text.c_str() + text.find("looks=") + 6, nullptr, 10);
  };
  Counter counter;
  uint64_t cpu = 0;
  for (auto _ : state) {
    uint64_t began = cpu_ns();
    (*loop)->run(poll_for(loop->get(), &source, &counter, 2'000));
    cpu += cpu_ns() - began;
  }
  state.counters["cpu_ns_per_look"] = double(cpu) / double(std::max<uint64_t>(looks(), 1));
}
BENCHMARK(polling_looks)->Iterations(1)->Unit(benchmark::kMillisecond);

// What the kernel keeps for an inotify watch: the growth of its slabs.
void inotify_bytes(benchmark::State& state) {
  constexpr size_t kMailboxes = 20'000;
  Folder folder;
  folder.make(kMailboxes);
  auto loop = io::Loop::create();
  auto source = InotifySource::create(**loop);
  if (!source) return state.SkipWithError(source.error().message.c_str());
  // Active bytes of all caches.
  auto slab_bytes = [] {
    std::ifstream in("/proc/slabinfo");
    double bytes = 0;
    for (std::string line; std::getline(in, line);) {
      char name[64];
      unsigned long long active = 0, all = 0, size = 0;
      if (std::sscanf(line.c_str(), "%63s %llu %llu %llu", name, &active, &all, &size) == 4) {
        bytes += double(active) * double(size);
      }
    }
    return bytes;
  };
  for (auto _ : state) {
    double before = slab_bytes();
    for (size_t i = 0; i < kMailboxes; ++i) {
      for (const auto& path : folder.mailbox(i)) {
        if (!(*source)->add(named(path))) return state.SkipWithError("no watch is left");
      }
    }
    state.counters["kernel_bytes_per_mailbox"] = (slab_bytes() - before) / kMailboxes;
  }
}
BENCHMARK(inotify_bytes)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dormouse::hibernate
