#pragma once
// A storm over some mailboxes, made by another process, and a den that believes the watch: it looks
// at a mailbox when it is told to, and at no other time. When the storm is over it must know each
// mailbox as it is; whatever it was not told stays wrong for good.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "hibernate/watch/fanotify_group.h"
#include "hibernate/watch/watch.h"
#include "wire/link.h"

namespace dormouse::hibernate {

namespace fs = std::filesystem;

struct StormOptions {
  uint32_t seed = 1;
  size_t mailboxes = 24;
  size_t operations = 1'500;
  // The storm's view of the root, where it is another than the watch's (a FUSE mount's other side).
  fs::path other_side = {};
  // The watch stands still this long at a time, so that the kernel's queue runs over.
  unsigned stall_ms = 0;
  std::vector<std::string> view_says = {};  // in the end
  bool must_poll = false;                   // some mailboxes, and others not
  bool must_lose = false;                   // the den must have been told to look at everything
};

// What both processes know of each mailbox: how often it was renamed, and whether it is deleted.
class StormTruth {
 public:
  explicit StormTruth(size_t mailboxes) : mailboxes_(mailboxes) {
    void* room = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(room, MAP_FAILED);
    states_ = static_cast<std::atomic<int>*>(room);
  }
  ~StormTruth() { munmap(states_, bytes()); }
  StormTruth(const StormTruth&) = delete;
  StormTruth& operator=(const StormTruth&) = delete;
  size_t mailboxes() const { return mailboxes_; }
  bool deleted(size_t i) const { return states_[i] < 0; }
  std::string name(size_t i) const { return fmt::format("m{}.{}", i, states_[i].load()); }
  void renamed(size_t i) { ++states_[i]; }
  void set_deleted(size_t i) { states_[i] = -1; }

 private:
  size_t bytes() const { return mailboxes_ * sizeof(std::atomic<int>); }
  size_t mailboxes_;
  std::atomic<int>* states_ = nullptr;
};

// The other program. Throws nothing at its parent: an operation that cannot be done is left out.
class Storm {
 public:
  Storm(fs::path root, StormTruth& truth, uint32_t seed)
      : root_(std::move(root)), truth_(truth), random_(seed) {}

  void make_mailboxes() {
    for (size_t i = 0; i < truth_.mailboxes(); ++i) {
      for (const char* sub : {"tmp", "new", "cur"}) fs::create_directories(path(i) / sub);
    }
  }

  void run(size_t operations) {
    for (size_t done = 0; done < operations; ++done) {
      if (done % 50 == 49) usleep(random_() % 3'000);
      size_t i = random_() % truth_.mailboxes();
      if (truth_.deleted(i)) continue;
      operate(i, random_() % 100);
    }
  }

 private:
  fs::path path(size_t i) const { return root_ / truth_.name(i); }

  void operate(size_t i, uint32_t dice) {
    std::error_code ignored;
    fs::path mailbox = path(i);
    if (dice < 28) return deliver(mailbox, false);
    if (dice < 36) return deliver(mailbox, true);
    if (dice < 55) return take_over(mailbox, "");
    if (dice < 62) return take_over(mailbox, "S");
    if (dice < 76) return set_flags(mailbox);
    if (dice < 87) {
      fs::path gone = any_of(mailbox / (random_() % 4 == 0 ? "new" : "cur"));
      if (!gone.empty()) fs::remove(gone, ignored);
    } else if (dice < 91) {
      fs::path moved = any_of(mailbox / "cur");
      size_t other = random_() % truth_.mailboxes();
      if (moved.empty() || truth_.deleted(other)) return;
      fs::rename(moved, path(other) / "cur" / (unique() + ":2,F"), ignored);
    } else if (dice < 94) {
      write(mailbox / "tmp" / unique());  // and what was there goes: nobody needs to know
      fs::remove(any_of(mailbox / "tmp"), ignored);
    } else if (dice < 95) {
      write(mailbox / "cur" / ("." + unique()));
    } else if (dice < 96) {
      fs::create_directory(mailbox / "cur" / unique(), ignored);
    } else if (dice < 99) {
      fs::rename(mailbox, root_ / fmt::format("m{}.moving", i), ignored);
      truth_.renamed(i);
      fs::rename(root_ / fmt::format("m{}.moving", i), path(i), ignored);
    } else if (random_() % 3 == 0) {
      truth_.set_deleted(i);
      fs::remove_all(mailbox, ignored);
    }
  }
  void deliver(const fs::path& mailbox, bool link) {
    std::error_code ignored;
    fs::path tmp = mailbox / "tmp" / unique();
    write(tmp);
    fs::path to = mailbox / "new" / tmp.filename();
    if (!link) return fs::rename(tmp, to, ignored);
    fs::create_hard_link(tmp, to, ignored);
    fs::remove(tmp, ignored);
  }
  void take_over(const fs::path& mailbox, const std::string& flags) {
    std::error_code ignored;
    fs::path from = any_of(mailbox / "new");
    if (from.empty()) return;
    fs::rename(from, mailbox / "cur" / (from.filename().string() + ":2," + flags), ignored);
  }
  void set_flags(const fs::path& mailbox) {
    std::error_code ignored;
    fs::path from = any_of(mailbox / "cur");
    if (from.empty()) return;
    std::string name = from.filename().string();
    std::string flags[] = {"", "S", "F", "FS", "RS"};
    name = name.substr(0, name.find(":2,")) + ":2," + flags[random_() % 5];
    fs::rename(from, mailbox / "cur" / name, ignored);
  }
  fs::path any_of(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      if (!may_be_message(at->path().filename().string()) || at->is_directory(error)) continue;
      found.push_back(at->path());
    }
    return found.empty() ? fs::path() : found[random_() % found.size()];
  }
  static void write(const fs::path& path) { std::ofstream(path) << "mail"; }
  std::string unique() { return fmt::format("{}.{}", ++names_, random_()); }

