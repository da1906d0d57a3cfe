// The verdicts of the program that the kernel runs, on packets made here, by BPF_PROG_TEST_RUN. The
// test gives the time.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "ebpf/admission.h"
#include "ebpf/admission.skel.h"
#include "ebpf/test_packets.h"

namespace dormouse::ebpf {
namespace {

using test::bytes_of;
using test::Packet;

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kSecondNs = 1000 * kMillisecondNs;

class AdmissionPolicy : public testing::Test {
 protected:
  void SetUp() override {
    programs_.reset(admission_bpf__open());
    ASSERT_TRUE(programs_);
    programs_->rodata->clock_is_given = true;
    programs_->rodata->any_socket = true;
    int error = admission_bpf__load(programs_.get());
    if (error == -EPERM) GTEST_SKIP() << "loading BPF programs is not permitted here";
    ASSERT_EQ(error, 0);
    auto control = AdmissionControl::over(bpf_map__fd(programs_->maps.rates));
    ASSERT_TRUE(control) << control.error().message;
    control_ = std::move(*control);
    set_time(100 * kSecondNs);
  }

  void set_time(uint64_t now_ns) { programs_->bss->given_clock_ns = now_ns_ = now_ns; }
  void pass_time(uint64_t ns) { set_time(now_ns_ + ns); }
  bool passes(const Packet& packet) {
    auto bytes = bytes_of(packet);
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.data_in = bytes.data();
    run.data_size_in = uint32_t(bytes.size());
    EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(programs_->progs.admission), &run), 0);
    EXPECT_TRUE(run.retval == 0 || run.retval == UINT32_MAX) << run.retval;
    return run.retval != 0;
  }
  // Of `count` SYNs from there at this moment.
  unsigned let_in(unsigned count, const std::string& from) {
    unsigned in = 0;
    for (unsigned i = 0; i < count; ++i) in += passes({.from = from}) ? 1 : 0;
    return in;
  }
  uint64_t counted(uint32_t verdict) {
    std::vector<uint64_t> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
    EXPECT_EQ(bpf_map_lookup_elem(bpf_map__fd(programs_->maps.verdicts), &verdict, per_cpu.data()),
              0);
    uint64_t sum = 0;
    for (uint64_t one : per_cpu) sum += one;
    return sum;
  }

  struct Destroy {
    void operator()(admission_bpf* programs) const { admission_bpf__destroy(programs); }
  };
  std::unique_ptr<admission_bpf, Destroy> programs_;
  AdmissionControl control_;
  uint64_t now_ns_ = 0;
};

TEST_F(AdmissionPolicy, without_a_rate_everything_passes) {
  EXPECT_EQ(let_in(1000, "192.0.2.1"), 1000u);
  EXPECT_EQ(counted(ADMISSION_UNPACED), 1000u);
}

TEST_F(AdmissionPolicy, a_full_bucket_is_emptied_and_fills_at_the_rate) {
  control_.set_rates({.per_second = 100, .burst = 20, .prefix_percent = 100});
  EXPECT_EQ(let_in(50, "192.0.2.1"), 20u);
  EXPECT_EQ(counted(ADMISSION_WITHIN), 20u);
  pass_time(9 * kMillisecondNs);
  EXPECT_EQ(let_in(5, "192.0.2.1"), 0u) << "a token takes 10 ms";
  pass_time(kMillisecondNs);
  EXPECT_EQ(let_in(5, "192.0.2.1"), 1u);
  pass_time(50 * kMillisecondNs);
  EXPECT_EQ(let_in(50, "192.0.2.1"), 5u);
  pass_time(3600 * kSecondNs);
  EXPECT_EQ(let_in(50, "192.0.2.1"), 20u) << "no more than full, however long nobody came";
}

TEST_F(AdmissionPolicy, new_rates_hold_from_the_next_packet_on) {
  control_.set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  EXPECT_EQ(let_in(10, "192.0.2.1"), 2u);
  control_.set_rates({});
  EXPECT_EQ(let_in(10, "192.0.2.1"), 10u);
  control_.set_rates({.per_second = 1000, .burst = 10, .prefix_percent = 100});
  pass_time(10 * kSecondNs);
  EXPECT_EQ(let_in(50, "192.0.2.1"), 10u);
}

TEST_F(AdmissionPolicy, after_slow_rates_nobody_waits_longer_than_for_the_new_ones) {
  control_.set_rates({.per_second = 1, .burst = 1000, .prefix_percent = 100});
  EXPECT_EQ(let_in(1100, "192.0.2.1"), 1000u) << "full again in 1,000 s";
  control_.set_rates({.per_second = 1000, .burst = 10, .prefix_percent = 100});
  EXPECT_EQ(let_in(5, "192.0.2.1"), 0u) << "it is empty";
  pass_time(5 * kMillisecondNs);
  EXPECT_EQ(let_in(50, "192.0.2.1"), 5u);
}

