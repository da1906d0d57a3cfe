#include "master/who.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdio>

#include "ebpf/census.h"

namespace dormouse::master {
namespace {

std::vector<uint16_t> distinct(std::vector<uint16_t> ports) {
  std::ranges::sort(ports);
  auto [first, last] = std::ranges::unique(ports);
  ports.erase(first, last);
  return ports;
}

Result<std::string> census_of(const std::vector<uint16_t>& ports, bool each) {
  auto census = ebpf::Census::open(ports);
  if (!census) return std::unexpected(census.error());
  std::string text;
  std::function<void(const census_socket&)> add;
  if (each) add = [&](const census_socket& socket) { text += ebpf::census_line(socket); };
  auto totals = census->take(add);
  if (!totals) return std::unexpected(totals.error());
  return text + ebpf::census_text(*totals);
}

}  // namespace

int who_sockets(const std::string& settings_file, bool each) {
  auto settings = read_settings(settings_file);
  if (!settings) {
    fmt::print(stderr, "{}\n", settings.error().message);
    return EX_CONFIG;
  }
  std::vector<uint16_t> ports;
  for (const ListenAddress& address : settings->imap) ports.push_back(address.port);
  for (const ListenAddress& address : settings->imaps) ports.push_back(address.port);
  auto text = census_of(distinct(std::move(ports)), each);
  if (!text) {
    fmt::print(stderr, "dormouse who: no census of sockets: {}\n", text.error().message);
    return text.error().kind == ErrorKind::kDenied ? EX_NOPERM : EX_UNAVAILABLE;
  }
  bool written = std::fwrite(text->data(), 1, text->size(), stdout) == text->size();
  return written && std::fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

std::string census_view(const std::vector<Listener>& listeners) {
  std::vector<uint16_t> ports;
  for (const Listener& listener : listeners) {
    const uint16_t port = listening_port(listener.sockets.front().get());
    if (port != 0) ports.push_back(port);
  }
  auto text = census_of(distinct(std::move(ports)), false);
  if (!text) return fmt::format("no census: {}\n", text.error().message);
  std::string view;
  for (size_t at = 0; at < text->size();) {
    const size_t end = text->find('\n', at);
    fmt::format_to(std::back_inserter(view), "census {}\n",
                   std::string_view(*text).substr(at, end - at));
    at = end + 1;
  }
  return view;
}

}  // namespace dormouse::master
