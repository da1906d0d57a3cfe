#include "hibernate/slab.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>

#include "hibernate/record.h"

namespace dormouse::hibernate {
namespace {

io::Fd make_memory(uint32_t slots) {
  io::Fd memory(memfd_create("slab_test", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(memory.get(), off_t(Slab::bytes_for(slots, 2048))), 0);
  return memory;
}

RecordParts make_parts(std::mt19937& random, uint64_t session) {
  RecordParts parts;
  parts.session = session;
  parts.user = "user" + std::to_string(session);
  parts.state = std::string(random() % 700, char('a' + session % 26));
  parts.address = Address::parse(random() % 2 ? "192.0.2.7" : "2001:db8::7", 4242);
  parts.idle_tag = "a" + std::to_string(random() % 1000);
  parts.mode = wire::WorkerToDen::Parked::IDLE;
  parts.directories = {std::string(24, 'n'), std::string(24, 'c')};
  return parts;
}

bool publish(Slab& slab, uint32_t slot, const RecordParts& parts) {
  auto block = slab.allocate(encoded_bytes(parts));
  if (block.empty()) return false;
  encode(parts, block);
  slab.publish(slot, block);
  return true;
}

TEST(Slab, random_use_keeps_every_record_and_a_reopened_slab_finds_them_all) {
  constexpr uint32_t kSlots = 3000;
  io::Fd memory = make_memory(kSlots);
  std::mt19937 random(7);
  std::map<uint32_t, RecordParts> model;
  uint64_t used = 0;
  for (int life = 0; life < 4; ++life) {
    auto slab = Slab::open(memory, kSlots);
    ASSERT_TRUE(slab) << slab.error().message;
    EXPECT_EQ(slab->incarnation(), uint32_t(life + 1));
    if (life > 0) EXPECT_EQ(slab->used_bytes(), used);
    for (int step = 0; step < 10'000; ++step) {
      uint32_t slot = random() % kSlots;
      if (random() % 3 == 0) {
        slab->set_state(slot, random() % 2 ? SlotState::kFree : SlotState::kAwake);
        model.erase(slot);
      } else {
        RecordParts parts = make_parts(random, slab->next_session_number());
        ASSERT_TRUE(publish(*slab, slot, parts));
        model[slot] = parts;
      }
    }
    used = slab->used_bytes();
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(slab->state(slot) == SlotState::kParked, model.contains(slot));
      if (!model.contains(slot)) continue;
      auto view = RecordView::attach(slab->block(slot));
      ASSERT_TRUE(view) << view.error().message;
      EXPECT_EQ(view->session(), model[slot].session);
      EXPECT_EQ(view->state(), model[slot].state);
    }
  }
}

TEST(Slab, a_full_arena_refuses_and_freed_blocks_come_back) {
  constexpr uint32_t kSlots = 8192;
  io::Fd memory(memfd_create("slab_test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(memory.get(), off_t(Slab::bytes_for(kSlots, 256))), 0);
  auto slab = Slab::open(memory, kSlots);
  ASSERT_TRUE(slab);
  std::mt19937 random(1);
  RecordParts parts = make_parts(random, 1);
  parts.state = std::string(900, 'x');
  uint32_t stored = 0;
  while (stored < kSlots && publish(*slab, stored, parts)) ++stored;
  ASSERT_LT(stored, kSlots);
  ASSERT_GT(stored, 0u);
  slab->set_state(0, SlotState::kFree);
  EXPECT_TRUE(publish(*slab, 0, parts));
  for (uint32_t slot = 0; slot < stored; ++slot) slab->set_state(slot, SlotState::kFree);
  EXPECT_EQ(slab->used_bytes(), 0u);
  EXPECT_LE(slab->touched_bytes(), uint64_t(Slab::kPageBytes));
}

TEST(Slab, a_process_killed_while_it_publishes_leaves_whole_records_only) {
  constexpr uint32_t kSlots = 64;
  io::Fd memory = make_memory(kSlots);
  for (unsigned round = 0; round < 20; ++round) {
    pid_t child = fork();
    if (child == 0) {
      auto slab = Slab::open(memory, kSlots);
      if (!slab) _exit(1);
      std::mt19937 random(round);
      while (true) {
        RecordParts parts = make_parts(random, slab->next_session_number());
        if (!publish(*slab, random() % kSlots, parts)) _exit(2);
      }
    }
    usleep(2000 + round * 137);
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child gave up by itself";
    auto slab = Slab::open(memory, kSlots);
    ASSERT_TRUE(slab);
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      if (slab->state(slot) != SlotState::kParked) continue;
      auto view = RecordView::attach(slab->block(slot));
      ASSERT_TRUE(view) << "round " << round << ": " << view.error().message;
      EXPECT_EQ(view->user(), "user" + std::to_string(view->session()));
    }
  }
}

TEST(Slab, memory_of_another_shape_is_refused) {
  io::Fd memory = make_memory(100);
  ASSERT_TRUE(Slab::open(memory, 100));
  EXPECT_FALSE(Slab::open(memory, 101));
  io::Fd small(memfd_create("slab_test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(small.get(), 4096), 0);
  EXPECT_FALSE(Slab::open(small, 100));
}

}  // namespace
}  // namespace dormouse::hibernate
