#pragma once
// What a fanotify group with FAN_REPORT_DFID_NAME delivers (fanotify(7)): a sequence of
//
//   event  = event_len(4) vers(1) reserved(1) metadata_len(2) mask(8) fd(4) pid(4) *record
//   record = info_type(1) pad(1) len(2) fsid(8) handle_bytes(4) handle_type(4) handle name 0
//
// in the machine's byte order. A directory is known by fsid, handle type and handle, which is what
// Directory.handle (wire/common.proto) holds. FAN_RENAME has two records, for the place where the
// entry was and where it is; either is missing when it lies on no marked file system.
//
// The kernel merges events of one name that wait in its queue: only a mask of FAN_CREATE alone says
// that a file came and is still there.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "hibernate/watch/change_source.h"
#include "hibernate/watch/siphash.h"
#include "hibernate/watch/watch_table.h"

namespace dormouse::hibernate {

// The key of a directory whose handle is given as in wire/common.proto.
DirectoryKey directory_key(const SipKey& hash_key, std::string_view handle);

struct FanotifyBatch {
  size_t events = 0;
  bool overflow = false;   // FAN_Q_OVERFLOW
  bool malformed = false;  // what was read breaks the grammar: take it for an overflow
};

// Calls changed(Change) for every event, and once for consecutive ones of one directory of which
// no more is known than that it changed.
template <class Changed>
FanotifyBatch read_fanotify_events(const SipKey& hash_key, std::span<const std::byte> bytes,
                                   Changed&& changed);

namespace detail {

struct FanotifyEvent {
  Change change;     // from and to are 0: no directory was told
  size_t bytes = 0;  // 0: malformed
  bool overflow = false;
};
FanotifyEvent parse_fanotify_event(const SipKey& hash_key, std::span<const std::byte> bytes);

}  // namespace detail

template <class Changed>
FanotifyBatch read_fanotify_events(const SipKey& hash_key, std::span<const std::byte> bytes,
                                   Changed&& changed) {
  FanotifyBatch batch;
  DirectoryKey previous = 0;
  while (!bytes.empty()) {
    detail::FanotifyEvent event = detail::parse_fanotify_event(hash_key, bytes);
    if (event.bytes == 0) {
      batch.malformed = true;
      return batch;
    }
    ++batch.events;
    batch.overflow |= event.overflow;
    const Change& change = event.change;
    bool told = change.to == 0 && (change.from == 0 || change.from == previous);
    if (!told) changed(change);
    previous = change.to == 0 ? change.from : 0;
    bytes = bytes.subspan(event.bytes);
  }
  return batch;
}

}  // namespace dormouse::hibernate
