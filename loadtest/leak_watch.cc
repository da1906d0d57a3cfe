#include "loadtest/leak_watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include "loadtest/json.h"

namespace dormouse::loadtest {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<int> read_ids(const std::string& text) {
  std::vector<int> ids;
  std::istringstream words(text);
  for (int id = 0; words >> id;) {
    if (id > 0) ids.push_back(id);
  }
  return ids;
}

std::optional<int> as_id(const std::string& text) {
  int id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  bool whole = error == std::errc() && end == text.data() + text.size() && id > 0;
  return whole ? std::optional(id) : std::nullopt;
}

std::optional<uint64_t> memory_bytes(int id) {
  std::istringstream lines(read_file(fmt::format("/proc/{}/smaps_rollup", id)));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("Pss:")) continue;
    return std::stoull(line.substr(4)) * 1024;
  }
  std::istringstream pages(read_file(fmt::format("/proc/{}/statm", id)));
  uint64_t size = 0;
  uint64_t resident = 0;
  if (!(pages >> size >> resident)) return std::nullopt;
  return resident * uint64_t(sysconf(_SC_PAGESIZE));
}

std::string name_of(int id) {
  constexpr size_t kNameBytesMax = 80;
  std::string name = read_file(fmt::format("/proc/{}/cmdline", id)).substr(0, kNameBytesMax);
  for (char& c : name) c = c < ' ' || c > '~' ? ' ' : c;
  return name;
}

void add_with_descendants(int id, std::set<int>& all) {
  if (!all.insert(id).second) return;
  for (int child : read_ids(read_file(fmt::format("/proc/{0}/task/{0}/children", id)))) {
    add_with_descendants(child, all);
  }
}

std::string trend_json(std::string_view name, int id, const MemorySeries& series) {
  MemorySeries::Trend trend = series.trend();
  JsonObject json;
  json.add("name", name);
  if (id > 0) json.add("pid", uint64_t(id));
  json.add("bytes", series.last_bytes()).add("judged_samples", uint64_t{trend.samples});
  json.add("bytes_per_minute", trend.bytes_per_second * 60);
  json.add("growth_bytes", trend.growth_bytes());
  return json.text();
}

}  // namespace

void MemorySeries::add(double seconds, uint64_t bytes) {
  samples_.push_back({seconds, bytes});
  if (samples_.size() < kSamplesMax) return;
  size_t kept = 0;
  for (size_t i = 0; i < samples_.size(); i += 2) samples_[kept++] = samples_[i];
  samples_.resize(kept);
}

MemorySeries::Trend MemorySeries::trend() const {
  size_t first = samples_.size() / 3;
  size_t count = samples_.size() - first;
  if (count < kJudgedMin) return {};
  double mean_seconds = 0;
  double mean_bytes = 0;
  for (size_t i = first; i < samples_.size(); ++i) {
    mean_seconds += samples_[i].seconds / double(count);
    mean_bytes += double(samples_[i].bytes) / double(count);
  }
  double covariance = 0;
  double variance = 0;
  for (size_t i = first; i < samples_.size(); ++i) {
    double away = samples_[i].seconds - mean_seconds;
    covariance += away * (double(samples_[i].bytes) - mean_bytes);
    variance += away * away;
  }
  return {.samples = count,
          .seconds = samples_.back().seconds - samples_[first].seconds,
          .bytes_per_second = variance > 0 ? covariance / variance : 0};
}

Result<> LeakWatch::sample(double seconds) {
  std::set<int> ids;
  for (const std::string& entry : processes_) {
    auto id = as_id(entry);
    for (int found : id ? std::vector<int>{*id} : read_ids(read_file(entry))) {
      add_with_descendants(found, ids);
    }
  }
  uint64_t total = 0;
  size_t read = 0;
  for (int id : ids) {
    auto bytes = memory_bytes(id);
    if (!bytes) continue;
    ++read;
    total += *bytes;
    if (!watched_.contains(id) && watched_.size() >= kProcessesMax) continue;
    Process& process = watched_[id];
    if (process.name.empty()) process.name = name_of(id);
    process.series.add(seconds, *bytes);
  }
  if (read == 0) return fail(ErrorKind::kNotFound, "no process of the server can be read");
  total_.add(seconds, total);
  return {};
}

bool LeakWatch::leaks(uint64_t growth_bytes_max) const {
  auto grows = [growth_bytes_max](const MemorySeries& series) {
    return series.trend().growth_bytes() > double(growth_bytes_max);
  };
  return grows(total_) || std::ranges::any_of(watched_, [&grows](const auto& entry) {
           return grows(entry.second.series);
         });
}

std::string LeakWatch::json(uint64_t growth_bytes_max) const {
  std::string leaks;
  std::string all;
  auto add = [](std::string& list, const std::string& json) {
    list += (list.empty() ? "" : ",") + json;
  };
  for (const auto& [id, process] : watched_) {
    if (process.series.trend().samples == 0) continue;
    std::string json = trend_json(process.name, id, process.series);
    add(all, json);
    if (process.series.trend().growth_bytes() > double(growth_bytes_max)) add(leaks, json);
  }
  std::string total = trend_json("all", 0, total_);
  if (total_.trend().growth_bytes() > double(growth_bytes_max)) add(leaks, total);
  JsonObject json;
  json.add("growth_bytes_max", growth_bytes_max)
      .add_json("leaks", "[" + leaks + "]")
      .add_json("processes", "[" + all + "]")
      .add_json("total", total);
  return json.text();
}

}  // namespace dormouse::loadtest
