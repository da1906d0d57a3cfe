#include "ebpf/page.h"

#include <fcntl.h>
#include <fmt/format.h>

namespace dormouse::ebpf {

Result<io::Fd> make_page(const char* name, size_t bytes) {
  io::Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno(errno, fmt::format("memfd_create {}", name));
  if (ftruncate(fd.get(), off_t(bytes)) != 0) return fail_errno(errno, name);
  // Shrunk, it would kill with SIGBUS whoever reads it.
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail_errno(errno, fmt::format("sealing {}", name));
  }
  return fd;
}

Result<io::Fd> reading_end(const io::Fd& page) {
  io::Fd fd(::open(fmt::format("/proc/self/fd/{}", page.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "opening a shared page for reading");
  return fd;
}

}  // namespace dormouse::ebpf
