// What is told without the file system's help: notices on sockets, and workers' own changes.

#include "hibernate/watch/watch.h"
#include "role/log.h"
#include "wire/link.h"
#include "wire/topic.h"
#include "wire/validate.h"

namespace dormouse::hibernate {

// A polled subscription is told by whoever publishes; another only by other machines.
DirectoryKey Watch::topic_key(uint64_t topic, bool polled) {
  constexpr DirectoryKey kPolled = DirectoryKey(1) << 45;
  return kTopicKey | (polled ? kPolled : 0) | (topic & (kPolled - 1));
}

void Watch::note_topic(uint64_t topic, bool local) {
  bool told = false;
  auto note = [&](const Wanting& who) {
    told = true;
    note_change(who);
  };
  table_.for_each(topic_key(topic, true), note);
  // What happened in this machine's file system is told by it already.
  if (!local) table_.for_each(topic_key(topic, false), note);
  ++(told ? topics_told_ : topics_unwanted_);
}

void Watch::noticed(const Notice& notice) {
  note_topic(wire::topic_of(notice.user, notice.mailbox), notice.local);
}

bool Watch::tell_mode(Worker& worker) {
  wire::WatchToWorker message;
  message.mutable_mode()->set_publish(publishing_);
  return worker.outbox.push(message);
}

// For good: whether something is polled may change with every session that parks.
void Watch::begin_publishing() {
  if (publishing_) return;
  publishing_ = true;
  for (Worker* worker : workers_) {
    if (!tell_mode(*worker)) worker->scope.cancel();
  }
}

io::Task<void> Watch::serve_worker(std::unique_ptr<Worker> worker) {
  workers_.push_back(worker.get());
  worker->scope.spawn(worker->outbox.run());
  if (tell_mode(*worker)) co_await worker->scope.run(read_worker(worker.get()));
  worker->scope.cancel();
  co_await worker->scope.join();
  std::erase(workers_, worker.get());
}

io::Task<void> Watch::read_worker(Worker* worker) {
  for (uint32_t messages = 1;; ++messages) {
    auto got = co_await wire::receive<wire::WorkerToWatch>(loop_, worker->link.channel);
    if (!got) co_return;
    if (auto valid = wire::validate(got->message, got->fd_count); !valid) {
      role::log_error("worker_misbehaves",
                      {{"index", worker->link.index}, {"reason", valid.error().message}});
      co_return;
    }
    for (uint64_t topic : got->message.published().topics()) note_topic(topic, true);
    flush();
    if (messages % kTurnMessages == 0 && !co_await loop_.yield()) co_return;
  }
}

}  // namespace dormouse::hibernate
