#pragma once
// Watch: tells dens which mailboxes changed. Takes the best source of changes there is, keeps who
// wants to know of what (watch_table.h), and sends each den its numbers, coalesced, at the speed at
// which it reads (docs/watch.md).

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "hibernate/watch/change_source.h"
#include "hibernate/watch/watch_table.h"
#include "io/loop.h"
#include "role/process.h"
#include "wire/den_watch.pb.h"
#include "wire/outbox.h"
#include "wire/settings.pb.h"

namespace dormouse::hibernate {

struct WatchOptions {
  wire::Settings::Watch settings;
  io::Fd fanotify;                   // from the master; empty: it could not make one
  uint64_t inotify_watches_max = 0;  // 0: the kernel's limit
};

class Watch final : public ChangeSink {
 public:
  // Changed mailboxes that a den has not been told of; 256 KiB per den. Beyond, it is told to look
  // at everything, which costs it less than as many single notices.
  static constexpr size_t kPendingMax = 65'536;
  // Answers and notices on their way to one den. At half of it its requests stay in its socket.
  static constexpr size_t kOutboxMessages = 64;
  static constexpr uint32_t kTurnMessages = 32;
  // A den announces what arrived after its session's mailbox was last looked at, so after_ms must
  // keep up where little happens: the source is read once a second until nothing has been
  // subscribed and nothing has changed for this long (a session parks well within it).
  static constexpr uint64_t kSettleMs = 4'000;
  static constexpr uint64_t kSettleStepMs = 1'000;

  static Result<std::unique_ptr<Watch>> create(io::Loop& loop, io::Scope& scope,
                                               WatchOptions options);
  ~Watch() override;
  void start();
  void link(role::Link link);
  void reload(const wire::Settings::Watch& settings);
  std::string view() const;
  std::string_view backend() const { return source_->name(); }
  const std::string& why() const { return why_; }

  void changed(const Change& change, uint64_t after_ms) override;
  void lost(const std::string& reason) override;
  void flush() override;

 private:
  struct Arrived {
    uint32_t watch = 0;
    uint32_t count = 0;
  };
  // One subscription of a directory; `first`: mail arrives there.
  using Wanting = WatchTable::Wanted;
  // One den's link. Its subscriptions live and die with it.
  struct Den {
    Den(io::Loop& loop, io::Scope* parent, role::Link from, uint16_t number)
        : slot(number),
          link(std::move(from)),
          scope(loop, parent),
          outbox(loop, link.channel, kOutboxMessages),
          work(loop) {}
    void end(std::string why) {
      if (reason.empty()) reason = std::move(why);
      scope.cancel();
    }
    const uint16_t slot;  // in the table; not the den's index, which its successor has too
    role::Link link;
    io::Scope scope;
    wire::Outbox outbox;
    io::Event work;
    std::vector<uint32_t> pending;  // watches that changed, with repetitions
    std::vector<Arrived> arrived;   // mail that came, with repetitions
    uint64_t arrived_after_ms = 0;  // of the first of them
    std::string lost;               // not empty: tell it to look at everything, and why
    bool fresh = false;             // has something since the last flush
    std::string reason;             // why it ended
    uint64_t told = 0;
  };

  Watch(io::Loop& loop, io::Scope& scope, const wire::Settings::Watch& settings);
  void choose(WatchOptions options);
  ChangeSource& source_of(DirectoryKey key);
  io::Task<void> listen(ChangeSource* source);
  io::Task<void> serve(std::unique_ptr<Den> den);
  io::Task<std::string> read_all(Den* den);
  io::Task<void> tell(Den* den);
  io::Task<bool> say(Den* den, wire::WatchToDen message);
  void subscribe(Den& den, const wire::DenToWatch::Subscribe& request);
  Result<> subscribe_all(Den& den, const wire::DenToWatch::Subscribe& request);
  Result<DirectoryKey> add(const wire::Directory& directory);
  void forget(std::vector<DirectoryKey>& unused);
  void overflow(Den& den, std::string reason);
  void note_change(const Wanting& who);
  void note_arrival(const Wanting& who, uint64_t after_ms);
  Den* stirred(uint16_t slot);
  io::Task<void> settle();
  static void compact(std::vector<uint32_t>& pending);
  static void compact(std::vector<Arrived>& arrived);

  io::Loop& loop_;
  io::Scope& scope_;
  wire::Settings::Watch settings_;
  std::unique_ptr<ChangeSource> source_;
  std::unique_ptr<ChangeSource> fallback_;  // polling, beside inotify
  std::string why_;
  WatchTable table_;
  std::vector<Den*> dens_;  // by slot; null: free
  std::vector<Den*> fresh_;
  std::vector<Wanting> left_;  // working room of changed()
  std::vector<Wanting> came_;
  io::Event stir_;  // a subscription or a change: see settle()
  uint64_t stirred_ms_ = 0;
  uint64_t subscribed_ = 0;
  uint64_t refused_ = 0;
  uint64_t fallen_back_ = 0;
  uint64_t changes_ = 0;
  uint64_t arrivals_ = 0;
  uint64_t moved_on_ = 0;  // from new/ to cur/ as they were: told to nobody
  uint64_t lost_ = 0;
};

}  // namespace dormouse::hibernate