  fs::path root_;
  StormTruth& truth_;
  std::mt19937 random_;
  uint64_t names_ = 0;
};

// The den that believes. Its list of a mailbox takes no account of a message's way from new/ to
// cur/ without flags, of which nobody is told.
class BelievingDen {
 public:
  BelievingDen(io::Loop& loop, fs::path root, const StormTruth& truth)
      : loop_(loop), root_(std::move(root)), truth_(truth), mailboxes_(truth.mailboxes()) {}

  void connect(Watch& watch) {
    auto ends = io::Channel::pair();
    ASSERT_TRUE(ends);
    role::Link link;
    link.peer = wire::DEN;
    link.channel = std::move(ends->first);
    watch.link(std::move(link));
    channel_ = std::move(ends->second);
  }
  void subscribe(size_t i) {
    Mailbox& box = mailboxes_[i];
    box.name = truth_.name(i);
    wire::DenToWatch message;
    message.mutable_subscribe()->set_watch(uint32_t(i));
    for (const char* sub : {"new", "cur"}) {
      auto* directory = message.mutable_subscribe()->add_directories();
      std::string path = (root_ / box.name / sub).string();
      // As a den does it: by handle where that file system is watched so.
      auto handle = directory_handle(path);
      bool marked = handle && by_handle_ &&
                    (stores_.empty() || std::ranges::any_of(stores_, [&](const auto& fsid) {
                       return handle->starts_with(fsid);
                     }));
      if (marked) {
        directory->set_handle(*handle);
      } else {
        directory->set_path(path);
      }
    }
    EXPECT_TRUE(wire::try_send(channel_, message));
  }
  io::Task<void> listen() {
    while (true) {
      auto got = co_await wire::receive<wire::WatchToDen>(loop_, channel_);
      if (!got) co_return;
      hear(got->message);
    }
  }
  bool all_watched() const {
    return std::ranges::all_of(mailboxes_, [](const Mailbox& box) { return box.watched; });
  }
  size_t polled() const { return size_t(std::ranges::count(mailboxes_, true, &Mailbox::polled)); }
  size_t losses() const { return losses_; }
  // Which mailbox is not known as it is, and why; empty: none.
  std::string mistaken() const {
    for (size_t i = 0; i < mailboxes_.size(); ++i) {
      const Mailbox& box = mailboxes_[i];
      if (truth_.deleted(i)) {
        if (!box.gone) return fmt::format("m{}: nobody told that it is gone", i);
        continue;
      }
      std::set<std::string> real = list(i).value_or(std::set<std::string>());
      bool known = box.pending == 0 ? real == box.known
                                    : real.size() == box.known.size() + box.pending &&
                                          std::ranges::includes(real, box.known);
      if (!known) {
        return fmt::format("m{}: {} messages, of which {} and {} arrivals are known", i,
                           real.size(), box.known.size(), box.pending);
      }
    }
    return {};
  }

 private:
  struct Mailbox {
    std::string name;  // subscribed under this one
    bool watched = false;
    bool polled = false;
    bool gone = false;
    std::set<std::string> known;
    size_t pending = 0;
    uint64_t looked_ms = 0;
  };

