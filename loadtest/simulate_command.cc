#include "loadtest/simulate_command.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "loadtest/json.h"
#include "loadtest/svg_plot.h"
#include "tuning/frontier.h"
#include "tuning/synthetic_trace.h"

namespace dormouse::loadtest {
namespace {

using tuning::Frontier;
using tuning::FrontierPoint;
using tuning::SimulatedPolicy;
using tuning::SimulationPrices;
using tuning::SimulationResult;

struct NamedTrace {
  std::string name;
  tuning::Trace trace;
};

// What the server did before it had a policy: den.park_after, den.park_quiet as they were.
constexpr uint64_t kFormerIdleMs = 2'000;
constexpr uint64_t kFormerOtherMs = 30'000;

Result<NamedTrace> read_trace(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::kNotFound, path + ": cannot be read");
  std::string text;
  // One more than the bound, which the parser then refuses.
  text.resize(tuning::kTraceBytesMax + 1);
  file.read(text.data(), std::streamsize(text.size()));
  text.resize(size_t(file.gcount()));
  auto trace = tuning::parse_trace(text);
  if (!trace) return fail(trace.error().kind, path + ": " + trace.error().message);
  return NamedTrace{path, std::move(*trace)};
}

Result<std::vector<NamedTrace>> traces_of(const SimulateOptions& options) {
  std::vector<NamedTrace> traces;
  for (const std::string& path : options.traces) {
    auto one = read_trace(path);
    if (!one) return std::unexpected(one.error());
    traces.push_back(std::move(*one));
  }
  if (!traces.empty()) return traces;
  for (tuning::Population population : tuning::kPopulations) {
    traces.push_back(
        {std::string(tuning::name_of(population)), tuning::make_trace({.population = population,
                                                                       .users = options.users,
                                                                       .hours = options.hours,
                                                                       .seed = options.seed})});
  }
  return traces;
}

void print_policies(const NamedTrace& one, const SimulationPrices& prices) {
  SimulationResult best = tuning::hindsight(one.trace, prices);
  fmt::print("{}: {} sessions, {} events, {} commands, {:.1f} h\n", one.name, one.trace.sessions,
             one.trace.entries.size(), best.commands, double(one.trace.end_ms) / 3.6e6);
  fmt::print("  {:<28}{:>14}{:>9}{:>13}{:>13}{:>9}\n", "policy", "worker-s", "wakes", "ms/command",
             "cost s", "regret");
  auto row = [&](std::string_view name, const SimulationResult& found) {
    fmt::print("  {:<28}{:>14.0f}{:>9}{:>13.4f}{:>13.0f}{:>8.0f}%\n", name, found.awake_s,
               found.wakes, found.latency_per_command_ms(), found.cost_s,
               best.cost_s == 0 ? 0 : 100 * (found.cost_s / best.cost_s - 1));
  };
  for (tuning::Pressure pressure : tuning::kPressures) {
    SimulatedPolicy policy;
    policy.pressure = pressure;
    row(fmt::format("adaptive, {}", name_of(pressure)), simulate(one.trace, policy, prices));
  }
  SimulatedPolicy unlearned;
  unlearned.learns_kinds = false;
  row("adaptive, no kinds learnt", simulate(one.trace, unlearned, prices));
  SimulatedPolicy former;
  former.fixed_ms = kFormerIdleMs;
  former.fixed_other_ms = kFormerOtherMs;
  row("2 s in IDLE, 30 s else", simulate(one.trace, former, prices));
  row("hindsight", best);
  fmt::print("\n");
}

struct Comparison {
  std::string json;  // an array
  uint32_t fixed = 0;
  uint32_t beaten = 0;
};

Comparison print_frontier(const Frontier& frontier) {
  Comparison made;
  fmt::print("  {:>9}{:>14}{:>13} |{:>13}{:>14}{:>13}{:>9}\n", "fixed", "worker-s", "ms/command",
             "wake worth", "worker-s", "ms/command", "of it");
  for (const FrontierPoint& point : frontier.fixed) {
    const FrontierPoint* adaptive = no_slower(frontier.adaptive, point.result);
    fmt::print("  {:>7} s{:>14.0f}{:>13.4f} |", double(point.setting_ms) / 1000,
               point.result.awake_s, point.result.latency_per_command_ms());
    ++made.fixed;
    JsonObject json;
    json.add("fixed_ms", point.setting_ms)
        .add("worker_s", point.result.awake_s)
        .add("added_latency_ms", point.result.added_latency_ms)
        .add("wakes", point.result.wakes);
    if (adaptive == nullptr) {
      fmt::print("  nothing adaptive adds so little\n");
    } else {
      bool beaten = adaptive->result.awake_s < point.result.awake_s;
      made.beaten += beaten ? 1 : 0;
      fmt::print("{:>11.1f} s{:>14.0f}{:>13.4f}{:>8.0f}%{}\n", double(adaptive->setting_ms) / 1000,
                 adaptive->result.awake_s, adaptive->result.latency_per_command_ms(),
                 100 * adaptive->result.awake_s / point.result.awake_s,
                 beaten ? "" : "  NOT BEATEN");
      json.add("adaptive_worth_ms", adaptive->setting_ms)
          .add("adaptive_worker_s", adaptive->result.awake_s)
          .add("adaptive_wakes", adaptive->result.wakes);
    }
    made.json += (made.json.empty() ? "" : ",") + json.text();
  }
  fmt::print("  {} of {} fixed times beaten\n\n", made.beaten, made.fixed);
  return made;
}

PlotLine line_of(const std::string& name, const char* color,
                 const std::vector<FrontierPoint>& points, bool dots) {
  PlotLine line{.name = name, .color = color, .points = {}, .dots = dots};
  for (const FrontierPoint& point : points) {
    line.points.emplace_back(point.result.latency_per_command_ms(), point.result.awake_s);
  }
  std::ranges::sort(line.points);
  return line;
}

PlotPanel panel_of(const NamedTrace& one, const Frontier& frontier,
                   const SimulationPrices& prices) {
  SimulationResult now = simulate(one.trace, {}, prices);
  return {.title = fmt::format("{}: worker-seconds over latency added to a command", one.name),
          .logarithmic = true,
          .lines = {line_of("hindsight", "gray", frontier.best, false),
                    line_of("adaptive", "steelblue", frontier.adaptive, false),
                    line_of("fixed: 0.1 s to 30 min", "firebrick", frontier.fixed, true),
                    {.name = "default",
                     .color = "black",
                     .points = {{now.latency_per_command_ms(), now.awake_s}},
                     .dots = true}}};
}

bool write(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) fmt::print(stderr, "{}: cannot be written\n", path);
  return bool(file);
}

}  // namespace

int simulate_command(const SimulateOptions& options) {
  constexpr int kNotBeaten = 1;
  constexpr int kError = 2;
  auto traces = traces_of(options);
  if (!traces) {
    fmt::print(stderr, "{}\n", traces.error().message);
    return kError;
  }
  if (!options.write_path.empty() &&
      !write(options.write_path, tuning::format_trace(traces->back().trace))) {
    return kError;
  }
  SimulationPrices prices;
  std::vector<PlotPanel> panels;
  std::string json;
  Comparison last;
  for (const NamedTrace& one : *traces) {
    print_policies(one, prices);
    Frontier frontier = compare(one.trace, prices);
    last = print_frontier(frontier);
    panels.push_back(panel_of(one, frontier, prices));
    JsonObject object;
    object.add("trace", one.name).add_json("fixed", "[" + last.json + "]");
    json += (json.empty() ? "" : ",") + object.text();
  }
  std::string plot = svg_plot("Park policies", panels, {.unit = "ms", .logarithmic = true});
  if (!write(options.json_path, "[" + json + "]\n") || !write(options.plot_path, plot)) {
    return kError;
  }
  return last.beaten == last.fixed ? 0 : kNotBeaten;
}

}  // namespace dormouse::loadtest
