#include <sys/socket.h>

#include "ebpf/admission_filter.h"

namespace dormouse::ebpf {

const char* verdict_name(unsigned verdict) {
  switch (verdict) {
    case ADMISSION_WITHIN:
      return "within";
    case ADMISSION_OVER:
      return "over";
    case ADMISSION_DROPPED_SHARE:
      return "dropped_share";
    case ADMISSION_DROPPED_RATE:
      return "dropped_rate";
    case ADMISSION_UNPACED:
      return "unpaced";
    case ADMISSION_UNREADABLE:
      return "unreadable";
    case ADMISSION_CONTENDED:
      return "contended";
    case ADMISSION_COMPLETED:
      return "completed";
    default:
      return "unknown";
  }
}

void detach_filter(int socket) {
  int none = 0;
  // ENOENT: it had none.
  (void)setsockopt(socket, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

}  // namespace dormouse::ebpf
