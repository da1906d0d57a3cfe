// What a change to a sleeper's mailbox costs the store, step by step, when the store was closed in
// between (more sleepers than the worker keeps stores for) and when it was kept.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "store/store.h"

namespace dormouse::store {
namespace {

// About the inbox of the load tester's users.
constexpr int kMessages = 50;
// Each delivery waits for a directory's stamp to settle, as with deliveries that come apart.
constexpr useconds_t kSettle_us = 60'000;

class Steps {
 public:
  // The time since the last call, in microseconds, added to the counter `name`.
  void took(benchmark::State& state, const char* name) {
    auto now = std::chrono::steady_clock::now();
    double step_us = std::chrono::duration<double, std::micro>(now - last_).count();
    // Assigned, not added: += on the map's entry keeps the plain flags it was born with.
    benchmark::Counter& counter =
        state.counters.try_emplace(name, 0, benchmark::Counter::kAvgIterations).first->second;
    counter.value += step_us;
    total_us_ += step_us;
    last_ = std::chrono::steady_clock::now();
  }
  void start() { last_ = std::chrono::steady_clock::now(); }
  double total_us() const { return total_us_; }

 private:
  std::chrono::steady_clock::time_point last_;
  double total_us_ = 0;
};

class MailDirectory {
 public:
  MailDirectory() {
    char pattern[] = "/tmp/dormouse-bench-XXXXXX";
    if (mkdtemp(pattern) == nullptr) abort();
    directory_ = pattern;
    root_ = directory_ + "/Maildir";
    (void)*UserStore::open(root_);
    for (int i = 0; i < kMessages; ++i) deliver();
  }
  ~MailDirectory() { std::filesystem::remove_all(directory_); }
  const std::string& root() const { return root_; }
  void deliver() {
    std::string name = std::to_string(++delivered_) + ".M1.bench";
    std::string temporary = root_ + "/tmp/" + name;
    int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ::write(fd, "Subject: x\n\nx\n", 14) != 14) abort();
    ::close(fd);
    if (::rename(temporary.c_str(), (root_ + "/new/" + name).c_str()) != 0) abort();
  }

 private:
  std::string directory_;
  std::string root_;
  int delivered_ = 1'000'000;
};

void step(const auto& result) {
  if (!result) abort();
}

// Arrival: sync, what is new, and the claim of \Recent; then what our own rename looks like to the
// watcher: a second refresh that finds nothing.
void refresh(benchmark::State& state, bool keep, bool shrink) {
  MailDirectory mail;
  std::unique_ptr<UserStore> store = std::move(*UserStore::open(mail.root()));
  Guid guid = store->open_mailbox("INBOX")->status()->guid;
  step(store->open_mailbox("INBOX")->sync());
  uint64_t mod_seq = store->open_mailbox("INBOX")->status()->highest_mod_seq;
  if (!keep) store.reset();
  for (auto _ : state) {
    mail.deliver();
    usleep(kSettle_us);
    Steps steps;
    steps.start();
    if (!keep) {
      store = std::move(*UserStore::open(mail.root()));
      steps.took(state, "1_open");
    }
    Mailbox mailbox = *store->open_mailbox(guid);
    steps.took(state, "2_mailbox");
    step(mailbox.sync());
    steps.took(state, "3_sync");
    mod_seq = mailbox.changes_since(mod_seq)->status.highest_mod_seq;
    steps.took(state, "4_changes");
    step(mailbox.claim_recent());
    steps.took(state, "5_claim");
    Mailbox again = *store->open_mailbox(guid);
    step(again.sync());
    steps.took(state, "6_again_sync");
    step(again.changes_since(mod_seq));
    steps.took(state, "7_again_changes");
    if (shrink) {
      store->shrink();
      steps.took(state, "8_shrink");
    }
    if (!keep) {
      store.reset();
      steps.took(state, "9_close");
    }
    state.SetIterationTime(steps.total_us() / 1e6);
  }
}

void closed_between(benchmark::State& state) { refresh(state, false, false); }
void kept_open(benchmark::State& state) { refresh(state, true, false); }
void kept_shrunk(benchmark::State& state) { refresh(state, true, true); }

BENCHMARK(closed_between)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(40);
BENCHMARK(kept_open)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(40);
BENCHMARK(kept_shrunk)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(40);

}  // namespace
}  // namespace dormouse::store
