#include "master/pressure_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "master/settings.h"

namespace dormouse::master {
namespace {

namespace fs = std::filesystem;
using tuning::Pressure;

// A machine made of one file, and the defaults of the settings.
class PressureKeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("pressure_keeper_" + std::to_string(::getpid()));
    fs::create_directories(root_ + "/proc");
    available(900);
    auto loop = io::Loop::create();
    ASSERT_TRUE(loop);
    loop_ = std::move(*loop);
    auto settings = parse_settings("[listen]\nimaps = []\n", "test", "/");
    ASSERT_TRUE(settings);
    settings_ = settings->wire.pressure();
  }
  void TearDown() override { fs::remove_all(root_); }
  void available(int kib) {
    std::ofstream(root_ + "/proc/meminfo") << "MemTotal: 1000 kB\nMemAvailable: " << kib << " kB\n";
  }
  std::unique_ptr<PressureKeeper> keeper() {
    return std::make_unique<PressureKeeper>(
        *loop_, settings_,
        PressureKeeper::Tell{
            .level = [this](Pressure level,
                            const std::string& text) { told_.emplace_back(level, text); },
            .pace = [this](uint32_t per_second) { paced_.push_back(per_second); },
            .write_back = [this] { ++write_backs_; }},
        tuning::PressureReader(root_));
  }
  // The tracker's probes, as often running as it takes.
  static void be_late(PressureKeeper& keeper) {
    wire::RoleToMaster::Strain strain;
    strain.set_probed(true);
    strain.set_late_ms(200);
    for (unsigned i = 0; i < tuning::LoginPace::kLateInARow; ++i) keeper.strain(strain);
  }

  std::string root_;
  std::unique_ptr<io::Loop> loop_;
  wire::Settings::Pressure settings_;
  std::vector<std::pair<Pressure, std::string>> told_;
  std::vector<uint32_t> paced_;
  unsigned write_backs_ = 0;
};

TEST_F(PressureKeeperTest, ALevelIsToldOnceWithWhatAClientMayHear) {
  auto keeper = this->keeper();
  keeper->look();
  EXPECT_TRUE(told_.empty());
  available(10);
  keeper->look();
  keeper->look();
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0].first, Pressure::kCritical);
  EXPECT_EQ(told_[0].second, "The server is short of memory");
  ASSERT_EQ(paced_.size(), 2u);
  EXPECT_EQ(paced_[1], 100u) << "twice logins_per_second";
  EXPECT_NE(keeper->view().find("pressed_per_second=100\n"), std::string::npos);
  EXPECT_NE(keeper->view().find("level=critical cause=memory"), std::string::npos);
  EXPECT_NE(keeper->view().find("entered_critical=1"), std::string::npos);
}

TEST_F(PressureKeeperTest, TheTrackersWorstWordSinceTheLastLookCounts) {
  settings_.set_rise_after_ms(0);
  auto keeper = this->keeper();
  wire::RoleToMaster::Strain strain;
  strain.set_queue_ms(30'000);
  keeper->strain(strain);
  strain.set_queue_ms(0);
  keeper->strain(strain);
  keeper->look();
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0].first, Pressure::kCritical);
  keeper->look();
  EXPECT_NE(keeper->view().find("queue_ms=30000"), std::string::npos) << "it said nothing since";
  keeper->strain(strain);
  keeper->look();
  EXPECT_NE(keeper->view().find("queue_ms=0"), std::string::npos);
}

TEST_F(PressureKeeperTest, LoginsArePacedWhileSleepersAreLate) {
  auto keeper = this->keeper();
  ASSERT_FALSE(paced_.empty());
  uint32_t unbound = paced_.back();
  wire::RoleToMaster::Strain strain;
  strain.set_probed(true);
  strain.set_late_ms(200);
  strain.set_opened(10);
  keeper->strain(strain);
  EXPECT_EQ(paced_.back(), unbound) << "once is no queue";
  be_late(*keeper);
  EXPECT_LT(paced_.back(), unbound);
  EXPECT_NE(keeper->view().find("login_pace goal_ms=10 "), std::string::npos);
  strain.set_probed(false);
  keeper->strain(strain);
  EXPECT_EQ(paced_.back(), unbound) << "nobody wakes any more";
  settings_.set_wake_goal_ms(0);
  keeper->configure(settings_);
  EXPECT_EQ(paced_.back(), 0u) << "no pace at all";
}

