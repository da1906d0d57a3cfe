// What a change to a sleeper's mailbox costs the store, step by step in microseconds, when the
// store was closed in between (more sleepers than the worker keeps stores for) and when it was
// kept.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "store/store.h"

namespace dormouse::store {
namespace {

// About the inbox of the load tester's users.
constexpr int kMessages = 50;
// Each delivery waits for a directory's stamp to settle, as with deliveries that come apart.
constexpr useconds_t kSettle_us = 60'000;

double clock_us(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return double(now.tv_sec) * 1e6 + double(now.tv_nsec) / 1e3;
}

// The steps of many visits. Medians, since one visit in eight pays for all with two fsyncs, whose
// time is the disk's affair; the mean of all is the benchmark's own figure.
class Steps {
 public:
  void start() {
    visit_us_ = 0;
    cpu_us_ = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    last_us_ = clock_us(CLOCK_MONOTONIC);
  }
  // The time since the last call belongs to `name`.
  void took(const char* name) {
    double step_us = clock_us(CLOCK_MONOTONIC) - last_us_;
    steps_[name].push_back(step_us);
    visit_us_ += step_us;
    last_us_ = clock_us(CLOCK_MONOTONIC);
  }
  void end(benchmark::State& state) {
    steps_["all"].push_back(visit_us_);
    steps_["cpu"].push_back(clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_us_);
    state.SetIterationTime(visit_us_ / 1e6);
  }
  void report(benchmark::State& state) {
    for (auto& [name, times_us] : steps_) {
      auto middle = times_us.begin() + std::ptrdiff_t(times_us.size() / 2);
      std::ranges::nth_element(times_us, middle);
      state.counters[name] = *middle;
    }
  }

 private:
  std::map<std::string, std::vector<double>> steps_;
  double visit_us_ = 0;
  double cpu_us_ = 0;
  double last_us_ = 0;
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
  Steps steps;
  for (auto _ : state) {
    mail.deliver();
    usleep(kSettle_us);
    steps.start();
    if (!keep) {
      store = std::move(*UserStore::open(mail.root()));
      steps.took("1_open");
    }
    Mailbox mailbox = *store->open_mailbox(guid);
    steps.took("2_mailbox");
    step(mailbox.sync());
    steps.took("3_sync");
    mod_seq = mailbox.changes_since(mod_seq)->status.highest_mod_seq;
    steps.took("4_changes");
    step(mailbox.claim_recent());
    steps.took("5_claim");
    Mailbox again = *store->open_mailbox(guid);
    step(again.sync());
    steps.took("6_again_sync");
    step(again.changes_since(mod_seq));
    steps.took("7_again_changes");
    if (shrink) {
      store->shrink();
      steps.took("8_shrink");
    }
    if (!keep) {
      store.reset();
      steps.took("9_close");
    }
    steps.end(state);
  }
  steps.report(state);
}

void closed_between(benchmark::State& state) { refresh(state, false, false); }
void kept_open(benchmark::State& state) { refresh(state, true, false); }
void kept_shrunk(benchmark::State& state) { refresh(state, true, true); }

BENCHMARK(closed_between)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(40);
BENCHMARK(kept_open)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(40);
BENCHMARK(kept_shrunk)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(40);

}  // namespace
}  // namespace dormouse::store
