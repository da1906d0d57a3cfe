#include "hibernate/watch/notice_port.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>

#include "role/log.h"

namespace dormouse::hibernate {
namespace {

constexpr std::array<std::string_view, NoticePort::kOutcomes> kNames = {
    "taken", "malformed", "denied", "stale", "repeated", "crowded"};

uint64_t unix_ms() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000;
}

}  // namespace

NoticePort::Outcome NoticePort::take(std::string_view datagram, bool sealed, uint64_t now_ms,
                                     NoticeSink& sink) {
  auto judge = [&]() -> Outcome {
    if (sealed) {
      auto opened = open_notice(datagram, key_.view());
      if (!opened) return kDenied;
      datagram = *opened;
    }
    auto notice = decode_notice(datagram);
    if (!notice) return kMalformed;
    if (sealed) {
      switch (guard_.judge(*notice, now_ms)) {
        case NoticeGuard::Verdict::kFresh:
          break;
        case NoticeGuard::Verdict::kStale:
          return kStale;
        case NoticeGuard::Verdict::kRepeated:
          return kRepeated;
        case NoticeGuard::Verdict::kCrowded:
          return kCrowded;
      }
      notice->local = false;  // it speaks of its own machine's file system
    }
    sink.noticed(*notice);
    return kTaken;
  };
  Outcome outcome = judge();
  ++counts_[outcome];
  if (outcome != kTaken) complain(outcome);
  return outcome;
}

void NoticePort::complain(Outcome outcome) {
  uint64_t now_ms = loop_.now_ms();
  bool early = complained_[outcome] > 0 && now_ms - complained_ms_[outcome] < kComplainMs;
  if (early) return;
  role::log_warning("notices_refused", {{"reason", kNames[outcome]},
                                        {"since_last", counts_[outcome] - complained_[outcome]},
                                        {"ever", counts_[outcome]}});
  complained_[outcome] = counts_[outcome];
  complained_ms_[outcome] = now_ms;
}

bool NoticePort::take_some(const NoticeSocket& socket, NoticeSink& sink) {
  // One more byte than a notice has, so that a longer datagram is not taken for its beginning.
  std::array<char, kNoticeBytesMax + 1> buffer;
  uint64_t now_ms = unix_ms();
  bool more = true;
  for (int i = 0; i < kTurnDatagrams && more; ++i) {
    ssize_t got = ::recv(socket.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    more = got >= 0 || errno == EINTR;
    if (got >= 0) take(std::string_view(buffer.data(), size_t(got)), socket.sealed, now_ms, sink);
  }
  sink.notices_end();
  return more;
}

io::Task<void> NoticePort::run(const NoticeSocket* socket, NoticeSink* sink) {
  while (true) {
    if (take_some(*socket, *sink)) {
      if (!co_await loop_.yield()) co_return;
    } else if (!co_await loop_.poll(socket->fd.get(), POLLIN)) {
      co_return;
    }
  }
}

std::string NoticePort::view() const {
  std::string out = "notices";
  for (size_t i = 0; i < kOutcomes; ++i) out += fmt::format(" {}={}", kNames[i], counts_[i]);
  return out + fmt::format(" senders={}\n", guard_.senders()) + guard_.view();
}

}  // namespace dormouse::hibernate
