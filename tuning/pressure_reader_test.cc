#include "tuning/pressure_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace dormouse::tuning {
namespace {

namespace fs = std::filesystem;

// A machine made of files: memory half in use, nothing waits, no cgroup.
class PressureReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("pressure_reader_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    put("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n");
    put("/proc/self/mountinfo", "25 1 0:22 / /proc rw - proc proc rw\n");
    put("/proc/self/cgroup", "0::/\n");
    for (const char* name : {"memory", "cpu", "io"}) stall(name, 0, 0);
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void stall(const std::string& name, uint64_t some_us, uint64_t full_us,
             const std::string& folder = "/proc/pressure/", const std::string& end = "") {
    put(folder + name + end,
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(some_us) +
            "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(full_us) + "\n");
  }
  void v1_group(const std::string& path, uint64_t used, uint64_t limit, uint64_t files) {
    std::string folder = "/sys/fs/cgroup/memory" + path;
    put(folder + "/memory.usage_in_bytes", std::to_string(used) + "\n");
    put(folder + "/memory.limit_in_bytes", std::to_string(limit) + "\n");
    put(folder + "/memory.stat", "total_active_file " + std::to_string(files) + "\n");
  }
  void in_v1(const std::string& path) {
    put("/proc/self/mountinfo",
        "38 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("/proc/self/cgroup", "4:memory:" + path + "\n");
  }
  static std::optional<uint32_t> of(const Readings& readings, Reading reading) {
    return readings[size_t(reading)];
  }

  std::string root_;
};

TEST_F(PressureReaderTest, WithoutACgroupTheMachinesMemoryCounts) {
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_EQ(of(readings, Reading::kMemory), 500u);
  EXPECT_TRUE(reader.take_complaints().empty());
}

TEST_F(PressureReaderTest, PagesOfFilesDoNotFillACgroup) {
  in_v1("/mail");
  v1_group("/mail", 1'000'000, 1'000'000, 400'000);
  v1_group("", 0, uint64_t{1} << 62, 0);
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_EQ(of(readings, Reading::kMemory), 600u);
}

TEST_F(PressureReaderTest, PagesOfFilesThatMustBeWrittenFirstFillIt) {
  in_v1("/mail");
  v1_group("/mail", 1'000'000, 1'000'000, 400'000);
  v1_group("", 0, uint64_t{1} << 62, 0);
  put("/sys/fs/cgroup/memory/mail/memory.stat",
      "total_active_file 400000\ntotal_dirty 200000\ntotal_writeback 50000\n");
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_EQ(of(readings, Reading::kMemory), 850u);
  EXPECT_EQ(reader.unwritten_permille(), 250u);
  EXPECT_TRUE(reader.wants_write_back());
  v1_group("/mail", 300'000, 1'000'000, 200'000);
  reader.read(1500, readings);
  EXPECT_FALSE(reader.wants_write_back());
}

TEST_F(PressureReaderTest, ALimitAboveOursCountsToo) {
  in_v1("/mail/dormouse");
  v1_group("/mail/dormouse", 10, uint64_t{1} << 62, 0);
  v1_group("/mail", 900'000, 1'000'000, 0);
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_EQ(of(readings, Reading::kMemory), 900u);
}

TEST_F(PressureReaderTest, V2CountsAgainstTheLowerOfHighAndMaxAndHasItsOwnStalls) {
  put("/proc/self/mountinfo", "40 32 0:35 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put("/proc/self/cgroup", "0::/dormouse.service\n");
  const std::string folder = "/sys/fs/cgroup/dormouse.service";
  put(folder + "/memory.current", "700\n");
  put(folder + "/memory.max", "max\n");
  put(folder + "/memory.high", "1000\n");
  put(folder + "/memory.stat", "anon 650\ninactive_file 50\n");
  for (const char* name : {"memory", "cpu", "io"}) stall(name, 0, 0, folder + "/", ".pressure");
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_EQ(of(readings, Reading::kMemory), 650u);
  stall("memory", 250'000, 0, folder + "/", ".pressure");
  reader.read(1500, readings);
  EXPECT_EQ(of(readings, Reading::kMemoryStall), 500u);
}

TEST_F(PressureReaderTest, StallsAreSomeOfMemoryAndCpuAndFullOfDisks) {
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_FALSE(of(readings, Reading::kMemoryStall));
  stall("memory", 100'000, 1);
  stall("cpu", 200'000, 1);
  stall("io", 1'000'000, 300'000);
  reader.read(2000, readings);
  EXPECT_EQ(of(readings, Reading::kMemoryStall), 100u);
  EXPECT_EQ(of(readings, Reading::kCpuStall), 200u);
  EXPECT_EQ(of(readings, Reading::kIoStall), 300u);
}

TEST_F(PressureReaderTest, WithoutPressureFilesMemorySpeaksAloneAndThatIsSaidOnce) {
  fs::remove_all(root_ + "/proc/pressure");
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  EXPECT_EQ(of(readings, Reading::kMemory), 500u);
  EXPECT_FALSE(of(readings, Reading::kCpuStall));
  EXPECT_EQ(reader.take_complaints().size(), 3u);
  reader.read(2000, readings);
  EXPECT_TRUE(reader.take_complaints().empty());
}

TEST_F(PressureReaderTest, NonsenseIsSaidOnceAndCountsForNothing) {
  in_v1("/mail");
  put("/proc/meminfo", std::string(1000, '\xff'));
  put("/sys/fs/cgroup/memory/mail/memory.limit_in_bytes", "-7\n");
  put("/proc/pressure/io", std::string(PressureReader::kFileBytesMax + 1, 'x'));
  v1_group("", 0, uint64_t{1} << 62, 0);
  PressureReader reader(root_);
  Readings readings;
  for (uint64_t now_ms : {1000, 2000, 3000}) {
    reader.read(now_ms, readings);
    EXPECT_FALSE(of(readings, Reading::kMemory));
    EXPECT_FALSE(of(readings, Reading::kIoStall));
    EXPECT_EQ(reader.take_complaints().size(), now_ms == 1000 ? 3u : 0u);
  }
}

TEST_F(PressureReaderTest, AnEmptyMachineMeasuresNothing) {
  fs::remove_all(root_);
  PressureReader reader(root_);
  Readings readings;
  reader.read(1000, readings);
  for (const auto& reading : readings) EXPECT_FALSE(reading);
  EXPECT_FALSE(reader.take_complaints().empty());
}

TEST(PressureReaderHere, ThisMachineIsMeasured) {
  PressureReader reader;
  Readings readings;
  reader.read(1000, readings);
  EXPECT_TRUE(readings[size_t(Reading::kMemory)]);
}

}  // namespace
}  // namespace dormouse::tuning
