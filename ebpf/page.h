#pragma once
// A struct in memory that processes (and BPF programs) share: element 0 of an mmapable BPF array,
// or a memfd. Whoever maps it for reading cannot be stopped by the writer, nor the other way round;
// fields are read and written whole, each by itself.

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::ebpf {

enum class PageUse { kRead, kWrite };

// Memory of at least `bytes`, all zero, that cannot be cut short under whoever maps it. For where
// there is no BPF map.
Result<io::Fd> make_page(const char* name, size_t bytes);
// Another descriptor of a memfd, through which nothing can be written.
Result<io::Fd> reading_end(const io::Fd& page);

template <class T>
class Page {
 public:
  Page() = default;
  Page(Page&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  Page& operator=(Page&& other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~Page() {
    if (at_ != nullptr) munmap(at_, sizeof(T));
  }

  // Keeps no descriptor.
  static Result<Page> map(int fd, PageUse use) {
    int protection = use == PageUse::kWrite ? PROT_READ | PROT_WRITE : PROT_READ;
    void* at = mmap(nullptr, sizeof(T), protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return fail_errno(errno, "mapping a shared page");
    Page page;
    page.at_ = static_cast<T*>(at);
    return page;
  }

  explicit operator bool() const { return at_ != nullptr; }
  T& operator*() const { return *at_; }
  T* operator->() const { return at_; }

 private:
  T* at_ = nullptr;
};

// Each field by itself, whole, in no order with others.
template <class T>
T load_field(T& field) {
  return std::atomic_ref<T>(field).load(std::memory_order_relaxed);
}
template <class T>
void store_field(T& field, T value) {
  std::atomic_ref<T>(field).store(value, std::memory_order_relaxed);
}

}  // namespace dormouse::ebpf