TEST_F(PressureKeeperTest, OfTwoPacesTheSlowerOneIsTold) {
  settings_.set_logins_per_second(10);
  auto keeper = this->keeper();
  be_late(*keeper);
  uint32_t by_wakes = paced_.back();
  EXPECT_GT(by_wakes, 20u);
  available(10);
  keeper->look();
  EXPECT_EQ(paced_.back(), 20u);
  settings_.set_logins_per_second(10'000);
  keeper->configure(settings_);
  keeper->look();
  be_late(*keeper);
  EXPECT_EQ(paced_.back(), by_wakes);
}

TEST_F(PressureKeeperTest, FilePagesThatNobodyWroteAreWrittenWhileMemoryIsShort) {
  const std::string group = root_ + "/sys/fs/cgroup/memory/mail";
  fs::create_directories(root_ + "/proc/self");
  fs::create_directories(group);
  std::ofstream(root_ + "/proc/self/mountinfo")
      << "38 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
  std::ofstream(root_ + "/proc/self/cgroup") << "4:memory:/mail\n";
  std::ofstream(group + "/memory.limit_in_bytes") << "1000000\n";
  auto in_use = [&](int bytes, int dirty) {
    std::ofstream(group + "/memory.usage_in_bytes") << bytes << "\n";
    std::ofstream(group + "/memory.stat")
        << "total_inactive_file 300000\ntotal_dirty " << dirty << "\n";
  };
  in_use(700'000, 40'000);
  auto keeper = this->keeper();
  keeper->look();
  EXPECT_EQ(write_backs_, 0u) << "little";
  in_use(700'000, 200'000);
  keeper->look();
  EXPECT_EQ(write_backs_, 1u);
  EXPECT_NE(keeper->view().find("unwritten_permille=200"), std::string::npos);
  in_use(300'000, 200'000);
  keeper->look();
  EXPECT_EQ(write_backs_, 1u) << "there is room";
}

io::Task<int> stir_it(io::Loop* loop, PressureKeeper* keeper, std::string meminfo) {
  loop->root().spawn(keeper->keep());
  (void)co_await loop->sleep(1);  // it has begun to wait
  std::ofstream(meminfo) << "MemTotal: 1000 kB\nMemAvailable: 10 kB\n";
  keeper->strain({});
  // Due long before its next look, and behind what strain() makes ready.
  (void)co_await loop->sleep(PressureKeeper::kQuietLookMs / 10);
  co_return int(keeper->level());
}

TEST_F(PressureKeeperTest, WhoeverWakesMakesItLookAtOnce) {
  auto keeper = this->keeper();
  EXPECT_EQ(loop_->run(stir_it(loop_.get(), keeper.get(), root_ + "/proc/meminfo")),
            int(Pressure::kCritical));
  EXPECT_EQ(told_.size(), 1u);
}

TEST_F(PressureKeeperTest, SwitchedOffItIsCalmAndSaysSo) {
  auto keeper = this->keeper();
  available(10);
  keeper->look();
  ASSERT_EQ(paced_.back(), 100u);
  settings_.set_enabled(false);
  keeper->configure(settings_);
  EXPECT_EQ(paced_.back(), 0u);
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_EQ(told_[1].first, Pressure::kCalm);
  keeper->look();
  EXPECT_EQ(told_.size(), 2u);
  EXPECT_EQ(keeper->view(), "pressure off\n");
}

TEST_F(PressureKeeperTest, TheDefaultsAreTheOnesInTheDocumentation) {
  auto settings = pressure_settings(settings_);
  EXPECT_EQ(settings.thresholds[size_t(tuning::Reading::kMemory)].first, 800u);
  EXPECT_EQ(settings.thresholds[size_t(tuning::Reading::kQueue)].second, 5'000u);
  EXPECT_EQ(settings.calm_after_ms, 15'000u);
}

}  // namespace
}  // namespace dormouse::master
