#include "wire/validate.h"

#include <fmt/format.h>

namespace dormouse::wire {
namespace {

// Collects the first thing that is wrong.
class Check {
 public:
  explicit Check(const char* what) : what_(what) {}
  Check& that(bool holds, const char* rule) {
    if (!holds && broken_ == nullptr) broken_ = rule;
    return *this;
  }
  Check& fds(size_t got, size_t expected) {
    return that(got == expected, "comes with its descriptor and no other");
  }
  Check& user(const std::string& name) {
    return that(is_name(name, kMaxUserBytes), "names a user");
  }
  Check& address(const std::string& text) {
    return that(text.empty() || is_name(text, kMaxAddressBytes), "has an address of at most 64");
  }
  Check& text(const std::string& words) {
    return that(words.empty() || is_name(words, kMaxTextBytes), "has a text of one line");
  }
  Check& path(const std::string& name) {
    return that(name.empty() || (is_name(name, kMaxPathBytes) && name[0] == '/'),
                "has an absolute path");
  }
  Check& identity(const Identity& who) {
    return user(who.user())
        .path(who.home())
        .path(who.mail_path())
        .that(!who.home().empty() || !who.mail_path().empty(), "says where the mail is");
  }
  Result<> result() const {
    if (broken_ == nullptr) return {};
    return fail(ErrorKind::kInvalid, fmt::format("{}: expected one that {}", what_, broken_));
  }

