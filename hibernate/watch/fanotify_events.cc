#include "hibernate/watch/fanotify_events.h"

#include <sys/fanotify.h>

#include <array>
#include <cstring>

#include "wire/validate.h"

namespace dormouse::hibernate {
namespace {

constexpr size_t kInfoHeaderBytes = sizeof(fanotify_event_info_header);  // 4
constexpr size_t kFsidBytes = 8;
constexpr size_t kFileHandleHeaderBytes = 8;  // handle_bytes, handle_type

uint32_t read_u32(const std::byte* from) {
  uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

DirectoryKey directory_key(const SipKey& hash_key, std::string_view handle) {
  return kFanotifyKey | (siphash(hash_key, handle) & kKeyMask & ~kKeyOwnerMask);
}

namespace detail {
namespace {

struct Place {
  DirectoryKey directory = 0;
  std::string_view name;
};

// The directory and the name in one record, behind its header. False: malformed.
bool parse_place(const SipKey& hash_key, std::span<const std::byte> record, Place& place) {
  if (record.size() < kFsidBytes + kFileHandleHeaderBytes) return false;
  uint32_t handle_bytes = read_u32(record.data() + kFsidBytes);
  size_t key_bytes = kFsidBytes + 4 + handle_bytes;
  std::array<char, wire::kMaxHandleBytes> text;
  if (handle_bytes > record.size() - kFsidBytes - kFileHandleHeaderBytes ||
      key_bytes > text.size()) {
    return false;
  }
  // fsid, then the handle's type, then the handle: Directory.handle leaves its length out.
  std::memcpy(text.data(), record.data(), kFsidBytes);
  std::memcpy(text.data() + kFsidBytes, record.data() + kFsidBytes + 4, 4 + handle_bytes);
  place.directory = directory_key(hash_key, std::string_view(text.data(), key_bytes));
  std::string_view rest(reinterpret_cast<const char*>(record.data()), record.size());
  rest.remove_prefix(kFsidBytes + kFileHandleHeaderBytes + handle_bytes);
  place.name = rest.substr(0, rest.find('\0'));
  return true;
}

Change change_of(uint64_t mask, const Place& where, const Place& from, const Place& to) {
  bool file = (mask & FAN_ONDIR) == 0;
  if ((mask & FAN_RENAME) != 0) {
    return Change{from.directory, to.directory, file && may_be_message(to.name),
                  file && moved_as_it_was(from.name, to.name)};
  }
  if ((mask & ~uint64_t(FAN_ONDIR)) == FAN_CREATE && file && may_be_message(where.name)) {
    return Change{0, where.directory, true, false};
  }
  return Change::of(where.directory);
}

}  // namespace

FanotifyEvent parse_fanotify_event(const SipKey& hash_key, std::span<const std::byte> bytes) {
  FanotifyEvent event;
  fanotify_event_metadata head{};
  if (bytes.size() < sizeof head) return event;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.event_len < sizeof head || head.event_len > bytes.size() ||
      head.metadata_len < sizeof head || head.metadata_len > head.event_len ||
      head.vers != FANOTIFY_METADATA_VERSION) {
    return event;
  }
  event.overflow = (head.mask & FAN_Q_OVERFLOW) != 0;
  std::span<const std::byte> records =
      bytes.subspan(head.metadata_len, head.event_len - head.metadata_len);
  Place where, from, to;
  while (records.size() >= kInfoHeaderBytes) {
    fanotify_event_info_header info{};
    std::memcpy(&info, records.data(), sizeof info);
    if (info.len < kInfoHeaderBytes || info.len > records.size()) return event;
    std::span<const std::byte> record =
        records.subspan(kInfoHeaderBytes, info.len - kInfoHeaderBytes);
    records = records.subspan(info.len);
    Place* place = nullptr;
    switch (info.info_type) {
      case FAN_EVENT_INFO_TYPE_DFID_NAME:
      case FAN_EVENT_INFO_TYPE_DFID:
        place = &where;
        break;
      case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
        place = &from;
        break;
      case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
        place = &to;
        break;
      default:
        continue;
    }
    if (!parse_place(hash_key, record, *place)) return event;
  }
  event.change = change_of(head.mask, where, from, to);
  event.bytes = head.event_len;
  return event;
}

}  // namespace detail
}  // namespace dormouse::hibernate
