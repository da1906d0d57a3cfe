#pragma once
// Secret: a string that is wiped before its memory is given back. It is filled once and moved,
// never grown in place, since growing would leave a copy behind.

#include <string.h>

#include <string>
#include <string_view>
#include <utility>

namespace dormouse::io {

// Overwrites what the string holds, in a way that the compiler keeps, and empties it.
inline void wipe(std::string& text) {
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

// Overwrites bytes that the caller knows to lie in memory that may be written (a parser's buffer,
// seen through its view).
inline void wipe_view(std::string_view bytes) {
  ::explicit_bzero(const_cast<char*>(bytes.data()), bytes.size());
}

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes) : bytes_(bytes) {}
  // Takes `bytes` over; what a short string leaves behind in the source is wiped.
  explicit Secret(std::string&& bytes) : bytes_(bytes) { wipe(bytes); }
  Secret(Secret&& other) noexcept { take(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe(bytes_);
      take(other);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(bytes_); }

  std::string_view view() const { return bytes_; }
  const std::string& text() const { return bytes_; }  // for C: ends in NUL
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

 private:
  void take(Secret& other) {
    bytes_.swap(other.bytes_);
    wipe(other.bytes_);
  }
  std::string bytes_;
};

}  // namespace dormouse::io
