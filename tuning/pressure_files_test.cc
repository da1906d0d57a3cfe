#include "tuning/pressure_files.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

constexpr std::string_view kMounts =
    "25 1 0:22 / /proc rw - proc proc rw\n"
    "36 32 0:31 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
    "38 32 0:33 / /sys/fs/cgroup/memory rw,nosuid,relatime shared:17 - cgroup cgroup rw,memory\n"
    "40 32 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

TEST(MemInfo, TotalAndAvailable) {
  auto memory = parse_meminfo(
      "MemTotal:       24682000 kB\nMemFree:          100 kB\nMemAvailable:   12341000 kB\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->total_bytes, 24682000ull * 1024);
  EXPECT_EQ(memory->available_bytes, 12341000ull * 1024);
}

TEST(MemInfo, WhatCannotBeIsNothing) {
  for (std::string_view text :
       {"", "MemTotal: 5 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
        "MemTotal: 5 kB\nMemAvailable: 6 kB\n", "MemTotal: x kB\nMemAvailable: 6 kB\n",
        "MemTotal: 18446744073709551615 kB\nMemAvailable: 6 kB\n"}) {
    EXPECT_FALSE(parse_meminfo(text)) << text;
  }
}

TEST(CgroupFiles, ANumberOrMax) {
  EXPECT_EQ(parse_bytes("4096\n"), 4096u);
  EXPECT_EQ(parse_bytes("max\n"), UINT64_MAX);
  EXPECT_FALSE(parse_bytes(""));
  EXPECT_FALSE(parse_bytes("-1\n"));
  EXPECT_FALSE(parse_bytes("12 34\n"));
  EXPECT_FALSE(parse_bytes("99999999999999999999\n"));
}

TEST(CgroupFiles, PagesOfFilesCanBeHadBackSharedMemoryCannot) {
  auto v1 = parse_group_caches(
      "cache 900\nactive_file 1\ninactive_file 2\ndirty 9\ntotal_cache 900\ntotal_dirty 7\n"
      "total_writeback 2\ntotal_inactive_anon 7\ntotal_active_file 30\ntotal_inactive_file 12\n",
      false);
  EXPECT_EQ(v1.reclaimable_bytes, 33u);
  EXPECT_EQ(v1.unwritten_bytes, 9u);
  auto v2 = parse_group_caches(
      "anon 5\nfile 90\nfile_dirty 4\nfile_writeback 1\nshmem 50\ninactive_file 10\n"
      "active_file 20\nslab_reclaimable 3\nslab 100\n",
      true);
  EXPECT_EQ(v2.reclaimable_bytes, 28u);
  EXPECT_EQ(v2.unwritten_bytes, 5u);
  auto nonsense = parse_group_caches("active_file x\ninactive_file\nfile_dirty 10\n", true);
  EXPECT_EQ(nonsense.reclaimable_bytes, 0u);
  EXPECT_EQ(nonsense.unwritten_bytes, 0u) << "of no pages";
}

TEST(CgroupPlace, TheMemoryControllerOfV1) {
  auto place = find_memory_cgroup(kMounts, "4:memory:/mail/dormouse\n3:cpu,cpuacct:/\n0::/x\n");
  ASSERT_TRUE(place);
  EXPECT_FALSE(place->v2);
  EXPECT_EQ(place->mount, "/sys/fs/cgroup/memory");
  EXPECT_EQ(place->path, "/mail/dormouse");
}

TEST(CgroupPlace, TheRootHasNoPath) {
  auto place = find_memory_cgroup(kMounts, "4:memory:/\n");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->path, "");
}

TEST(CgroupPlace, V2WhereV1HasNoMemoryController) {
  auto place = find_memory_cgroup("40 32 0:35 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                                  "0::/system.slice/dormouse.service\n");
  ASSERT_TRUE(place);
  EXPECT_TRUE(place->v2);
  EXPECT_EQ(place->path, "/system.slice/dormouse.service");
}

TEST(CgroupPlace, AContainersMountBeginsBelowTheRoot) {
  auto place = find_memory_cgroup(
      "38 32 0:33 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
      "4:memory:/docker/1/sub\n");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->path, "/sub");
}

TEST(CgroupPlace, AGroupWhoseNameBeginsLikeTheMountsIsNotBelowIt) {
  auto place = find_memory_cgroup(
      "38 32 0:33 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
      "4:memory:/docker/12\n");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->path, "/docker/12");
}

TEST(CgroupPlace, APathOutOfTheNamespaceIsNotFollowed) {
  EXPECT_FALSE(find_memory_cgroup(kMounts, "4:memory:/../../etc\n"));
}

TEST(CgroupPlace, NonsenseIsNoPlace) {
  for (std::string_view text : {"", "4:memory", "::::\n", "4:memory:relative\n", "\n\n"}) {
    EXPECT_FALSE(find_memory_cgroup(kMounts, text)) << text;
  }
  for (std::string_view mounts :
       {"", " - cgroup cgroup rw,memory\n", "a b c d e - \n", "- - -\n"}) {
    EXPECT_FALSE(find_memory_cgroup(mounts, "4:memory:/\n")) << mounts;
  }
}

}  // namespace
}  // namespace dormouse::tuning
