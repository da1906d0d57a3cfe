#include "master/trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/channel.h"
#include "master/admin.h"
#include "master/settings.h"
#include "tuning/trace_recorder.h"
#include "wire/admin.pb.h"
#include "wire/link.h"

namespace dormouse::master {
namespace {

// The master answers at once, unless it is stopping.
constexpr uint64_t kBegunMsMax = 5'000;
// For what workers still hold at the end: they send every quarter of a second.
constexpr uint64_t kLastEventsMsMax = 5'000;

// The clock of the workers' loops.
uint64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000;
}

int complain(int status, std::string_view reason) {
  fmt::print(stderr, "{}\n", reason);
  return status;
}

Result<io::Channel> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(ErrorKind::kLimit, path + ": too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  io::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, path + ": no server");
  }
  return io::Channel(std::move(fd));
}

Result<io::Fd> catch_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGTERM, SIGINT}) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  io::Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "signalfd");
  return fd;
}

// Parallel fields of equal length, known events: a worker of another release may say what we do not
// know.
bool sound(const wire::AdminReply::TraceEvents& events) {
  int count = events.at_ms_size();
  return events.sessions_size() == count && events.events_size() == count &&
         events.clients_size() == count && std::ranges::all_of(events.events(), [](uint32_t event) {
           return event <= uint32_t(tuning::TraceEvent::kClose);
         });
}

void take(const wire::AdminReply::TraceEvents& events, tuning::TraceRecorder& recorder) {
  recorder.add_lost(events.lost());
  if (!sound(events)) return recorder.add_lost(uint64_t(events.at_ms_size()));
  for (int i = 0; i < events.at_ms_size(); ++i) {
    recorder.add({.at_ms = events.at_ms(i),
                  .session = events.sessions(i),
                  .client = events.clients(i),
                  .event = tuning::TraceEvent(events.events(i))});
  }
}

// The next reply, or kTimeout, or kCancelled by a signal (`signals`: -1: none).
Result<wire::AdminReply> next_reply(io::Channel& channel, int signals, uint64_t until_ms) {
  while (true) {
    auto received = wire::try_receive<wire::AdminReply>(channel);
    if (received) return std::move(received->message);
    if (received.error().kind != ErrorKind::kUnavailable) return std::unexpected(received.error());
    uint64_t now = now_ms();
    if (now >= until_ms) return fail(ErrorKind::kTimeout, "the time is over");
    pollfd wait[] = {{.fd = channel.fd(), .events = POLLIN, .revents = 0},
                     {.fd = signals, .events = POLLIN, .revents = 0}};
    ::poll(wait, 2, int(std::min<uint64_t>(until_ms - now, 60'000)));
    if (wait[1].revents != 0) return fail(ErrorKind::kCancelled, "interrupted");
  }
}

Result<> ask(io::Channel& channel, int signals) {
  wire::AdminRequest request;
  request.mutable_trace();
  if (auto sent = wire::try_send(channel, request); !sent) return sent;
  auto reply = next_reply(channel, signals, now_ms() + kBegunMsMax);
  if (!reply) return std::unexpected(reply.error());
  if (reply->has_refused()) return fail(ErrorKind::kDenied, reply->refused().reason());
  if (!reply->has_begun()) return fail(ErrorKind::kInvalid, "the server does not understand");
  return {};
}

Result<> write_file(const std::string& path, std::string_view text) {
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, path);
  while (!text.empty()) {
    ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, path);
    text.remove_prefix(size_t(written));
  }
  return {};
}

// Answers why there is no more: the time, a signal, the server's end.
Error take_all(io::Channel& channel, int signals, uint64_t until_ms,
               tuning::TraceRecorder& recorder) {
  while (true) {
    auto reply = next_reply(channel, signals, until_ms);
    if (!reply) return reply.error();
    if (reply->has_trace_events()) take(reply->trace_events(), recorder);
  }
}

}  // namespace

int trace(const TraceOptions& options) {
  auto settings = read_settings(options.settings_file);
  if (!settings) return complain(EX_CONFIG, settings.error().message);
  // Before an hour is recorded for nothing.
  if (auto writable = write_file(options.file, ""); !writable) {
    return complain(EX_CANTCREAT, writable.error().message);
  }
  auto signals = catch_signals();
  if (!signals) return complain(EX_OSERR, signals.error().message);
  auto channel = connect_to(admin_socket_path(settings->base_dir));
  if (!channel) return complain(EX_UNAVAILABLE, channel.error().message);
  uint64_t begin_ms = now_ms();
  if (auto begun = ask(*channel, signals->get()); !begun) {
    return complain(EX_UNAVAILABLE, begun.error().message);
  }
  tuning::TraceRecorder recorder;
  uint64_t until_ms = begin_ms + options.seconds * 1000;
  Error ended = take_all(*channel, signals->get(), until_ms, recorder);
  if (ended.kind == ErrorKind::kClosed) fmt::print(stderr, "the server has ended\n");
  // Told so, each worker sends what it has, and closes.
  ::shutdown(channel->fd(), SHUT_WR);
  take_all(*channel, -1, now_ms() + kLastEventsMsMax, recorder);
  channel->close();
  tuning::Trace trace = recorder.finish(begin_ms, std::min(now_ms(), until_ms));
  if (auto written = write_file(options.file, tuning::format_trace(trace)); !written) {
    return complain(EX_IOERR, written.error().message);
  }
  fmt::print("{}: {} events of {} sessions in {} s, {} lost\n", options.file, trace.entries.size(),
             trace.sessions, trace.end_ms / 1000, trace.lost);
  return EX_OK;
}

}  // namespace dormouse::master
