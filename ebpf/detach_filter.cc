#include <sys/socket.h>

#include "ebpf/admission_filter.h"

namespace dormouse::ebpf {

void detach_filter(int socket) {
  int none = 0;
  // ENOENT: it had none.
  (void)setsockopt(socket, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

}  // namespace dormouse::ebpf
