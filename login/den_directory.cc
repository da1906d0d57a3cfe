#include "login/den_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "io/secret.h"
#include "login/limits.h"
#include "role/log.h"
#include "wire/link.h"

namespace dormouse::login {
namespace {

// A den reads its channel at every turn of its loop; a descriptor under way arrives as fast.
constexpr uint64_t kRetryMs = 5;

}  // namespace

struct DenDirectory::Den {
  uint32_t index = 0;
  uint64_t sessions = 0;  // as it said, and those handed over since
  uint64_t capacity = 0;
  bool accepting = false;  // until it says so, it is not
  bool broken = false;
  io::Channel channel;

  bool takes() const { return accepting && !broken && sessions < capacity; }
};

io::Task<void> DenDirectory::serve(uint32_t index, io::Channel channel) {
  Den den;
  den.index = index;
  den.channel = std::move(channel);
  dens_.push_back(&den);
  while (true) {
    auto received = co_await wire::receive<wire::DenToLogin>(loop_, den.channel);
    if (!received) {
      if (received.error().kind != ErrorKind::kCancelled) {
        role::log_warning("den-link-ended", {{"den", index}, {"reason", received.error().message}});
      }
      break;
    }
    if (!received->message.has_load()) continue;
    const auto& load = received->message.load();
    den.sessions = load.sessions();
    den.capacity = load.capacity();
    den.accepting = load.accepting();
  }
  std::erase(dens_, &den);
}

DenDirectory::Attempt DenDirectory::try_hand_over(const std::string& bytes, int socket,
                                                  uint32_t& index) {
  std::sort(dens_.begin(), dens_.end(), [](const Den* a, const Den* b) {
    return std::pair(a->sessions, a->index) < std::pair(b->sessions, b->index);
  });
  Attempt best = dens_.empty() ? Attempt::kWait : Attempt::kFull;
  for (Den* den : dens_) {
    // One whose link has ended, or that has not said anything yet, is about to be there.
    if (den->broken || den->capacity == 0) best = Attempt::kWait;
    if (!den->takes()) continue;
    Result<> sent = den->channel.try_send(bytes, std::span(&socket, 1));
    if (sent) {
      ++den->sessions;
      index = den->index;
      return Attempt::kDone;
    }
    const Error& error = sent.error();
    if (error.kind == ErrorKind::kUnavailable || error.errno_value == ETOOMANYREFS) {
      best = Attempt::kWait;
    } else {
      den->broken = true;  // serve() learns the same
      best = Attempt::kWait;
    }
  }
  return best;
}

io::Task<Result<uint32_t>> DenDirectory::keep_trying(std::string bytes, int socket) {
  Result<uint32_t> answer = fail(ErrorKind::kUnavailable, "no den takes sessions");
  while (true) {
    uint32_t index = 0;
    const Attempt attempt = try_hand_over(bytes, socket, index);
    if (attempt == Attempt::kDone) answer = index;
    if (attempt != Attempt::kWait) break;
    if (auto slept = co_await loop_.sleep(kRetryMs); !slept) {
      answer = std::unexpected(slept.error());
      break;
    }
  }
  io::wipe(bytes);  // it holds keys
  co_return answer;
}

io::Task<Result<uint32_t>> DenDirectory::hand_over(wire::LoginToDen message, int socket) {
  std::string bytes = wire::serialize(message);
  io::wipe(*message.mutable_handover()->mutable_tls());
  io::wipe(*message.mutable_handover()->mutable_pending_plain());
  auto done = co_await io::with_timeout(patience_ms_, keep_trying(std::move(bytes), socket));
  if (!done && done.error().kind == ErrorKind::kTimeout) {
    co_return fail(ErrorKind::kUnavailable, "no den could take it in time");
  }
  co_return done;
}

std::string DenDirectory::view() const {
  std::string text;
  for (const Den* den : dens_) {
    text += fmt::format("  den[{}]: sessions={} capacity={} accepting={}\n", den->index,
                        den->sessions, den->capacity, den->accepting ? "yes" : "no");
  }
  return text;
}

}  // namespace dormouse::login
