// What a stress run shows: a line of columns each second, the totals, JSON.

#include <fmt/format.h>

#include <cstdio>
#include <iterator>

#include "loadtest/clock.h"
#include "loadtest/json.h"
#include "loadtest/stress/run.h"

namespace dormouse::loadtest::stress {
namespace {

// Lines between two headings: half a screen.
constexpr uint32_t kHeadingEvery = 12;

std::string heading(const StateTable& states) {
  std::string columns;
  std::string chances;
  for (size_t i = 0; i < kStates; ++i) {
    const StateInfo& info = states[State(i)];
    fmt::format_to(std::back_inserter(columns), " {:>5}", info.column);
    fmt::format_to(std::back_inserter(chances), " {:>4}%", info.chance);
  }
  return columns + "   way/conn\n" + chances + '\n';
}

}  // namespace

io::Task<void> StressRun::show() {
  std::array<uint64_t, kStates> before{};
  for (uint32_t line = 0;; ++line) {
    if (auto slept = co_await loop_.sleep(1000); !slept || all_gone()) co_return;
    if (line % kHeadingEvery == 0) fmt::print("{}", heading(settings_.client.states));
    show_line(before);
    before = totals_.commands;
  }
}

// How many of each were answered since the line before; behind it how many clients wait for an
// answer, of how many that are connected, and what those wait for that wait long.
void StressRun::show_line(const std::array<uint64_t, kStates>& before) {
  constexpr uint64_t kLongUs = 3'000'000;
  std::string line;
  for (size_t i = 0; i < kStates; ++i) {
    fmt::format_to(std::back_inserter(line), " {:>5}", totals_.commands[i] - before[i]);
  }
  uint32_t waiting = 0;
  uint32_t connected = 0;
  std::array<uint32_t, kStates> late{};
  uint64_t now = now_us();
  for (const Member& member : members_) {
    connected += member.connected ? 1 : 0;
    uint64_t since = member.client->waiting_since_us();
    if (!member.connected || since == 0) continue;
    ++waiting;
    auto state = member.client->under_way().front().state;
    if (state && now - since > kLongUs) ++late[size_t(*state)];
  }
  fmt::format_to(std::back_inserter(line), "  {:>4}/{:>4}", waiting, connected);
  for (size_t i = 0; i < kStates; ++i) {
    if (late[i] == 0) continue;
    fmt::format_to(std::back_inserter(line), "  {} waits {} x over 3 s",
                   settings_.client.states[State(i)].column, late[i]);
  }
  if (totals_.violations > 0) {
    fmt::format_to(std::back_inserter(line), "  violations {}", totals_.violations);
  }
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

std::string StressRun::report() const {
  std::string text = "\nTotals:\n" + heading(settings_.client.states);
  std::string p50 = "";
  std::string p99 = "";
  for (size_t i = 0; i < kStates; ++i) {
    const Histogram& latency = totals_.latency[i];
    fmt::format_to(std::back_inserter(text), " {:>5}", totals_.commands[i]);
    fmt::format_to(std::back_inserter(p50), " {:>5.1f}", double(latency.percentile_us(50)) / 1000);
    fmt::format_to(std::back_inserter(p99), " {:>5.1f}", double(latency.percentile_us(99)) / 1000);
  }
  fmt::format_to(std::back_inserter(text), "   answered\n{}   ms, p50\n{}   ms, p99\n", p50, p99);
  fmt::format_to(std::back_inserter(text),
                 "{:.1f} s, {} connections, {} disconnects, {} violations; --seed {}\n",
                 double(ended_us_ - begun_us_) / 1e6, totals_.connections, totals_.disconnects,
                 totals_.violations, settings_.client.seed);
  return text;
}

std::string StressRun::json() const {
  JsonObject states;
  for (size_t i = 0; i < kStates; ++i) {
    JsonObject state;
    state.add("answered", totals_.commands[i]).add_json("latency", totals_.latency[i].json());
    states.add_json(settings_.client.states[State(i)].name, state.text());
  }
  JsonObject json;
  json.add("seed", settings_.client.seed)
      .add("seconds", double(ended_us_ - begun_us_) / 1e6)
      .add("clients", uint64_t{settings_.clients})
      .add("connections", totals_.connections)
      .add("disconnects", totals_.disconnects)
      .add("violations", totals_.violations)
      .add("clean", totals_.clean())
      .add_json("states", states.text());
  return json.text();
}

}  // namespace dormouse::loadtest::stress
