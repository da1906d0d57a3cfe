#pragma once
// Watch: tells dens which mailboxes changed. Takes the best source of changes there is, keeps who
// wants to know of what (watch_table.h), and sends each den its numbers, coalesced, at the speed at
// which it reads (docs/watch.md).

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "hibernate/watch/change_source.h"
#include "hibernate/watch/fanotify_source.h"
#include "hibernate/watch/inotify_source.h"
#include "hibernate/watch/notice_port.h"
#include "hibernate/watch/polling_source.h"
#include "hibernate/watch/watch_table.h"
#include "io/loop.h"
#include "role/process.h"
#include "wire/control.pb.h"
#include "wire/den_watch.pb.h"
#include "wire/outbox.h"
#include "wire/settings.pb.h"

namespace dormouse::hibernate {

struct WatchOptions {
  wire::Settings::Watch settings;
  io::Fd fanotify;                    // from the master; empty: it could not make one
  wire::MasterToRole::Stores stores;  // of fanotify: what is marked, and why the rest is not
  std::string no_fanotify;            // why there is none
  std::vector<NoticeSocket> notices;  // docs/change-notices.md
  io::Secret notice_key;
  uint64_t inotify_watches_max = 0;  // 0: the kernel's limit
};

// Each directory goes to the best source that sees all that happens in it: fanotify where its file
// system is marked; inotify, unless other machines write there; polling.
class Watch final : public ChangeSink, public NoticeSink {
 public:
  // Changed mailboxes that a den has not been told of; 256 KiB per den. Beyond, it is told to look
  // at everything, which costs it less than as many single notices.
  static constexpr size_t kPendingMax = 65'536;
  // Answers and notices on their way to one den. At half of it its requests stay in its socket.
  static constexpr size_t kOutboxMessages = 64;
  // Of one den or worker, until others have run.
  static constexpr uint32_t kTurnMessages = 8;
  // Within a turn, until it looks for what changed meanwhile.
  static constexpr uint64_t kLookMs = 1;
  // To one worker: nothing but Mode, which changes once.
  static constexpr size_t kWorkerOutboxMessages = 4;
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
  std::string_view backend() const { return primary().name(); }
  const std::string& why() const { return why_; }
  // Whether it goes to directories by their paths, which takes the right to see them.
  bool needs_files() const { return polling_ != nullptr; }

  void changed(const Change& change, uint64_t after_ms) override;
  void lost(const std::string& reason) override;
  void flush() override;
  void noticed(const Notice& notice) override;
  void notices_end() override { flush(); }

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

  // A worker's link, on which it says what it has changed.
  struct Worker {
    Worker(io::Loop& loop, io::Scope* parent, role::Link from)
        : link(std::move(from)),
          scope(loop, parent),
          outbox(loop, link.channel, kWorkerOutboxMessages) {}
    role::Link link;
    io::Scope scope;
    wire::Outbox outbox;
  };
  struct Added {
    DirectoryKey key = 0;
    bool polled = false;
  };

  Watch(io::Loop& loop, io::Scope& scope, WatchOptions& options);
  void choose(WatchOptions& options);
  void choose_by_path(uint64_t inotify_watches_max, bool inotify);
  ChangeSource& primary() const;
  ChangeSource* source_of(DirectoryKey key) const;
  std::vector<ChangeSource*> sources() const;
  io::Task<void> listen_all();
  io::Task<void> listen(ChangeSource* source);
  io::Task<void> serve(std::unique_ptr<Den> den);
  io::Task<std::string> read_all(Den* den);
  io::Task<void> tell(Den* den);
  io::Task<bool> say(Den* den, wire::WatchToDen message);
  void subscribe(Den& den, const wire::DenToWatch::Subscribe& request);
  // Whether it is polled.
  Result<bool> subscribe_all(Den& den, const wire::DenToWatch::Subscribe& request);
  Result<Added> add(const wire::Directory& directory);
  Result<Added> add_by_path(const wire::Directory& directory);
  Result<Added> poll(const wire::Directory& directory, bool shared, const std::string& why);
  bool takes_topics() const { return polling_ != nullptr || hears_machines_; }
  static DirectoryKey topic_key(uint64_t topic, bool polled);
  void note_topic(uint64_t topic, bool local);
  io::Task<void> serve_worker(std::unique_ptr<Worker> worker);
  io::Task<void> read_worker(Worker* worker);
  bool tell_mode(Worker& worker);
  void begin_publishing();
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
  std::unique_ptr<FanotifySource> fanotify_;
  std::unique_ptr<InotifySource> inotify_;
  std::unique_ptr<PollingSource> polling_;  // null: everything is under fanotify
  std::string why_;
  wire::MasterToRole::Stores stores_;
  std::vector<NoticeSocket> notice_sockets_;
  NoticePort notices_;
  bool hears_machines_ = false;  // notices come from other machines
  bool publishing_ = false;      // workers are to tell what they change
  std::vector<Worker*> workers_;
  WatchTable table_;
  std::vector<Den*> dens_;  // by slot; null: free
  std::vector<Den*> fresh_;
  std::vector<Wanting> left_;  // working room of changed()
  std::vector<Wanting> came_;
  io::Event stir_;  // a subscription or a change: see settle()
  uint64_t stirred_ms_ = 0;
  uint64_t subscribed_ = 0;
  uint64_t refused_ = 0;
  uint64_t fallen_back_ = 0;  // directories polled since inotify would not take them
  uint64_t shared_ = 0;       // directories polled since other machines write there
  uint64_t topics_told_ = 0;
  uint64_t topics_unwanted_ = 0;
  uint64_t changes_ = 0;
  uint64_t arrivals_ = 0;
  uint64_t moved_on_ = 0;  // from new/ to cur/ as they were: told to nobody
  uint64_t lost_ = 0;
};

}  // namespace dormouse::hibernate
