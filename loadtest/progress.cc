#include "loadtest/progress.h"

#include <fmt/format.h>

#include <cstdio>
#include <numeric>
#include <utility>

#include "loadtest/clock.h"
#include "loadtest/json.h"
#include "loadtest/svg_plot.h"

namespace dormouse::loadtest {

io::Task<void> Progress::run() {
  uint64_t begun_us = now_us();
  for (;;) {
    if (auto slept = co_await loop_.sleep(interval_ms_); !slept) co_return;
    samples_.push_back(take(double(now_us() - begun_us) / 1e6));
    if (!quiet_) show(samples_.back());
    if (samples_.size() >= kSamplesMax) thin();
  }
}

void Progress::thin() {
  size_t kept = 0;
  for (size_t i = 1; i < samples_.size(); i += 2) samples_[kept++] = samples_[i];
  samples_.resize(kept);
  interval_ms_ *= 2;
}

Progress::Sample Progress::take(double seconds) {
  const Counters& counters = fleet_.counters();
  Histogram recent = fleet_.ledger().take_recent();
  Sample sample{.seconds = seconds,
                .connected = counters.connected,
                .asleep = counters.idle,
                .awake = fleet_.awake(),
                .heard = recent.count() * 1000 / interval_ms_,
                .p50_us = recent.percentile_us(50),
                .p99_us = recent.percentile_us(99),
                .owed = fleet_.ledger().outstanding(),
                .lost = counters.lost + counters.failed,
                .wrong = counters.errors() + fleet_.ledger().missing()};
  sample.logins = (counters.logins - std::exchange(logins_, counters.logins)) * 1000 / interval_ms_;
  if (stress_ != nullptr) {
    const auto& commands = stress_->totals().commands;
    uint64_t answers = std::accumulate(commands.begin(), commands.end(), uint64_t{0});
    sample.answers = (answers - std::exchange(answers_, answers)) * 1000 / interval_ms_;
    sample.wrong += stress_->totals().violations;
  }
  return sample;
}

void Progress::show(const Sample& sample) const {
  fmt::print(
      stderr,
      "{:6.0f} s  connected {}  asleep {}  awake {}  logins/s {}  heard/s {}  p50 {:.2f} ms  "
      "p99 {:.2f} ms  owed {}  failed {}  lost {}  wrong {}",
      sample.seconds, sample.connected, sample.asleep, sample.awake, sample.logins, sample.heard,
      double(sample.p50_us) / 1000, double(sample.p99_us) / 1000, sample.owed,
      fleet_.counters().failed, fleet_.counters().lost, sample.wrong);
  if (stress_ != nullptr) fmt::print(stderr, "  stress/s {}", sample.answers);
  if (fleet_.counters().dropped > 0) {
    fmt::print(stderr, "  dropped awake {}", fleet_.counters().dropped);
  }
  fmt::print(stderr, "\n");
}

std::string Progress::json() const {
  std::string all;
  for (const Sample& sample : samples_) {
    JsonObject json;
    json.add("s", sample.seconds)
        .add("connected", sample.connected)
        .add("asleep", sample.asleep)
        .add("awake", sample.awake)
        .add("logins_per_second", sample.logins)
        .add("heard_per_second", sample.heard)
        .add("p50_us", sample.p50_us)
        .add("p99_us", sample.p99_us)
        .add("owed", sample.owed)
        .add("lost", sample.lost)
        .add("wrong", sample.wrong);
    if (stress_ != nullptr) json.add("stress_per_second", sample.answers);
    all += (all.empty() ? "" : ",\n  ") + json.text();
  }
  return "[" + all + "]";
}

std::string Progress::svg() const {
  auto line = [this](const char* name, const char* color, auto value) {
    PlotLine made{.name = name, .color = color, .points = {}};
    for (const Sample& sample : samples_) made.points.emplace_back(sample.seconds, value(sample));
    return made;
  };
  std::vector<PlotPanel> panels = {
      {.title = "sessions",
       .lines = {line("connected", "gray", [](const Sample& s) { return double(s.connected); }),
                 line("asleep", "steelblue", [](const Sample& s) { return double(s.asleep); }),
                 line("lost or failed", "crimson",
                      [](const Sample& s) { return double(s.lost); })}},
      {.title = "delivery to EXISTS, ms",
       .logarithmic = true,
       .lines = {line("p50", "seagreen", [](const Sample& s) { return double(s.p50_us) / 1000; }),
                 line("p99", "darkorange",
                      [](const Sample& s) { return double(s.p99_us) / 1000; })}},
      {.title = "a second",
       .lines = {line("logins", "purple", [](const Sample& s) { return double(s.logins); }),
                 line("heard", "seagreen", [](const Sample& s) { return double(s.heard); })}}};
  if (stress_ != nullptr) {
    panels[2].lines.push_back(
        line("stress commands", "black", [](const Sample& s) { return double(s.answers); }));
  }
  return svg_plot(fmt::format("dormouse-load, {} sessions", fleet_.settings().sessions), panels);
}

}  // namespace dormouse::loadtest
