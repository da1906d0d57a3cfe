#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tuning/tune_advice.h"
#include "tuning/tune_apply.h"
#include "tuning/tune_machine.h"

namespace dormouse::tuning {
namespace {

using State = TuneRow::State;

// A machine under a directory: a small server as it comes out of the box.
class FakeRoot : public ::testing::Test {
 protected:
  FakeRoot() {
    char pattern[] = "/tmp/dormouse-tune-XXXXXX";
    if (mkdtemp(pattern) == nullptr) std::abort();
    root_ = pattern;
    put("/proc/meminfo", "MemTotal:       24576000 kB\nMemFree:  1 kB\n");
    put("/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max open files            1024                 524288               files\n"
        "Max locked memory         8388608              unlimited            bytes\n");
    put("/proc/sys/fs/nr_open", "1048576\n");
    put("/proc/sys/fs/file-max", "9223372036854775807\n");
    put("/proc/sys/fs/file-nr", "1200\t0\t9223372036854775807\n");
    put("/proc/sys/net/ipv4/tcp_mem", "286000\t381000\t572000\n");
    put("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
    put("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n");
    put("/proc/sys/net/core/somaxconn", "4096\n");
    put("/proc/sys/net/ipv4/tcp_max_syn_backlog", "512\n");
    put("/proc/sys/fs/fanotify/max_queued_events", "16384\n");
    put("/proc/sys/fs/inotify/max_user_watches", "65536\n");
    put("/proc/sys/fs/inotify/max_user_instances", "128\n");
    put("/proc/sys/fs/inotify/max_queued_events", "16384\n");
    put("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
  }
  ~FakeRoot() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string get(const std::string& path) const {
    std::stringstream text;
    text << std::ifstream(root_ + path).rdbuf();
    return text.str();
  }
  bool exists(const std::string& path) const { return std::filesystem::exists(root_ + path); }
  TuneReport report(uint64_t sessions, bool inotify = false) const {
    auto machine = read_machine(root_);
    EXPECT_TRUE(machine) << (machine ? "" : machine.error().message);
    return advise_machine(*machine, {.sessions = sessions, .inotify = inotify});
  }
  static const TuneRow& row(const TuneReport& report, std::string_view name) {
    auto found = std::ranges::find(report.rows, name, &TuneRow::name);
    if (found == report.rows.end()) std::abort();
    return *found;
  }

  std::string root_;
};

using TuneRead = FakeRoot;
using TuneAdvice = FakeRoot;
using TuneApply = FakeRoot;

TEST_F(TuneRead, reads_what_the_kernel_writes) {
  auto machine = read_machine(root_);
  ASSERT_TRUE(machine);
  EXPECT_EQ(machine->memory_bytes, 24'576'000ull * 1024);
  EXPECT_EQ(machine->open_files_hard, 524'288u);
  EXPECT_EQ(machine->locked_bytes_hard, UINT64_MAX);
  EXPECT_EQ((*machine->tcp_mem)[1], 381'000u);
  EXPECT_EQ(machine->files_open, 1'200u);
  EXPECT_EQ((*machine->port_range)[1], 60'999u);
}

TEST_F(TuneRead, what_a_container_hides_is_unknown_and_no_failure) {
  std::filesystem::remove_all(root_ + "/proc/sys/net");
  auto machine = read_machine(root_);
  ASSERT_TRUE(machine);
  EXPECT_FALSE(machine->somaxconn);
  EXPECT_EQ(row(report(1'000), "net.core.somaxconn").state, State::kUnknown);
}

TEST_F(TuneRead, nonsense_is_refused_by_the_name_of_its_file) {
  put("/proc/sys/net/ipv4/tcp_mem", "1 2\n");
  auto machine = read_machine(root_);
  ASSERT_FALSE(machine);
  EXPECT_NE(machine.error().message.find("tcp_mem"), std::string::npos);
}

TEST_F(TuneRead, this_very_machine_can_be_read) {
  auto machine = read_machine("");
  ASSERT_TRUE(machine) << machine.error().message;
  EXPECT_TRUE(machine->memory_bytes);
  EXPECT_TRUE(machine->open_files_hard);
}

TEST_F(TuneAdvice, a_few_sessions_fit_and_want_nothing_but_room_for_changes) {
  TuneReport few = report(1'000);
  for (const TuneRow& one : few.rows) EXPECT_NE(one.state, State::kShort) << one.name;
  EXPECT_EQ(few.state(), State::kTight);
}

TEST_F(TuneAdvice, needs_never_shrink_with_more_sessions) {
  TuneReport before = report(1'000);
  for (uint64_t sessions : {10'000, 100'000, 1'000'000, 4'000'000}) {
    TuneReport now = report(sessions);
    ASSERT_EQ(now.rows.size(), before.rows.size());
    for (size_t i = 0; i < now.rows.size(); ++i) {
      EXPECT_GE(now.rows[i].needs, before.rows[i].needs) << now.rows[i].name;
    }
    EXPECT_GT(now.memory_bytes, before.memory_bytes);
    before = now;
  }
}

TEST_F(TuneAdvice, sessions_beyond_the_memory_do_not_fit) {
  EXPECT_NE(row(report(1'000'000), "memory").state, State::kShort);
  EXPECT_EQ(row(report(10'000'000), "memory").state, State::kShort);
}

TEST_F(TuneAdvice, open_files_of_the_machine_must_hold_every_socket) {
  put("/proc/sys/fs/file-max", "100000\n");
  EXPECT_EQ(row(report(200'000), "fs.file-max").state, State::kShort);
  EXPECT_EQ(row(report(90'000), "fs.file-max").state, State::kTight);
  EXPECT_EQ(row(report(10'000), "fs.file-max").state, State::kFits);
}

TEST_F(TuneAdvice, few_descriptors_are_tight_until_512_dens_cannot_hold_the_sessions) {
  put("/proc/self/limits", "Max open files            1024                 20000    files\n");
  EXPECT_EQ(row(report(10'000), "RLIMIT_NOFILE").state, State::kFits);
  EXPECT_EQ(row(report(1'000'000), "RLIMIT_NOFILE").state, State::kTight);
  EXPECT_EQ(row(report(10'000'000), "RLIMIT_NOFILE").state, State::kShort);
}

TEST_F(TuneAdvice, watches_matter_only_without_fanotify) {
  TuneReport with = report(100'000);
  for (const TuneRow& one : with.rows) EXPECT_EQ(one.name.find("inotify"), std::string::npos);
  TuneReport without = report(100'000, true);
  EXPECT_EQ(row(without, "fs.inotify.max_user_watches").needs, 200'000u);
  EXPECT_EQ(row(without, "fs.inotify.max_user_watches").state, State::kTight);
}

TEST_F(TuneAdvice, the_text_names_what_is_missing_and_how_it_is_set) {
  std::string text = tune_text(report(100'000));
  EXPECT_NE(text.find("100000 sessions"), std::string::npos);
  EXPECT_NE(text.find("sysctl net.core.somaxconn = 10000"), std::string::npos);
}

TEST_F(TuneApply, sets_and_writes_down_what_is_missing_and_then_all_fits) {
  TuneDone done = apply_tuning(report(100'000), root_);
  EXPECT_TRUE(done.failures.empty());
  EXPECT_EQ(get("/proc/sys/net/core/somaxconn"), "10000\n");
  EXPECT_NE(get("/etc/sysctl.d/60-dormouse.conf").find("net.core.somaxconn = 10000\n"),
            std::string::npos);
  for (const TuneRow& one : report(100'000).rows) EXPECT_EQ(one.state, State::kFits) << one.name;
}

TEST_F(TuneApply, the_middle_of_three_values_is_raised_and_the_others_kept) {
  put("/proc/sys/net/ipv4/tcp_mem", "100\t200\t300\n");
  [[maybe_unused]] TuneDone done = apply_tuning(report(100'000), root_);
  EXPECT_EQ(get("/proc/sys/net/ipv4/tcp_mem"), "100 16000 24000\n");
}

TEST_F(TuneApply, a_second_run_keeps_what_the_first_wrote_down) {
  [[maybe_unused]] TuneDone first = apply_tuning(report(100'000), root_);
  std::string before = get("/etc/sysctl.d/60-dormouse.conf");
  TuneDone again = apply_tuning(report(100'000), root_);
  EXPECT_TRUE(again.lines.empty());
  [[maybe_unused]] TuneDone more = apply_tuning(report(400'000), root_);
  std::string after = get("/etc/sysctl.d/60-dormouse.conf");
  EXPECT_NE(after, before);
  EXPECT_NE(after.find("fs.fanotify.max_queued_events = 65536\n"), std::string::npos);
  EXPECT_NE(after.find("net.core.somaxconn = 40000\n"), std::string::npos);
}

TEST_F(TuneApply, nothing_is_ever_lowered) {
  put("/proc/sys/net/core/somaxconn", "65535\n");
  put("/proc/sys/net/ipv4/tcp_max_syn_backlog", "65535\n");
  [[maybe_unused]] TuneDone done = apply_tuning(report(1'000), root_);
  EXPECT_EQ(get("/proc/sys/net/core/somaxconn"), "65535\n");
  EXPECT_EQ(get("/etc/sysctl.d/60-dormouse.conf").find("somaxconn"), std::string::npos);
}

TEST_F(TuneApply, a_unit_gets_its_limit_of_descriptors) {
  put("/proc/self/limits", "Max open files            1024                 20000    files\n");
  [[maybe_unused]] TuneDone done = apply_tuning(report(90'000), root_);
  EXPECT_NE(get("/etc/systemd/system/dormouse.service.d/tune.conf")
                .find("[Service]\nLimitNOFILE=101024\n"),
            std::string::npos);
}

TEST_F(TuneApply, what_the_kernel_does_not_take_is_said_and_not_written_down) {
  std::filesystem::remove(root_ + "/proc/sys/net/core/somaxconn");
  TuneReport wanted = report(100'000);
  wanted.rows.front().state = State::kFits;
  TuneRow& missing = wanted.rows.emplace_back();
  missing.name = missing.sysctl = "net.core.somaxconn";
  missing.value = "7";
  missing.state = State::kTight;
  TuneDone done = apply_tuning(wanted, root_);
  ASSERT_EQ(done.failures.size(), 1u);
  EXPECT_NE(done.failures[0].find("net.core.somaxconn = 7"), std::string::npos);
  EXPECT_EQ(get("/etc/sysctl.d/60-dormouse.conf").find("somaxconn"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::tuning
