#include "io/socket_table.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <string>
#include <vector>

#include "io/ring_setup.h"

namespace dormouse::io {
namespace {

constexpr uint32_t kSlots = 200;

// Answers every client's bytes in capitals.
class Shouter final : public SocketEvents {
 public:
  void socket_readable(uint32_t slot, bool ended) override {
    ends += ended ? 1 : 0;
    table->receive(slot);
  }
  void socket_received(uint32_t slot, int32_t result, std::span<std::byte> bytes) override {
    if (result == -EAGAIN) return table->arm(slot);
    if (result <= 0) {
      ++closed;
      return table->close(slot);
    }
    answers[slot].assign(reinterpret_cast<char*>(bytes.data()), bytes.size());
    for (char& c : answers[slot]) c = char(std::toupper(c));
    table->send(slot, std::as_bytes(std::span(answers[slot])));
  }
  void socket_sent(uint32_t slot, int32_t result) override {
    if (result > 0) ++answered;
    table->arm(slot);
  }

  SocketTable* table = nullptr;
  std::vector<std::string> answers = std::vector<std::string>(kSlots);
  int answered = 0;
  int closed = 0;
  int ends = 0;  // told with what was readable
};

Task<int> serve_until(Loop* loop, const int* counter, int wanted) {
  for (int i = 0; i < 2000 && *counter < wanted; ++i) {
    [[maybe_unused]] auto slept = co_await loop->sleep(1);
  }
  co_return *counter;
}

struct Clients {
  std::vector<Fd> near;
  std::vector<Fd> far;
  Clients() {
    for (uint32_t i = 0; i < kSlots; ++i) {
      int ends[2] = {-1, -1};
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
      near.emplace_back(ends[0]);
      far.emplace_back(ends[1]);
    }
  }
  void say(const std::string& text) {
    for (Fd& fd : near) ASSERT_EQ(write(fd.get(), text.data(), text.size()), ssize_t(text.size()));
  }
  int heard(const std::string& text) {
    int count = 0;
    for (Fd& fd : near) {
      pollfd wait{fd.get(), POLLIN, 0};
      if (poll(&wait, 1, 2000) != 1) continue;
      std::string got(text.size(), '\0');
      if (read(fd.get(), got.data(), got.size()) == ssize_t(text.size()) && got == text) ++count;
    }
    return count;
  }
};

// A den's life: adopt the ring, serve `answers` requests, then wait to be killed (or return).
int live(const SharedRing& ring, Clients* to_install, int answers, uint32_t incarnation,
         int report) {
  auto loop = Loop::adopt(Fd(dup(ring.fd.get())), ring.params, incarnation);
  if (!loop) return 10;
  Shouter shouter;
  auto table = SocketTable::create(**loop, shouter, kSlots, incarnation);
  if (!table) return 11;
  shouter.table = table->get();
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    if (to_install != nullptr) {
      if (!(*table)->install(slot, to_install->far[slot].get())) return 12;
    }
    (*table)->arm(slot);
  }
  int answered = (*loop)->run(serve_until(loop->get(), &shouter.answered, answers));
  if (answered != answers) return 13;
  if (report >= 0) {
    if (write(report, "r", 1) != 1) return 14;
    pause();
  }
  return 0;
}

TEST(SocketTable, sockets_outlive_the_process_that_served_them) {
  SharedRingOptions options;
  options.sockets = kSlots;
  auto ring = make_shared_ring(options);
  ASSERT_TRUE(ring) << ring.error().message;
  Clients clients;
  int report[2];
  ASSERT_EQ(pipe(report), 0);

  clients.say("first");
  pid_t first = fork();
  if (first == 0) _exit(live(*ring, &clients, kSlots, 1, report[1]));
  clients.far.clear();  // only the ring holds them now
  char byte = 0;
  pollfd reported{report[0], POLLIN, 0};
  ASSERT_EQ(poll(&reported, 1, 20'000), 1) << "the first process answered nobody";
  ASSERT_EQ(read(report[0], &byte, 1), 1);
  EXPECT_EQ(clients.heard("FIRST"), int(kSlots));
  ASSERT_EQ(kill(first, SIGKILL), 0);
  ASSERT_EQ(waitpid(first, nullptr, 0), first);

  // Spoken while nobody listens.
  clients.say("second");
  for (Fd& fd : clients.near) {
    pollfd state{fd.get(), POLLRDHUP, 0};
    ASSERT_EQ(poll(&state, 1, 0), 0) << "a client saw the first process die";
  }
  pid_t second = fork();
  if (second == 0) _exit(live(*ring, nullptr, kSlots, 2, -1));
  EXPECT_EQ(clients.heard("SECOND"), int(kSlots));
  int status = 0;
  ASSERT_EQ(waitpid(second, &status, 0), second);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  close(report[0]);
  close(report[1]);
}

TEST(SocketTable, a_shared_ring_refuses_operations_that_no_den_needs) {
  SharedRingOptions options;
  options.sockets = 4;
  auto ring = make_shared_ring(options);
  ASSERT_TRUE(ring);
  auto loop = Loop::adopt(std::move(ring->fd), ring->params, 1);
  ASSERT_TRUE(loop);
  struct Opened {
    static Task<int> run(Loop* loop) {
      auto file = co_await loop->open("/etc/passwd", 0);
      co_return file ? 0 : file.error().errno_value;
    }
  };
  EXPECT_EQ((*loop)->run(Opened::run(loop->get())), EACCES);
}

TEST(SocketTable, a_client_that_leaves_is_told_as_end_of_file) {
  SharedRingOptions options;
  options.sockets = kSlots;
  auto ring = make_shared_ring(options);
  ASSERT_TRUE(ring);
  auto loop = Loop::adopt(std::move(ring->fd), ring->params, 1);
  ASSERT_TRUE(loop);
  Shouter shouter;
  auto table = SocketTable::create(**loop, shouter, kSlots, 1);
  ASSERT_TRUE(table);
  shouter.table = table->get();
  Clients clients;
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_TRUE((*table)->install(slot, clients.far[slot].get()));
    (*table)->arm(slot);
  }
  clients.far.clear();
  clients.near.clear();
  EXPECT_EQ((*loop)->run(serve_until(loop->get(), &shouter.closed, kSlots)), int(kSlots));
  EXPECT_EQ(shouter.ends, int(kSlots));
}

}  // namespace
}  // namespace dormouse::io
