#include "auth/hash_pool.h"

#include <gtest/gtest.h>

#include <atomic>

namespace dormouse::auth {
namespace {

struct Count : HashPool::Job {
  explicit Count(std::atomic<int>* counter) : counter(counter) {}
  void run() override { ++*counter; }
  std::atomic<int>* counter;
};

// Holds its thread until it is told to go on.
struct Hold : HashPool::Job {
  void run() override { go.wait(false); }
  void release() {
    go = true;
    go.notify_all();
  }
  std::atomic<bool> go = false;
};

io::Task<void> count_one(HashPool* pool, std::atomic<int>* counter, int* done) {
  auto ran = co_await pool->run(std::make_shared<Count>(counter));
  if (ran) ++*done;
}

io::Task<int> many(io::Loop* loop, std::atomic<int>* counter) {
  HashPool pool(*loop);
  io::Scope* here = co_await io::current_scope();
  io::Scope reporters(*loop, here);
  EXPECT_TRUE(pool.start(reporters, 2));
  io::Scope scope(*loop, here);
  int done = 0;
  for (int i = 0; i < 300; ++i) scope.spawn(count_one(&pool, counter, &done));
  co_await scope.join();
  reporters.cancel();
  co_await reporters.join();
  co_return done;
}

TEST(HashPool, every_job_runs_once_and_its_coroutine_goes_on) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  std::atomic<int> counter = 0;
  EXPECT_EQ((*loop)->run(many(loop->get(), &counter)), 300);
  EXPECT_EQ(counter, 300);
}

io::Task<void> wait_for(HashPool* pool, std::shared_ptr<HashPool::Job> job, ErrorKind* kind) {
  auto ran = co_await pool->run(std::move(job));
  if (!ran) *kind = ran.error().kind;
}

io::Task<int> full(io::Loop* loop) {
  HashPool pool(*loop);
  io::Scope* here = co_await io::current_scope();
  io::Scope scope(*loop, here);
  EXPECT_TRUE(pool.start(scope, 1));
  auto hold = std::make_shared<Hold>();
  std::atomic<int> counter = 0;
  ErrorKind held = ErrorKind::kSystem;
  scope.spawn(wait_for(&pool, hold, &held));
  int done = 0;
  // One may have gone to the thread already.
  for (size_t i = 0; i < kQueuedJobsPerThread + 1; ++i) {
    scope.spawn(count_one(&pool, &counter, &done));
  }
  (void)co_await loop->yield();
  (void)co_await loop->yield();
  auto refused = co_await pool.run(std::make_shared<Count>(&counter));
  EXPECT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kLimit);
  // What waits for a job may be cancelled while the job goes on.
  scope.cancel();
  co_await scope.join();
  EXPECT_EQ(held, ErrorKind::kCancelled);
  hold->release();
  co_return 0;
}

TEST(HashPool, a_full_queue_refuses_and_cancelled_waiters_leave) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  EXPECT_EQ((*loop)->run(full(loop->get())), 0);
}

}  // namespace
}  // namespace dormouse::auth