TEST_F(AdmissionPolicy, a_rate_drops_opening_syns_only) {
  control_.set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  for (const char* from : {"192.0.2.1", "2001:db8::1"}) {
    EXPECT_LE(let_in(10, from), 2u);
    EXPECT_FALSE(passes({.from = from}));
    uint16_t source = 2000;  // each its own
    for (uint8_t flags : {test::kAck, uint8_t(test::kSyn | test::kAck), test::kRst, test::kFin,
                          uint8_t(test::kFin | test::kAck), uint8_t(test::kSyn | test::kRst)}) {
      EXPECT_TRUE(passes({.from = from, .source = ++source, .flags = flags}))
          << from << " flags " << int(flags);
    }
    EXPECT_TRUE(passes({.from = from, .source = ++source, .flags = test::kAck, .payload = 100}));
    EXPECT_TRUE(passes({.from = from, .protocol = 17})) << "UDP";
    EXPECT_FALSE(passes({.from = from, .payload = 100})) << "a SYN with data (fast open)";
  }
  EXPECT_EQ(counted(ADMISSION_COMPLETED), 2 * 3u) << "packets that may end a handshake";
}

// The kernel's race at the end of a handshake (handshake_race.bpf.h): TCP would answer with a
// reset.
TEST_F(AdmissionPolicy, what_comes_right_behind_a_handshakes_end_is_dropped) {
  uint16_t source = 2000;
  for (const char* from : {"192.0.2.1", "2001:db8::1"}) {
    for (unsigned extras : {0U, 2U}) {
      for (bool data_first : {false, true}) {
        const Packet bare{.from = from, .source = ++source, .flags = test::kAck, .extras = extras};
        Packet data = bare;
        data.payload = 100;
        EXPECT_TRUE(passes(data_first ? data : bare));
        EXPECT_FALSE(passes(data_first ? bare : data)) << from << " extras " << extras;
        pass_time(50 * kMillisecondNs);
        EXPECT_FALSE(passes(data)) << "as many as come";
        pass_time(50 * kMillisecondNs);
        EXPECT_TRUE(passes(data)) << "what is said again is TCP's to answer";
      }
    }
  }
  EXPECT_EQ(counted(ADMISSION_EARLY), 8 * 2u);
  EXPECT_EQ(counted(ADMISSION_COMPLETED), 8 * 2u);
}

TEST_F(AdmissionPolicy, a_connection_from_the_same_ports_is_another_one) {
  EXPECT_TRUE(passes({.flags = test::kAck}));
  EXPECT_FALSE(passes({.flags = test::kAck}));
  EXPECT_TRUE(passes({}));  // a SYN, within the 100 ms
  EXPECT_TRUE(passes({.flags = test::kAck}));
  EXPECT_FALSE(passes({.flags = test::kAck}));
  EXPECT_TRUE(passes({.source = 40001}));
  EXPECT_FALSE(passes({.flags = test::kAck})) << "somebody else's";
}

TEST_F(AdmissionPolicy, a_handshakes_end_holds_back_nobody_else) {
  EXPECT_TRUE(passes({.flags = test::kAck}));
  for (Packet other : {Packet{.from = "192.0.2.2"}, Packet{.port = 993}, Packet{.source = 40001},
                       Packet{.from = "2001:db8::1"}}) {
    other.flags = test::kAck;
    EXPECT_TRUE(passes(other)) << other.from << " " << other.port << " " << other.source;
  }
  EXPECT_EQ(counted(ADMISSION_EARLY), 0u);
}

TEST_F(AdmissionPolicy, a_syn_behind_options_and_extension_headers_is_still_a_syn) {
  control_.set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  let_in(10, "192.0.2.1");
  for (unsigned extras : {1U, 4U}) {
    const auto source = uint16_t(2000 + extras);
    EXPECT_FALSE(passes({.from = "192.0.2.1", .extras = extras}));
    EXPECT_FALSE(passes({.from = "2001:db8::1", .extras = extras}));
    EXPECT_TRUE(
        passes({.from = "192.0.2.1", .source = source, .flags = test::kAck, .extras = extras}));
    EXPECT_TRUE(
        passes({.from = "2001:db8::1", .source = source, .flags = test::kAck, .extras = extras}));
  }
}

