#include "master/admin.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "role/log.h"
#include "wire/admin.pb.h"
#include "wire/link.h"

namespace dormouse::master {
namespace {

Result<io::Fd> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kLimit, path + ": too long for a socket's name");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  io::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket");
  // The lock of base_dir is ours: what stands there was left by a master that died.
  ::unlink(path.c_str());
  mode_t mask = ::umask(0177);
  int bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int error = errno;
  ::umask(mask);
  if (bound != 0) return fail_errno(error, path);
  if (::listen(fd.get(), kAdminsMax) != 0) return fail_errno(errno, path);
  return fd;
}

// The socket's mode says so too; a file system may not.
bool may_ask(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

Result<> say(io::Channel& channel, const wire::AdminReply& reply) {
  return wire::try_send(channel, reply);
}

}  // namespace

std::string admin_socket_path(const std::string& base_dir) { return base_dir + "/admin.sock"; }

io::Task<void> Admin::serve(std::string base_dir) {
  std::string path = admin_socket_path(base_dir);
  auto listener = listen_at(path);
  if (!listener) {
    role::log_warning("no-admin-socket", {{"reason", listener.error().message}});
    co_return;
  }
  while (true) {
    auto ready = co_await loop_.poll(listener->get(), POLLIN);
    if (!ready) break;
    io::Fd fd(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd || !may_ask(fd.get()) || talking_ >= kAdminsMax) continue;
    ++talking_;
    loop_.root().spawn(talk(io::Channel(std::move(fd))));
  }
  ::unlink(path.c_str());
}

io::Task<void> Admin::talk(io::Channel channel) {
  auto request =
      co_await io::with_timeout(kAdminMsMax, wire::receive<wire::AdminRequest>(loop_, channel));
  if (request && request->message.has_trace()) {
    co_await record(channel);
  } else if (request) {
    wire::AdminReply reply;
    reply.mutable_refused()->set_reason("this server does not know what you ask");
    [[maybe_unused]] auto said = say(channel, reply);
  }
  --talking_;
}

io::Task<void> Admin::record(io::Channel& channel) {
  wire::AdminReply reply;
  if (recording_) {
    reply.mutable_refused()->set_reason("somebody records already");
    [[maybe_unused]] auto said = say(channel, reply);
    co_return;
  }
  reply.mutable_begun();
  if (!say(channel, reply)) co_return;
  recording_ = true;
  role::log_info("trace-begun");
  supervisor_.record(io::Fd(::fcntl(channel.fd(), F_DUPFD_CLOEXEC, 0)));
  // The command says no more: what comes is its end.
  [[maybe_unused]] auto ended = co_await channel.receive(loop_);
  supervisor_.record({});
  recording_ = false;
  role::log_info("trace-ended");
}

}  // namespace dormouse::master
