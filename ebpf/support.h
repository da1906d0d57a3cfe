#pragma once
// Whether BPF can be had at all, in words for the operator.

#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::ebpf {

// Empty, or what this build was made without, by name.
std::string_view not_built();

// For the loaders: what libbpf said last on this thread, beside the error itself. `what` names the
// program ("loading the admission filter").
std::unexpected<Error> fail_libbpf(int error, std::string_view what);
// libbpf's complaints are kept for fail_libbpf() instead of going to standard error. Once is
// enough.
void keep_complaints();

}  // namespace dormouse::ebpf
