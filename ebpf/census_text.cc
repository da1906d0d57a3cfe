#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <iterator>

#include "ebpf/census.h"

namespace dormouse::ebpf {
namespace {

constexpr std::array<const char*, CENSUS_STATES> kStates = {
    "none",  "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2",  "time-wait",
    "close", "close-wait",  "last-ack", "listen",   "closing",    "new-syn-recv"};
constexpr std::array<const char*, CENSUS_RTTS> kRtts = {
    "<1ms", "<5ms", "<20ms", "<50ms", "<100ms", "<200ms", "<500ms", "<1s", ">=1s"};
constexpr std::array<const char*, CENSUS_AGES> kAges = {"<10s",   "<1min", "<5min",
                                                        "<15min", "<1h",   ">=1h"};

template <size_t N>
void add_row(std::string& text, const char* name, const uint64_t (&values)[N],
             const std::array<const char*, N>& names, bool with_zeroes) {
  text += name;
  for (size_t i = 0; i < N; ++i) {
    if (values[i] == 0 && !with_zeroes) continue;
    fmt::format_to(std::back_inserter(text), " {}={}", names[i], values[i]);
  }
  text += '\n';
}

}  // namespace

const char* tcp_state_name(unsigned state) {
  return state < kStates.size() ? kStates[state] : "unknown";
}

std::string census_text(const census_totals& totals) {
  std::string text;
  add_row(text, "sockets", totals.states, kStates, false);
  fmt::format_to(std::back_inserter(text),
                 "buffers received_bytes={} queued_bytes={} reserved_bytes={}\n",
                 totals.received_bytes, totals.queued_bytes, totals.reserved_bytes);
  fmt::format_to(std::back_inserter(text), "retransmissions {}\n", totals.retransmissions);
  add_row(text, "rtt", totals.rtts, kRtts, true);
  add_row(text, "silent", totals.silent, kAges, true);
  add_row(text, "unanswered", totals.unanswered, kAges, true);
  return text;
}

std::string census_line(const census_socket& socket) {
  char peer[INET6_ADDRSTRLEN] = "?";
  inet_ntop(socket.family == 6 ? AF_INET6 : AF_INET, socket.peer, peer, sizeof peer);
  const bool v6 = socket.family == 6;
  return fmt::format(
      "{}{}{}:{} port={} {} silent_ms={} rtt_us={} unacknowledged={} retransmits={} probes={} "
      "retransmissions={} received_bytes={} queued_bytes={}\n",
      v6 ? "[" : "", peer, v6 ? "]" : "", socket.peer_port, socket.local_port,
      tcp_state_name(socket.state), socket.silent_ms, socket.rtt_us, socket.unacknowledged,
      socket.retransmits, socket.probes, socket.retransmissions, socket.received_bytes,
      socket.queued_bytes);
}

}  // namespace dormouse::ebpf