  void hear(const wire::WatchToDen& message) {
    if (message.has_mode()) {
      by_handle_ = message.mode().by_handle();
      stores_.assign(message.mode().fsids().begin(), message.mode().fsids().end());
    } else if (message.has_subscribed()) {
      size_t i = message.subscribed().watch();
      mailboxes_[i].watched = message.subscribed().watched();
      // Between two names at this moment, or gone: as a den, that has the directories named anew.
      if (!message.subscribed().watched() && !truth_.deleted(i)) return subscribe(i);
      mailboxes_[i].polled = message.subscribed().polled();
      look(i);  // what happened before was told to nobody
    } else if (message.has_lost() && message.lost().subscribe_again()) {
      for (size_t i = 0; i < mailboxes_.size(); ++i) subscribe(i);
    } else if (message.has_lost()) {
      ++losses_;
      for (size_t i = 0; i < mailboxes_.size(); ++i) look(i);
    }
    for (uint32_t i : message.changed().watches()) look(i);
    for (const auto& mail : message.changed().arrived()) {
      Mailbox& box = mailboxes_[mail.watch()];
      if (message.changed().after_ms() >= box.looked_ms) {
        box.pending += mail.count();
      } else {
        look(mail.watch());
      }
    }
  }
  void look(size_t i) {
    Mailbox& box = mailboxes_[i];
    auto seen = list(i);
    // Between two names: who finds no directory looks again, since nobody is told when it is back.
    for (int tries = 0; !seen && !truth_.deleted(i) && tries < 10'000; ++tries) {
      usleep(1'000);
      seen = list(i);
    }
    box.gone = truth_.deleted(i);
    if (box.gone || !seen) return;
    box.known = std::move(*seen);
    box.pending = 0;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    box.looked_ms = uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000 + 1;
    // A worker names the directories anew, when they have others.
    if (box.name != truth_.name(i)) subscribe(i);
  }
  // Nothing where the directories are not there now.
  std::optional<std::set<std::string>> list(size_t i) const {
    std::set<std::string> names;
    for (const char* sub : {"new", "cur"}) {
      std::error_code error;
      fs::path folder = root_ / truth_.name(i) / sub;
      for (fs::directory_iterator at(folder, error), end; !error && at != end;
           at.increment(error)) {
        std::string name = at->path().filename().string();
        std::error_code ignored;
        if (!may_be_message(name) || at->is_directory(ignored)) continue;
        if (name.ends_with(":2,")) name.resize(name.size() - 3);
        names.insert(name);
      }
      if (error) return {};
    }
    return names;
  }

  io::Loop& loop_;
  fs::path root_;
  const StormTruth& truth_;
  io::Channel channel_;
  std::vector<Mailbox> mailboxes_;
  std::vector<std::string> stores_;
  bool by_handle_ = false;
  size_t losses_ = 0;
};

namespace storm_detail {

// Far beyond what anything here takes on a loaded machine; only a notice that never comes takes it.
constexpr int kPatienceMs = 60'000;
constexpr int kStepMs = 20;

inline io::Task<void> stall(io::Loop* loop, unsigned ms, const bool* over) {
  while (!*over) {
    usleep(ms * 1'000);
    if (!co_await loop->yield()) co_return;
  }
}

inline io::Task<int> weather(io::Loop* loop, const StormOptions* options, WatchOptions watching,
                             std::function<void()>* prepared, fs::path root) {
  StormTruth truth(options->mailboxes);
  fs::path other = options->other_side.empty() ? root : options->other_side;
  Storm storm(other, truth, options->seed);
  storm.make_mailboxes();
  io::Scope scope(*loop, co_await io::current_scope());
  auto watch = Watch::create(*loop, scope, std::move(watching));
  EXPECT_TRUE(watch);
  if (*prepared) (*prepared)();
  (*watch)->start();
  BelievingDen den(*loop, root, truth);
  den.connect(**watch);
  scope.spawn(den.listen());
  for (int waited = 0; waited < kPatienceMs && !den.all_watched(); waited += kStepMs) {
    if (!co_await loop->sleep(kStepMs)) break;
  }
  EXPECT_TRUE(den.all_watched()) << (*watch)->view();
  EXPECT_TRUE(!options->must_poll || (den.polled() > 0 && den.polled() < options->mailboxes))
      << (*watch)->view();
  pid_t child = fork();
  if (child == 0) {
    storm.run(options->operations);
    _exit(0);
  }
  bool over = false;
  if (options->stall_ms > 0) scope.spawn(stall(loop, options->stall_ms, &over));
  int status = -1;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (!co_await loop->sleep(kStepMs)) break;
  }
  over = true;
  EXPECT_EQ(status, 0);
  for (int waited = 0; waited < kPatienceMs && !den.mistaken().empty(); waited += kStepMs) {
    if (!co_await loop->sleep(kStepMs)) break;
  }
  EXPECT_EQ(den.mistaken(), "") << "seed " << options->seed << "\n" << (*watch)->view();
  EXPECT_TRUE(!options->must_lose || den.losses() > 0) << "nothing was lost";
  for (const std::string& said : options->view_says) {
    EXPECT_THAT((*watch)->view(), testing::HasSubstr(said));
  }
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

}  // namespace storm_detail

// `prepared` is called when the watch has opened what it needs of the kernel.
inline void expect_every_change_is_seen(const fs::path& root, WatchOptions watching,
                                        const StormOptions& options,
                                        std::function<void()> prepared = {}) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  fs::path place = root / fmt::format("storm-{}", getpid());
  fs::create_directory(place);
  StormOptions here = options;
  if (!here.other_side.empty()) here.other_side /= place.filename();
  (*loop)->run(storm_detail::weather(loop->get(), &here, std::move(watching), &prepared, place));
  std::error_code ignored;
  fs::remove_all(place, ignored);
}

}  // namespace dormouse::hibernate
