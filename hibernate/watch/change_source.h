#pragma once
// ChangeSource: where "this directory has changed" comes from. Three implementations: fanotify (one
// mark for the whole file system), inotify (a watch per directory), polling (a look per directory
// and interval). Change means an entry that came, went or was renamed: all that happens in new/ and
// cur/ of a Maildir. Two kinds are told apart where the kernel names the entry, because they are
// most of what happens and need no look at the mailbox: a file that came, and one that moved on
// from new/ to cur/ as it was.

#include <string>
#include <string_view>

#include "hibernate/watch/watch_table.h"
#include "io/loop.h"
#include "wire/common.pb.h"

namespace dormouse::hibernate {

// Sources stand side by side, so the upper two of a key's 48 bits say whose it is.
inline constexpr DirectoryKey kKeyOwnerMask = DirectoryKey(3) << 46;
inline constexpr DirectoryKey kInotifyKey = 0;
inline constexpr DirectoryKey kFanotifyKey = DirectoryKey(1) << 46;
inline constexpr DirectoryKey kPollingKey = DirectoryKey(2) << 46;
inline constexpr DirectoryKey kTopicKey = DirectoryKey(3) << 46;  // no directory: wire/topic.h
inline constexpr DirectoryKey owner_of(DirectoryKey key) { return key & kKeyOwnerMask; }

// What happened to one entry, or to entries that nobody named.
struct Change {
  DirectoryKey from = 0;   // it was here, or here something changed; 0: it is new
  DirectoryKey to = 0;     // it came here; 0: it did not
  bool file = false;       // it may be a message: no directory, no leading dot
  bool as_it_was = false;  // moved under its name, with Maildir's mark of no flags (":2,")

  static Change of(DirectoryKey key) { return Change{key, 0, false, false}; }
};

// For a source that knows an entry's names.
bool may_be_message(std::string_view name);
bool moved_as_it_was(std::string_view from, std::string_view to);

// Who is told. Calls come in batches, each ended by flush().
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  // `after_ms`: CLOCK_MONOTONIC; it happened after this moment. Only looked at where `file` is set.
  virtual void changed(const Change& change, uint64_t after_ms) = 0;
  // Changes may have been missed, of any directory.
  virtual void lost(const std::string& reason) = 0;
  virtual void flush() = 0;
};

class ChangeSource {
 public:
  virtual ~ChangeSource() = default;
  virtual std::string_view name() const = 0;
  // Whether add() uses the handle, not the path, of a directory.
  virtual bool by_handle() const = 0;
  // From its return on every change is told. The same directory has the same key. kLimit: not this
  // one, another source may; kNotFound: there is no such directory.
  virtual Result<DirectoryKey> add(const wire::Directory& directory) = 0;
  // Nobody wants this one any more.
  virtual void remove(DirectoryKey key) = 0;
  // Tells changes until its scope is cancelled. Answers why it cannot go on.
  virtual io::Task<Result<void>> run(ChangeSink& sink) = 0;
  // Tells what is queued now, so that what comes next is known to come after this moment.
  virtual void take_queued(ChangeSink&) {}
  // For the view: "key=value" pairs.
  virtual std::string state() const = 0;
};

}  // namespace dormouse::hibernate
