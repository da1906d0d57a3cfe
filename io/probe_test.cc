#include "io/probe.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace dormouse::io {
namespace {

TEST(Probe, kernel_versions_are_compared_as_numbers) {
  EXPECT_TRUE(kernel_at_least("6.1.0-13-amd64", 6, 1));
  EXPECT_TRUE(kernel_at_least("6.18.44", 6, 2));
  EXPECT_TRUE(kernel_at_least("10.0", 6, 1));
  EXPECT_FALSE(kernel_at_least("5.19.0", 6, 1));
  EXPECT_FALSE(kernel_at_least("6.0", 6, 1));
  EXPECT_FALSE(kernel_at_least("unknown", 6, 1));
}

TEST(Probe, a_machine_that_runs_these_tests_can_run_the_server) {
  ProbeReport report = probe_machine();
  for (const ProbeFinding& finding : report.findings) {
    EXPECT_FALSE(finding.fatal) << finding.what << ": " << finding.cost;
  }
  EXPECT_FALSE(report.kernel.empty());
  EXPECT_GT(report.open_files_hard, 0u);
}

TEST(Probe, a_machine_without_bpf_says_why_and_what_that_costs) {
  ProbeReport report = probe_machine();
  bool told = false;
  for (const ProbeFinding& finding : report.findings) {
    if (finding.what.starts_with("BPF: ")) told = true;
  }
  EXPECT_EQ(told, !report.no_bpf.empty());
}

TEST(Probe, open_files_are_raised_to_the_hard_limit_at_least) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low{.rlim_cur = 64, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_open_files(0), before.rlim_max);
  rlimit after{};
  getrlimit(RLIMIT_NOFILE, &after);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
}

}  // namespace
}  // namespace dormouse::io
