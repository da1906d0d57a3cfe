#include "io/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "io/ring_setup.h"

namespace dormouse::io {
namespace {

std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  EXPECT_TRUE(loop) << (loop ? "" : loop.error().message);
  return std::move(*loop);
}

Task<Result<int>> answer_after(Loop* loop, uint64_t ms, int value) {
  auto slept = co_await loop->sleep(ms);
  if (!slept) co_return std::unexpected(slept.error());
  co_return value;
}

Task<int> timeout_main(Loop* loop) {
  auto late = co_await with_timeout(5, answer_after(loop, 10'000, 1));
  EXPECT_FALSE(late);
  if (!late) EXPECT_EQ(late.error().kind, ErrorKind::kTimeout);
  auto early = co_await with_timeout(10'000, answer_after(loop, 1, 2));
  EXPECT_TRUE(early);
  co_return early ? *early : -1;
}

TEST(Loop, timeout_cancels_the_task_and_only_that) {
  auto loop = make_loop();
  EXPECT_EQ(loop->run(timeout_main(loop.get())), 2);
}

Task<void> set_soon(Loop* loop, Event* event) {
  [[maybe_unused]] auto slept = co_await loop->sleep(1);
  event->set();
}

Task<int> event_timeout_main(Loop* loop) {
  Event event(*loop);
  auto never = co_await wait(&event, 5);
  EXPECT_FALSE(never);
  if (!never) EXPECT_EQ(never.error().kind, ErrorKind::kTimeout);
  Scope scope(*loop, co_await current_scope());
  scope.spawn(set_soon(loop, &event));
  EXPECT_TRUE(co_await wait(&event, 10'000));
  EXPECT_TRUE(co_await wait(&event, 0)) << "it is set";
  co_await scope.join();
  co_return 1;
}

TEST(Loop, an_event_is_waited_for_until_a_timeout) {
  auto loop = make_loop();
  EXPECT_EQ(loop->run(event_timeout_main(loop.get())), 1);
}

Task<Result<uint32_t>> read_some(Loop* loop, int fd, std::array<std::byte, 64>* buffer) {
  co_return co_await loop->recv(fd, *buffer);
}

Task<void> blocked_reader(Loop* loop, int fd, ErrorKind* seen) {
  std::array<std::byte, 64> buffer{};
  auto got = co_await read_some(loop, fd, &buffer);
  *seen = got ? ErrorKind::kSystem : got.error().kind;
}

Task<int> cancel_main(Loop* loop, int fd) {
  Scope scope(*loop, co_await current_scope());
  std::vector<ErrorKind> seen(50, ErrorKind::kInvalid);
  for (auto& kind : seen) scope.spawn(blocked_reader(loop, fd, &kind));
  [[maybe_unused]] auto slept = co_await loop->sleep(2);
  scope.cancel();
  co_await scope.join();
  for (auto kind : seen) EXPECT_EQ(kind, ErrorKind::kCancelled);
  co_return 0;
}

TEST(Loop, cancelling_a_scope_ends_every_operation_under_it) {
  auto loop = make_loop();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Fd a(ends[0]), b(ends[1]);
  EXPECT_EQ(loop->run(cancel_main(loop.get(), a.get())), 0);
}

Task<void> leftover(Loop* loop, bool* ended) {
  [[maybe_unused]] auto slept = co_await loop->sleep(1'000'000);
  *ended = true;
}

Task<int> leave_behind(Loop* loop, bool* ended) {
  loop->root().spawn(leftover(loop, ended));
  [[maybe_unused]] auto slept = co_await loop->sleep(1);
  co_return 7;
}

TEST(Loop, run_cancels_and_joins_what_the_main_task_left_behind) {
  auto loop = make_loop();
  bool ended = false;
  EXPECT_EQ(loop->run(leave_behind(loop.get(), &ended)), 7);
  EXPECT_TRUE(ended);
}

class CountingHook final : public ResumeHook {
 public:
  void enter() override { inside = true, ++entered; }
  void leave() override { inside = false; }
  bool inside = false;
  int entered = 0;
};

Task<void> under_hook(Loop* loop, CountingHook* hook, bool expected, int* wrong) {
  for (int i = 0; i < 5; ++i) {
    if (hook->inside != expected) ++*wrong;
    [[maybe_unused]] auto slept = co_await loop->sleep(1);
    if (hook->inside != expected) ++*wrong;
  }
}

Task<int> hook_main(Loop* loop) {
  CountingHook hook;
  int wrong = 0;
  Scope with(*loop, co_await current_scope());
  with.set_hook(&hook);
  Scope without(*loop, co_await current_scope());
  with.spawn(under_hook(loop, &hook, true, &wrong));
  without.spawn(under_hook(loop, &hook, false, &wrong));
  co_await with.join();
  co_await without.join();
  EXPECT_FALSE(hook.inside);
  EXPECT_GE(hook.entered, 5);
  co_return wrong;
}

TEST(Loop, resume_hook_is_entered_for_its_own_tasks_only) {
  auto loop = make_loop();
  EXPECT_EQ(loop->run(hook_main(loop.get())), 0);
}

Task<void> waiter(Event* event, int* count) {
  if (co_await event->wait()) ++*count;
}

Task<int> event_main(Loop* loop) {
  Event event(*loop);
  int count = 0;
  Scope scope(*loop, co_await current_scope());
  for (int i = 0; i < 3; ++i) scope.spawn(waiter(&event, &count));
  [[maybe_unused]] auto a = co_await loop->yield();
  EXPECT_EQ(count, 0);
  event.set();
  co_await scope.join();
  co_return count;
}

TEST(Loop, event_wakes_all_waiters) {
  auto loop = make_loop();
  EXPECT_EQ(loop->run(event_main(loop.get())), 3);
}

Task<void> say(std::string word, std::string* said) {
  *said += word;
  co_return;
}

Task<int> urgency_main(Loop* loop, std::string* said) {
  Scope others(*loop, co_await current_scope());
  Scope soon(*loop, co_await current_scope());
  soon.set_urgency(Urgency::kSoon);
  Scope urgent(*loop, co_await current_scope());
  urgent.set_urgency(Urgency::kNow);
  others.spawn(say("a", said));
  others.spawn(say("b", said));
  soon.spawn(say("x", said));
  soon.spawn(say("y", said));
  urgent.spawn(say("1", said));
  Scope inherits(*loop, &urgent);
  inherits.spawn(say("2", said));
  co_await others.join();
  co_await urgent.join();
  co_await soon.join();
  co_await inherits.join();
  co_return 0;
}

TEST(Loop, what_is_urgent_runs_first_with_looks_and_without) {
  for (uint64_t look_ms : {0, 2}) {
    auto loop = make_loop();
    loop->look_between(look_ms);
    std::string said;
    EXPECT_EQ(loop->run(urgency_main(loop.get(), &said)), 0);
    EXPECT_EQ(said, "12xyab") << look_ms;
  }
}

// Each step of what is to run soon calls for something that is to run now.
Task<void> call(Scope* urgent, std::string word, std::string* said) {
  *said += word;
  urgent->spawn(say("!", said));
  co_return;
}

Task<int> soon_main(Loop* loop, std::string* said) {
  loop->look_between(2);
  Scope urgent(*loop, co_await current_scope());
  urgent.set_urgency(Urgency::kNow);
  Scope soon(*loop, co_await current_scope());
  soon.set_urgency(Urgency::kSoon);
  for (const char* word : {"a", "b", "c"}) soon.spawn(call(&urgent, word, said));
  co_await soon.join();
  co_await urgent.join();
  co_return 0;
}

TEST(Loop, what_is_to_run_now_goes_before_the_next_that_is_to_run_soon) {
  auto loop = make_loop();
  std::string said;
  EXPECT_EQ(loop->run(soon_main(loop.get(), &said)), 0);
  EXPECT_EQ(said, "a!b!c!");
}

constexpr int kLabourers = 20;

// Works for longer than a look is apart, and lets the one who waits know.
Task<void> labour(int knock, int number, std::string* said) {
  *said += char('a' + number);
  if (number == 0) EXPECT_EQ(write(knock, "x", 1), 1);
  uint64_t end = std::chrono::steady_clock::now().time_since_epoch().count() + 3'000'000;
  while (uint64_t(std::chrono::steady_clock::now().time_since_epoch().count()) < end) {
  }
  co_return;
}

Task<void> wait_for_knock(Loop* loop, int door, std::string* said) {
  if (co_await loop->poll(door, POLLIN)) *said += "!";
}

using Waiter = Task<void> (*)(Loop*, int door, std::string* said);

Task<int> knock_main(Loop* loop, uint64_t look_ms, std::string* said,
                     Waiter waiter = wait_for_knock) {
  loop->look_between(look_ms);
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  Fd door(ends[0]);
  Fd knock(ends[1]);
  Scope urgent(*loop, co_await current_scope());
  urgent.set_urgency(Urgency::kNow);
  urgent.spawn(waiter(loop, door.get(), said));
  [[maybe_unused]] auto armed = co_await loop->sleep(1);
  Scope others(*loop, co_await current_scope());
  for (int i = 0; i < kLabourers; ++i) others.spawn(labour(knock.get(), i, said));
  co_await others.join();
  co_await urgent.join();
  co_return 0;
}

TEST(Loop, what_becomes_urgent_within_a_long_turn_waits_for_one_other_at_the_most) {
  auto loop = make_loop();
  std::string said;
  EXPECT_EQ(loop->run(knock_main(loop.get(), 2, &said)), 0);
  EXPECT_EQ(said.size(), size_t{kLabourers} + 1);
  EXPECT_LE(said.find('!'), 2u) << said;
}

// Five steps, each of which lets others run first or waits for a moment.
Task<void> take_steps(Loop* loop, int door, std::string* said) {
  if (!co_await loop->poll(door, POLLIN)) co_return;
  for (int step = 0; step < 5; ++step) {
    if (!co_await loop->yield()) co_return;
  }
  *said += "!";
}

TEST(Loop, what_is_urgent_takes_all_its_steps_before_the_next_other) {
  auto loop = make_loop();
  std::string said;
  EXPECT_EQ(loop->run(knock_main(loop.get(), 2, &said, take_steps)), 0);
  EXPECT_LE(said.find('!'), 3u) << said;
}

TEST(Loop, without_looks_a_turn_is_a_turn) {
  auto loop = make_loop();
  std::string said;
  EXPECT_EQ(loop->run(knock_main(loop.get(), 0, &said)), 0);
  EXPECT_EQ(said.find('!'), size_t{kLabourers}) << said;
}

Task<Result<std::string>> write_and_read(Loop* loop, std::string path) {
  auto file = co_await loop->open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC);
  if (!file) co_return std::unexpected(file.error());
  std::string text = "through the ring";
  auto wrote = co_await loop->write(file->get(), std::as_bytes(std::span(text)), 0);
  if (!wrote) co_return std::unexpected(wrote.error());
  auto synced = co_await loop->fsync(file->get());
  if (!synced) co_return std::unexpected(synced.error());
  std::string moved = path + ".moved";
  auto renamed = co_await loop->rename(path.c_str(), moved.c_str());
  if (!renamed) co_return std::unexpected(renamed.error());
  struct statx info{};
  auto known = co_await loop->statx(moved.c_str(), STATX_SIZE, &info);
  if (!known) co_return std::unexpected(known.error());
  EXPECT_EQ(info.stx_size, text.size());
  std::string back(text.size(), '\0');
  auto got = co_await loop->read(file->get(), std::as_writable_bytes(std::span(back)), 0);
  if (!got) co_return std::unexpected(got.error());
  auto gone = co_await loop->unlink(moved.c_str());
  if (!gone) co_return std::unexpected(gone.error());
  auto missing = co_await loop->open(moved.c_str(), O_RDONLY);
  EXPECT_FALSE(missing);
  if (!missing) EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  co_return back;
}

Task<int> file_main(Loop* loop) {
  auto text = co_await write_and_read(loop, testing::TempDir() + "dormouse_loop_test");
  EXPECT_TRUE(text) << (text ? "" : text.error().message);
  co_return text && *text == "through the ring" ? 0 : 1;
}

TEST(Loop, files_are_written_synced_renamed_and_read_through_the_ring) {
  auto loop = make_loop();
  EXPECT_EQ(loop->run(file_main(loop.get())), 0);
}

Task<Result<uint32_t>> answer_readable(Loop* loop, int fd) {
  co_return co_await loop->poll(fd, POLLIN);
}

Task<void> receive_letter(Loop* inner, int fd, char* letter) {
  std::array<std::byte, 1> buffer{};
  auto got = co_await inner->recv(fd, buffer);
  if (got && *got == 1) *letter = char(buffer[0]);
}

Task<int> drive_inner(Loop* outer, Loop* inner, int reader, int writer) {
  char letter = 0;
  inner->root().spawn(receive_letter(inner, reader, &letter));
  inner->turn();
  EXPECT_EQ(letter, 0);
  EXPECT_EQ(write(writer, "x", 1), 1);
  auto readable = co_await with_timeout(10'000, answer_readable(outer, inner->ring_fd()));
  EXPECT_TRUE(readable);
  inner->turn();  // reaps, and makes the coroutine ready; its first round may already run it
  inner->turn();
  EXPECT_EQ(letter, 'x');
  co_return 0;
}

TEST(Loop, drives_a_second_loop_by_polling_its_ring) {
  auto ring = make_shared_ring({.sockets = 4, .submission_entries = 8, .completion_entries = 64});
  ASSERT_TRUE(ring) << ring.error().message;
  auto inner = Loop::adopt(std::move(ring->fd), ring->params, 1);
  ASSERT_TRUE(inner) << inner.error().message;
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  Fd reader(pair[0]);
  Fd writer(pair[1]);
  auto outer = make_loop();
  EXPECT_EQ(outer->run(drive_inner(outer.get(), inner->get(), reader.get(), writer.get())), 0);
}

}  // namespace
}  // namespace dormouse::io
