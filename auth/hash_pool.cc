#include "auth/hash_pool.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace dormouse::auth {

HashPool::~HashPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<> HashPool::start(io::Scope& scope, unsigned threads) {
  auto wakeup = io::Wakeup::create();
  if (!wakeup) return std::unexpected(wakeup.error());
  wakeup_ = *std::move(wakeup);
  for (unsigned i = 0; i < threads; ++i) {
    try {
      threads_.emplace_back(&HashPool::work, this);
    } catch (const std::system_error& error) {
      return fail_errno(error.code().value(), "starting a hash thread");
    }
  }
  scope.spawn(report());
  return {};
}

io::Task<Result<void>> HashPool::run(std::shared_ptr<Job> job) {
  job->done_ = std::make_unique<io::Event>(loop_);
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= kQueuedJobsPerThread * threads_.size()) {
      co_return fail(ErrorKind::kLimit,
                     fmt::format("{} password hashes are waiting", waiting_.size()));
    }
    waiting_.push(job);
  }
  more_.notify_one();
  co_return co_await job->done_->wait();
}

size_t HashPool::queued() {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

void HashPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    more_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop();
    lock.unlock();
    job->run();
    lock.lock();
    // The loop takes all that is finished at one waking.
    const bool wake = finished_.empty();
    finished_.push_back(std::move(job));
    if (wake) wakeup_.notify();
  }
}

io::Task<void> HashPool::report() {
  while (true) {
    Result<void> woken = co_await wakeup_.wait(loop_);
    if (!woken) co_return;
    std::vector<std::shared_ptr<Job>> finished;
    {
      std::lock_guard lock(mutex_);
      finished.swap(finished_);
    }
    for (const auto& job : finished) job->done_->set();
  }
}

}  // namespace dormouse::auth
