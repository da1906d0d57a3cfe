#pragma once
// A census of our TCP sockets, taken in the kernel in one pass (census.bpf.c). No socket is touched
// from here, whichever process has it. It sees the network namespace of the process that takes it.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ebpf/census_shared.h"
#include "io/result.h"

namespace dormouse::ebpf {

class Census {
 public:
  // Of sockets whose local port is one of these. kUnsupported or kDenied say why there is none.
  static Result<Census> open(const std::vector<uint16_t>& ports);
  Census(Census&&) noexcept;
  Census& operator=(Census&&) noexcept;
  ~Census();

  // The calling thread does nothing else meanwhile, and the pass looks at every socket of the
  // namespace, ours or not. `each`, where given, is called for every socket of ours, listeners and
  // handshakes too.
  Result<census_totals> take(const std::function<void(const census_socket&)>& each = {});

 private:
  struct Loaded;
  explicit Census(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

// Lines for people, "name value ..." each, and for one socket.
std::string census_text(const census_totals& totals);
std::string census_line(const census_socket& socket);
const char* tcp_state_name(unsigned state);

}  // namespace dormouse::ebpf
