#include "master/notify.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>

#include "hibernate/watch/notice_sockets.h"
#include "master/settings_schema.h"

namespace dormouse::master {
namespace {

int refuse(int status, std::string_view reason) {
  fmt::print(stderr, "dormouse notify: {}\n", reason);
  return status;
}

}  // namespace

io::Fd open_notices(const Settings& settings) {
  std::string path = notice_socket_of(settings);
  if (path.empty()) return {};
  auto to = hibernate::connect_notices(path);
  return to ? std::move(*to) : io::Fd();
}

int notify(const std::string& settings_file, const NotifyRequest& request) {
  auto settings = read_settings(settings_file);
  if (!settings) return refuse(EX_CONFIG, settings.error().message);
  hibernate::Notice notice;
  notice.kind =
      request.arrival ? hibernate::Notice::Kind::kArrival : hibernate::Notice::Kind::kChange;
  notice.user = request.user;
  notice.mailbox = request.mailbox;
  if (auto fits = hibernate::encode_notice(notice); !fits) {
    return refuse(EX_USAGE, fits.error().message);
  }
  Result<io::Fd> to = fail(ErrorKind::kUnavailable, "watch.notice_access is \"nobody\"");
  io::Secret key;
  if (!request.to.empty()) {
    auto address = parse_listen_address(request.to);
    if (!address) return refuse(EX_USAGE, address.error().message);
    auto loaded = hibernate::load_notice_key(settings->notice_key_file);
    if (!loaded) return refuse(EX_CONFIG, "watch.notice_key: " + loaded.error().message);
    key = std::move(*loaded);
    to = hibernate::connect_notices(address->host, address->port);
  } else if (std::string path = notice_socket_of(*settings); !path.empty()) {
    to = hibernate::connect_notices(path);
  }
  if (!to) return refuse(EX_UNAVAILABLE, to.error().message);
  auto sent = hibernate::send_notice(*to, std::move(notice), key.view());
  return sent ? EX_OK : refuse(EX_UNAVAILABLE, sent.error().message);
}

}  // namespace dormouse::master
