#pragma once
// HashPool: threads for what takes long by design. A coroutine hands a job over and goes on when it
// is done; the loop never waits. The queue is bounded: beyond it, clients are told to try later
// instead of waiting for longer than they would.

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "io/loop.h"
#include "io/result.h"
#include "io/wakeup.h"

namespace dormouse::auth {

// Jobs waiting per thread. A password hash takes 5 to 100 ms, so the last in the queue waits for
// 2.5 s at least: longer queues only make clients give up and try again, which costs another hash.
inline constexpr size_t kQueuedJobsPerThread = 512;

class HashPool {
 public:
  // Owns all that it works on, since it may outlive the coroutine that waits for it.
  class Job {
   public:
    virtual ~Job() = default;
    virtual void run() = 0;  // on a thread of the pool

   private:
    friend class HashPool;
    std::unique_ptr<io::Event> done_;
  };

  explicit HashPool(io::Loop& loop) : loop_(loop) {}
  HashPool(const HashPool&) = delete;
  HashPool& operator=(const HashPool&) = delete;
  // Waits for the jobs that run; drops those that wait.
  ~HashPool();

  // Starts the threads, and under `scope` what wakes the waiters.
  Result<> start(io::Scope& scope, unsigned threads);
  // Answers when the job has run. kLimit: the queue is full. kCancelled: the scope is; the job may
  // still run, unseen.
  io::Task<Result<void>> run(std::shared_ptr<Job> job);

  size_t queued();  // waiting for a thread, for the view
  unsigned threads() const { return unsigned(threads_.size()); }

 private:
  void work();
  io::Task<void> report();

  io::Loop& loop_;
  io::Wakeup wakeup_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // of what follows
  std::condition_variable more_;
  std::queue<std::shared_ptr<Job>> waiting_;
  std::vector<std::shared_ptr<Job>> finished_;
  bool stop_ = false;
};

}  // namespace dormouse::auth