TEST_F(AdmissionPolicy, what_has_no_tcp_header_is_left_to_tcp) {
  control_.set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  EXPECT_TRUE(passes({.from = "192.0.2.1", .cut = 8}));
  EXPECT_TRUE(passes({.from = "2001:db8::1", .cut = 8}));
  EXPECT_TRUE(passes({.from = "2001:db8::1", .extras = 2, .cut = 30}));
  EXPECT_EQ(counted(ADMISSION_UNREADABLE), 3u);
}

TEST_F(AdmissionPolicy, a_prefix_is_a_24_or_a_48) {
  // 10 tokens, a prefix's share is 1 of them: the second of a prefix is over its share.
  control_.set_rates({.per_second = 10, .burst = 10, .prefix_percent = 10});
  passes({.from = "192.0.2.1"});
  passes({.from = "192.0.2.254"});
  EXPECT_EQ(counted(ADMISSION_OVER), 1u);
  passes({.from = "192.0.3.1"});
  passes({.from = "2001:db8:1::1"});
  EXPECT_EQ(counted(ADMISSION_OVER), 1u);
  passes({.from = "2001:db8:1:ffff::2"});
  EXPECT_EQ(counted(ADMISSION_OVER), 2u);
  passes({.from = "2001:db8:2::1"});
  EXPECT_EQ(counted(ADMISSION_OVER), 2u);
  EXPECT_EQ(counted(ADMISSION_WITHIN), 4u);
}

TEST_F(AdmissionPolicy, who_is_alone_may_have_everything_but_the_reserve) {
  control_.set_rates({.per_second = 100, .burst = 100, .prefix_percent = 10});
  EXPECT_EQ(let_in(1000, "192.0.2.1"), 50u) << "the lower half is kept";
  EXPECT_EQ(counted(ADMISSION_DROPPED_SHARE), 950u);
  unsigned in = 0;
  for (int second = 0; second < 10; ++second) {
    pass_time(kSecondNs);
    in += let_in(1000, "192.0.2.1");
  }
  EXPECT_EQ(in, 10 * 50u) << "half a bucket at each knock";
  in = 0;
  for (int step = 0; step < 1000; ++step) {
    pass_time(10 * kMillisecondNs);
    in += let_in(10, "192.0.2.1");
  }
  EXPECT_EQ(in, 1000u) << "the whole rate, when it asks steadily";
}

// What a flood can take from others is bounded: they get all that they ask for, up to their share,
// while it lasts.
TEST_F(AdmissionPolicy, a_flood_from_one_prefix_shuts_nobody_out) {
  control_.set_rates({.per_second = 1000, .burst = 200, .prefix_percent = 10});
  unsigned others = 0;
  unsigned flood = 0;
  for (int step = 0; step < 1000; ++step) {  // 10 s, 10 ms each
    pass_time(10 * kMillisecondNs);
    flood += let_in(15, "203.0.113.7");
    // Eight prefixes ask for 50 a second each: half of their share.
    if (step % 2 == 0) {
      for (int other = 0; other < 8; ++other) others += let_in(1, fmt::format("10.0.{}.1", other));
    }
    flood += let_in(15, "203.0.113.7");
  }
  EXPECT_EQ(others, 8 * 500u) << "every one of them";
  EXPECT_GE(flood, 10'000u - 4'000u - 1u) << "what is left is not wasted";
  EXPECT_LE(flood, 10'000u - 4'000u + 200u);
}

TEST_F(AdmissionPolicy, prefixes_that_all_want_more_get_about_the_same) {
  control_.set_rates({.per_second = 1000, .burst = 200, .prefix_percent = 25});
  std::array<unsigned, 4> in{};
  for (int step = 0; step < 1000; ++step) {
    pass_time(10 * kMillisecondNs);
    for (size_t who = 0; who < in.size(); ++who) {
      // The first knocks five times as often as the others.
      in[who] += let_in(who == 0 ? 20 : 4, fmt::format("10.0.{}.1", who));
    }
  }
  unsigned sum = 0;
  for (unsigned one : in) sum += one;
  EXPECT_LE(sum, 10'000u + 200u);
  EXPECT_GE(sum, 10'000u - 1u);
  for (unsigned one : in) {
    EXPECT_GE(one, 2'250u);
    EXPECT_LE(one, 2'750u);
  }
}

TEST_F(AdmissionPolicy, more_prefixes_than_are_remembered_are_still_bounded_by_the_rate) {
  control_.set_rates({.per_second = 100, .burst = 50, .prefix_percent = 10});
  unsigned in = 0;
  for (unsigned i = 0; i < ADMISSION_PREFIXES_MAX + 5000; ++i) {
    in += passes({.from = fmt::format("{}.{}.{}.1", 11 + (i >> 16), (i >> 8) & 255, i & 255)});
  }
  EXPECT_EQ(in, 50u);
}

}  // namespace
}  // namespace dormouse::ebpf
