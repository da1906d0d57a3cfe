// File names in a Maildir and names of mailboxes, as hostile as a file system or a client can make
// them.

#include <cstdlib>

#include "store/maildir_name.h"

namespace store = dormouse::store;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

void file_name(std::string_view name) {
  store::FileName parts = store::split_file_name(name);
  expect(parts.base.size() + parts.suffix.size() == name.size());
  store::FileFlags flags = store::parse_suffix(parts.suffix);
  std::string suffix = store::make_suffix(flags.flags, flags.letters, parts.suffix);
  store::FileFlags again = store::parse_suffix(suffix);
  expect(again.flags == flags.flags && again.letters == flags.letters);
  // Writing the same flags again changes nothing more.
  expect(store::make_suffix(again.flags, again.letters, suffix) == suffix);
  (void)store::size_hint(parts.base, 'W');
}

void mailbox_name(std::string_view name) {
  if (auto canonical = store::canonical_mailbox_name(name)) {
    auto again = store::canonical_mailbox_name(*canonical);
    expect(again && *again == *canonical);
    auto folder = store::folder_of(*canonical);
    expect(folder && folder->size() <= store::kFileNameMaxBytes);
    expect(folder->find('/') == std::string::npos && !folder->starts_with(".."));
    expect(store::mailbox_of(*folder) == *canonical);
  }
  if (auto mailbox = store::mailbox_of(name)) {
    auto folder = store::folder_of(*mailbox);
    expect(folder && *folder == name);
  }
  if (auto encoded = store::to_modified_utf7(name)) {
    expect(store::from_modified_utf7(*encoded) == name);
  }
  if (auto decoded = store::from_modified_utf7(name)) {
    expect(store::to_modified_utf7(*decoded) == name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  file_name(text);
  mailbox_name(text);
  return 0;
}
