#include "hibernate/watch/notice_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace dormouse::hibernate {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Result<Address> unix_address(const std::string& path) {
  Address address;
  auto* to = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.empty() || path.size() >= sizeof to->sun_path) {
    return fail(ErrorKind::kInvalid, fmt::format("{}: a socket's path has 1 to {} bytes", path,
                                                 sizeof to->sun_path - 1));
  }
  to->sun_family = AF_UNIX;
  std::ranges::copy(path, to->sun_path);
  address.length = sizeof *to;
  return address;
}

Result<Address> udp_address(const std::string& host, uint16_t port) {
  Address address;
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof *v6;
  } else if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
  } else {
    return fail(ErrorKind::kInvalid, fmt::format("{} is no numeric address", host));
  }
  return address;
}

Result<io::Fd> datagram_socket(int family) {
  io::Fd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "a datagram socket");
  return fd;
}

Result<io::Fd> connected(Result<Address> address, const std::string& where) {
  if (!address) return std::unexpected(address.error());
  auto fd = datagram_socket(address->storage.ss_family);
  if (!fd) return fd;
  if (::connect(fd->get(), address->get(), address->length) != 0) return fail_errno(errno, where);
  return fd;
}

}  // namespace

Result<io::Fd> make_notice_socket(const std::string& path, bool everybody) {
  auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  auto fd = datagram_socket(AF_UNIX);
  if (!fd) return fd;
  struct stat there{};
  if (lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode)) ::unlink(path.c_str());
  // Nobody gets in between bind and chmod.
  mode_t mask = ::umask(0777);
  bool bound = ::bind(fd->get(), address->get(), address->length) == 0;
  int error = errno;
  ::umask(mask);
  if (!bound) return fail_errno(error, "notices on " + path);
  if (::chmod(path.c_str(), everybody ? 0666 : 0600) != 0) return fail_errno(errno, path);
  return fd;
}

Result<io::Fd> make_udp_notice_socket(const std::string& host, uint16_t port) {
  auto address = udp_address(host, port);
  if (!address) return std::unexpected(address.error());
  auto fd = datagram_socket(address->storage.ss_family);
  if (!fd) return fd;
  int one = 1;
  // [::] and 0.0.0.0 are two addresses and can stand side by side, as for listeners.
  if (address->storage.ss_family == AF_INET6) {
    setsockopt(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  }
  if (::bind(fd->get(), address->get(), address->length) != 0) {
    return fail_errno(errno, fmt::format("notices on {} port {}", host, port));
  }
  return fd;
}

Result<io::Secret> load_notice_key(const std::string& path) {
  io::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0) return fail_errno(errno, path);
  if ((info.st_mode & 07) != 0) {
    return fail(ErrorKind::kInvalid, path + ": a key that everybody may read or write is none");
  }
  std::string key(kNoticeKeyBytesMax + 2, '\0');
  ssize_t got = ::read(file.get(), key.data(), key.size());
  if (got < 0) return fail_errno(errno, path);
  std::string_view text(key.data(), size_t(got));
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  bool fits = text.size() >= kNoticeKeyBytesMin && text.size() <= kNoticeKeyBytesMax;
  io::Secret secret(text);
  io::wipe(key);
  if (!fits) {
    return fail(ErrorKind::kInvalid, fmt::format("{}: a key has {} to {} bytes", path,
                                                 kNoticeKeyBytesMin, kNoticeKeyBytesMax));
  }
  return secret;
}

Result<io::Fd> connect_notices(const std::string& path) {
  return connected(unix_address(path), path);
}

Result<io::Fd> connect_notices(const std::string& host, uint16_t port) {
  return connected(udp_address(host, port), fmt::format("{} port {}", host, port));
}

Result<> send_notice(const io::Fd& to, Notice notice, std::string_view key) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  notice.time_ms = uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000;
  if (notice.sender == 0) {
    if (getrandom(&notice.sender, sizeof notice.sender, 0) != ssize_t(sizeof notice.sender)) {
      return fail_errno(errno, "getrandom");
    }
    notice.number = 1;
  }
  auto datagram = encode_notice(notice);
  if (!datagram) return std::unexpected(datagram.error());
  if (!key.empty()) seal_notice(*datagram, key);
  auto attempt = [&] {
    return ::send(to.get(), datagram->data(), datagram->size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  };
  ssize_t sent = attempt();
  if (sent < 0 && errno == EAGAIN) {
    pollfd room{.fd = to.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, kSendWaitMs) == 1) sent = attempt();
  }
  if (sent != ssize_t(datagram->size())) return fail_errno(errno, "sending a notice");
  return {};
}

}  // namespace dormouse::hibernate
