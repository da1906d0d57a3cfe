#pragma once
// ChangeSource: where "this directory has changed" comes from. Three implementations: fanotify (one
// mark for the whole file system), inotify (a watch per directory), polling (a look per directory
// and interval). Change means an entry that came, went or was renamed: all that happens in new/ and
// cur/ of a Maildir.

#include <string>
#include <string_view>

#include "hibernate/watch/watch_table.h"
#include "io/loop.h"
#include "wire/common.pb.h"

namespace dormouse::hibernate {

// Who is told. Calls come in batches, each ended by flush().
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  virtual void changed(DirectoryKey key) = 0;
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
  // For the view: "key=value" pairs.
  virtual std::string state() const = 0;
};

}  // namespace dormouse::hibernate