 private:
  const char* what_;
  const char* broken_ = nullptr;
};

Result<> empty_message(const char* what) { return Check(what).that(false, "has a kind").result(); }

}  // namespace

bool is_name(std::string_view text, size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max) return false;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

Result<> validate(const DenToTracker& message, size_t fd_count) {
  switch (message.kind_case()) {
    case DenToTracker::kOpen: {
      const auto& open = message.open();
      return Check("Open")
          .fds(fd_count, 1)
          .address(open.remote_address())
          .that(open.grant().size() == kGrantBytes, "has a grant of 16 bytes")
          .result();
    }
    case DenToTracker::kAttach: {
      const auto& attach = message.attach();
      return Check("Attach")
          .fds(fd_count, 1)
          .user(attach.user())
          .address(attach.remote_address())
          .that(attach.cookie().size() == kCookieBytes, "has a cookie of 16 bytes")
          .that(DenToTracker::Purpose_IsValid(attach.purpose()), "has a known purpose")
          .result();
    }
    case DenToTracker::kClosed:
      return Check("Closed")
          .fds(fd_count, 0)
          .user(message.closed().user())
          .address(message.closed().remote_address())
          .result();
    case DenToTracker::kCensus: {
      Check check("Census");
      check.fds(fd_count, 0);
      check.that(message.census().entries_size() <= kMaxCensusEntries, "has at most 500 entries");
      for (const auto& entry : message.census().entries()) {
        check.user(entry.user()).address(entry.remote_address());
      }
      return check.result();
    }
    case DenToTracker::KIND_NOT_SET:
      break;
  }
  return empty_message("DenToTracker");
}

Result<> validate(const AuthToTracker& message, size_t fd_count) {
  switch (message.kind_case()) {
    case AuthToTracker::kGrant:
      return Check("Grant")
          .fds(fd_count, 0)
          .identity(message.grant().identity())
          .that(message.grant().grant().size() == kGrantBytes, "has 16 bytes")
          .result();
    case AuthToTracker::kLookedUp: {
      Check check("LookedUp");
      check.fds(fd_count, 0);
      if (message.looked_up().found()) check.identity(message.looked_up().identity());
      return check.result();
    }
    case AuthToTracker::kRevoke:
      return Check("Revoke")
          .fds(fd_count, 0)
          .user(message.revoke().user())
          .text(message.revoke().text())
          .result();
    case AuthToTracker::KIND_NOT_SET:
      break;
  }
  return empty_message("AuthToTracker");
}

Result<> validate(const WorkerToTracker& message, size_t fd_count) {
  switch (message.kind_case()) {
    case WorkerToTracker::kEnded:
      return Check("Ended").fds(fd_count, 0).result();
    case WorkerToTracker::kLoad:
      return Check("Load").fds(fd_count, 0).result();
    case WorkerToTracker::kProbed:
      return Check("Probed").fds(fd_count, 0).result();
    case WorkerToTracker::KIND_NOT_SET:
      break;
  }
  return empty_message("WorkerToTracker");
}

Result<> validate(const TrackerToDen& message, size_t fd_count) {
  switch (message.kind_case()) {
    case TrackerToDen::kOpened:
      return Check("Opened")
          .fds(fd_count, 0)
          .user(message.opened().user())
          .that(message.opened().cookie().size() == kCookieBytes, "has a cookie of 16 bytes")
          .result();
    case TrackerToDen::kRefused:
      return Check("Refused")
          .fds(fd_count, 0)
          .text(message.refused().text())
          .text(message.refused().response_code())
          .result();
    case TrackerToDen::kKick:
      return Check("Kick")
          .fds(fd_count, 0)
          .user(message.kick().user())
          .text(message.kick().text())
          .result();
    case TrackerToDen::KIND_NOT_SET:
      break;
  }
  return empty_message("TrackerToDen");
}

Result<> validate(const TrackerToAuth& message, size_t fd_count) {
  switch (message.kind_case()) {
    case TrackerToAuth::kGrantStored:
      return Check("GrantStored").fds(fd_count, 0).result();
    case TrackerToAuth::kLookup:
      return Check("Lookup").fds(fd_count, 0).user(message.lookup().user()).result();
    case TrackerToAuth::KIND_NOT_SET:
      break;
  }
  return empty_message("TrackerToAuth");
}

Result<> validate(const TrackerToWorker& message, size_t fd_count) {
  switch (message.kind_case()) {
    case TrackerToWorker::kServe:
      return Check("Serve")
          .fds(fd_count, 1)
          .identity(message.serve().identity())
          .address(message.serve().remote_address())
          .result();
    case TrackerToWorker::kRetire:
      return Check("Retire").fds(fd_count, 0).result();
    case TrackerToWorker::kProbe:
      return Check("Probe").fds(fd_count, 0).result();
    case TrackerToWorker::KIND_NOT_SET:
      break;
  }
  return empty_message("TrackerToWorker");
}

Result<> validate(const DenToWatch& message, size_t fd_count) {
  switch (message.kind_case()) {
    case DenToWatch::kSubscribe: {
      Check check("Subscribe");
      check.fds(fd_count, 0);
      check.that(message.subscribe().directories_size() <= kMaxSubscribed,
                 "has at most 383 directories and topics");
      for (const auto& directory : message.subscribe().directories()) {
        check.path(directory.path())
            .that(directory.handle().size() <= kMaxHandleBytes, "has handles of at most 140 bytes");
      }
      return check.result();
    }
    case DenToWatch::kUnsubscribe:
      return Check("Unsubscribe").fds(fd_count, 0).result();
    case DenToWatch::KIND_NOT_SET:
      break;
  }
  return empty_message("DenToWatch");
}

Result<> validate(const WatchToDen& message, size_t fd_count) {
  switch (message.kind_case()) {
    case WatchToDen::kMode:
      return Check("Mode")
          .fds(fd_count, 0)
          .that(message.mode().fsids_size() <= kMaxStores, "has at most 256 file systems")
          .result();
    case WatchToDen::kSubscribed:
      return Check("Subscribed").fds(fd_count, 0).text(message.subscribed().reason()).result();
    case WatchToDen::kChanged:
      return Check("Changed")
          .fds(fd_count, 0)
          .that(message.changed().watches_size() <= kMaxChangedWatches &&
                    message.changed().arrived_size() <= kMaxChangedWatches,
                "has at most 1,000 watches")
          .result();
    case WatchToDen::kLost:
      return Check("Lost").fds(fd_count, 0).text(message.lost().reason()).result();
    case WatchToDen::KIND_NOT_SET:
      break;
  }
  return empty_message("WatchToDen");
}

Result<> validate(const WorkerToWatch& message, size_t fd_count) {
  if (!message.has_published()) return empty_message("WorkerToWatch");
  return Check("Published")
      .fds(fd_count, 0)
      .that(message.published().topics_size() <= kMaxPublishedTopics, "has at most 1,000 topics")
      .result();
}

Result<> validate(const WatchToWorker& message, size_t fd_count) {
  if (!message.has_mode()) return empty_message("WatchToWorker");
  return Check("Mode").fds(fd_count, 0).result();
}

}  // namespace dormouse::wire
