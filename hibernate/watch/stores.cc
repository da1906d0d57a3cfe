#include "hibernate/watch/stores.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/fanotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "hibernate/watch/fanotify_events.h"
#include "hibernate/watch/fanotify_group.h"
#include "wire/validate.h"

namespace dormouse::hibernate {
namespace {

constexpr size_t kFsidBytes = 8;

struct KnownKind {
  uint64_t magic;
  const char* name;
  bool shared;
  bool subvolumes;
};

// statfs(2). Those that linux/magic.h leaves out are from the sources of their file systems. FUSE
// is taken for shared: who writes behind it, its kernel part does not know.
constexpr std::array kKinds = {
    KnownKind{EXT4_SUPER_MAGIC, "ext4", false, false},
    KnownKind{XFS_SUPER_MAGIC, "xfs", false, false},
    KnownKind{BTRFS_SUPER_MAGIC, "btrfs", false, true},
    KnownKind{TMPFS_MAGIC, "tmpfs", false, false},
    KnownKind{OVERLAYFS_SUPER_MAGIC, "overlay", false, false},
    KnownKind{F2FS_SUPER_MAGIC, "f2fs", false, false},
    KnownKind{0x2fc12fc1, "zfs", false, false},
    KnownKind{0xca451a4e, "bcachefs", false, true},
    KnownKind{NFS_SUPER_MAGIC, "nfs", true, false},
    KnownKind{SMB_SUPER_MAGIC, "smb", true, false},
    KnownKind{CIFS_SUPER_MAGIC, "cifs", true, false},
    KnownKind{SMB2_SUPER_MAGIC, "smb2", true, false},
    KnownKind{FUSE_SUPER_MAGIC, "fuse", true, false},
    KnownKind{V9FS_MAGIC, "9p", true, false},
    KnownKind{CEPH_SUPER_MAGIC, "ceph", true, false},
    KnownKind{AFS_SUPER_MAGIC, "afs", true, false},
    KnownKind{CODA_SUPER_MAGIC, "coda", true, false},
    KnownKind{OCFS2_SUPER_MAGIC, "ocfs2", true, false},
    KnownKind{0x01161970, "gfs2", true, false},
    KnownKind{0x0bd00bd0, "lustre", true, false},
    KnownKind{0x47504653, "gpfs", true, false},
};

// "\040" and the like, which stand for blanks in a mount table.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool octal =
        text[i] == '\\' && i + 3 < text.size() &&
        std::ranges::all_of(text.substr(i + 1, 3), [](char c) { return c >= '0' && c < '8'; });
    if (!octal) {
      out += text[i];
      continue;
    }
    out += char((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return out;
}

bool is_below(std::string_view path, std::string_view root) {
  while (root.ends_with('/')) root.remove_suffix(1);
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

// Whether the group tells of `handle` among what it has queued. 64 reads of 64 KiB are more than
// the kernel's queue of 16,384 events has; others write to the file system all the while.
bool group_tells(int group, const std::string& handle) {
  constexpr int kReadsMax = 64;
  constexpr SipKey kAnyKey{1, 2};
  DirectoryKey wanted = directory_key(kAnyKey, handle);
  std::vector<std::byte> buffer(64 * 1024);
  bool found = false;
  for (int i = 0; i < kReadsMax && !found; ++i) {
    ssize_t got = read(group, buffer.data(), buffer.size());
    if (got <= 0) break;
    auto batch = read_fanotify_events(
        kAnyKey, std::span(buffer.data(), size_t(got)), [&](const Change& change) {
          found = found || change.from == wanted || change.to == wanted;
        });
    found = found || batch.overflow;  // others fill it; that is no fault of the file system
  }
  return found;
}

// Makes something happen in a directory of its own and hears whether the group tells it.
Result<std::string> try_mark(int group, const std::string& root) {
  std::string probe = root + "/.dormouse-probe-XXXXXX";
  if (mkdtemp(probe.data()) == nullptr) return fail_errno(errno, "making " + probe);
  auto handle = directory_handle(probe);
  std::string below = probe + "/entry";
  bool done = mkdir(below.c_str(), 0700) == 0;
  rmdir(below.c_str());
  rmdir(probe.c_str());
  if (!handle) return std::unexpected(handle.error());
  if (!done) return fail_errno(errno, "making " + below);
  if (!group_tells(group, *handle)) {
    return fail(ErrorKind::kUnsupported, "fanotify tells of its directories under other handles");
  }
  return handle->substr(0, kFsidBytes);
}

}  // namespace

FileSystemKind file_system_kind(uint64_t magic) {
  auto known = std::ranges::find(kKinds, magic, &KnownKind::magic);
  if (known == kKinds.end()) return {.name = fmt::format("{:#x}", magic)};
  return {.name = known->name, .shared = known->shared, .subvolumes = known->subvolumes};
}

Result<FileSystemKind> file_system_of(const std::string& path) {
  struct statfs info{};
  if (statfs(path.c_str(), &info) != 0) return fail_errno(errno, "statfs " + path);
  // f_type is signed on some architectures; the magic numbers have 32 bits.
  return file_system_kind(uint32_t(info.f_type));
}

std::vector<std::string> stores_below(const std::string& root, std::string_view mountinfo) {
  std::vector<std::string> found = {root};
  std::set<std::string, std::less<>> seen;
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    // "36 35 98:0 /mnt1 /mnt2 rw,noatime ...": the third is the device, the fifth where it is.
    std::istringstream words(line);
    std::string id, parent, device, inside, place;
    if (!(words >> id >> parent >> device >> inside >> place)) continue;
    place = unescape(place);
    if (!is_below(place, root) || found.size() >= size_t(wire::kMaxStores)) continue;
    if (seen.insert(device).second) found.push_back(place);
  }
  return found;
}

SharedStore shared_store_from(std::string_view setting) {
  if (setting == "yes") return SharedStore::kYes;
  return setting == "no" ? SharedStore::kNo : SharedStore::kAuto;
}

Result<MarkedStores> mark_stores(const std::string& mail_root, SharedStore shared) {
  std::ifstream table("/proc/self/mountinfo");
  std::string mounts{std::istreambuf_iterator<char>(table), {}};
  auto group = make_fanotify_group();
  if (!group) return std::unexpected(group.error());
  MarkedStores marked;
  auto& stores = marked.stores;
  for (const std::string& root : stores_below(mail_root, mounts)) {
    auto reject = [&](const std::string& kind, const std::string& why) {
      stores.set_others(true);
      stores.add_reasons(fmt::format("{} ({}): {}", root, kind, why));
    };
    auto kind = file_system_of(root);
    if (!kind) {
      reject("unknown", kind.error().message);
      continue;
    }
    if (shared == SharedStore::kYes || (shared == SharedStore::kAuto && kind->shared)) {
      reject(kind->name, "other machines may write there, which fanotify does not see");
      continue;
    }
    Result<std::string> fsid;
    if (auto done = mark_file_system(*group, root); !done) {
      fsid = std::unexpected(done.error());
    } else {
      fsid = try_mark(group->get(), root);
      if (!fsid) unmark_file_system(*group, root);
    }
    if (!fsid) {
      reject(kind->name, fsid.error().message);
      continue;
    }
    bool again =
        std::find(stores.fsids().begin(), stores.fsids().end(), *fsid) != stores.fsids().end();
    if (!again) stores.add_fsids(*fsid);
    if (kind->subvolumes) {
      stores.set_others(true);
      stores.add_reasons(fmt::format("{} ({}): subvolumes below have other ids", root, kind->name));
    }
  }
  if (stores.fsids_size() > 0) marked.group = std::move(*group);
  return marked;
}

}  // namespace dormouse::hibernate
