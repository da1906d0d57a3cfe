#include "ebpf/support.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cstdarg>
#include <cstdio>

namespace dormouse::ebpf {
namespace {

// libbpf has one callback for the whole process. The text is the loading thread's own.
thread_local std::string last_complaint;

// A verifier's log can be a megabyte; its beginning names the place.
constexpr size_t kComplaintBytesMax = 512;

[[gnu::format(printf, 2, 0)]] int keep(libbpf_print_level level, const char* format, va_list rest) {
  if (level != LIBBPF_WARN) return 0;
  char text[kComplaintBytesMax];
  int length = std::vsnprintf(text, sizeof text, format, rest);
  if (length <= 0) return 0;
  last_complaint = text;
  while (!last_complaint.empty() && last_complaint.back() == '\n') last_complaint.pop_back();
  return 0;
}

}  // namespace

void keep_complaints() {
  last_complaint.clear();
  libbpf_set_print(&keep);
}

std::unexpected<Error> fail_libbpf(int error, std::string_view what) {
  if (error == 0) error = EINVAL;
  if (error == EPERM) {
    return fail(ErrorKind::kDenied, fmt::format("{}: not permitted (CAP_BPF and CAP_NET_ADMIN are "
                                                "needed, and that no policy forbids bpf())",
                                                what));
  }
  auto failed = fail_errno(error, what);
  if (!last_complaint.empty()) failed.error().message += " (" + last_complaint + ")";
  return failed;
}

std::string_view not_built() { return {}; }

}  // namespace dormouse::ebpf
