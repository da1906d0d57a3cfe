#pragma once
// ResponseScanner: what a server says, cut into responses (RFC 3501 9, `response`), from bytes that
// come in any pieces. Tolerant: a bare LF ends a line, unknown responses are passed on. Literals
// are counted and skipped, so a response of any size costs a kept line (ScannerBounds) at most;
// who looks into messages asks for more (ScannerBounds) and gets the literals too.
//
//   response     = untagged / continuation / tagged
//   untagged     = "*" SP text *( literal text ) [CR] LF
//   continuation = "+" [SP text] [CR] LF
//   tagged       = tag SP text [CR] LF
//   literal      = "{" number "}" [CR] LF <number bytes>
//
// Status responses (OK, NO, BAD, BYE, PREAUTH), continuations and tagged responses end in human
// text, which holds no literal even where it ends like one.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::loadtest {

enum class ResponseKind : uint8_t { kUntagged, kContinuation, kTagged };

// Views are valid until the scanner is fed again.
struct Response {
  ResponseKind kind = ResponseKind::kUntagged;
  std::string_view tag = {};   // kTagged only
  std::string_view text = {};  // behind "* ", "+ " or the tag; literals left out, "{n}" kept
  uint64_t literal_bytes = 0;  // all its literals
  std::span<const std::string> literals = {};  // where they are kept: one for each "{n}"
  bool truncated = false;                      // longer than what is kept
};

// What is kept of one response.
struct ScannerBounds {
  // A CAPABILITY line of today is about 600 bytes; what a sleeper decides upon is in the first 100.
  size_t kept_bytes_max = 2048;
  size_t literal_bytes_max = 0;  // of all literals together; 0: none is kept
};

class ResponseScanner {
 public:
  ResponseScanner() = default;
  explicit ResponseScanner(const ScannerBounds& bounds) : bounds_(bounds) {}

  // RFC 3501 has 32-bit literals; a larger number is a broken server.
  static constexpr uint64_t kLiteralBytesMax = 0xffffffff;

  // Calls heard(const Response&) for each response that is complete; heard() answers false to stop
  // (the rest of `bytes` is dropped: the connection is to be closed).
  template <class Heard>
  void feed(std::string_view bytes, Heard&& heard) {
    while (!bytes.empty() && !broken_) {
      if (!take(bytes)) continue;
      bool go_on = heard(response());
      restart();
      if (!go_on) return;
    }
  }

  // Between two responses: nothing is held, the scanner can be thrown away.
  bool at_boundary() const { return !begun_; }
  bool broken() const { return broken_; }

 private:
  bool take(std::string_view& bytes);
  bool end_of_line();
  void see(char c);
  Response response() const;
  void restart();

  // How far the end of the line read so far matches "{" number "}" [CR].
  enum class Suffix : uint8_t { kNone, kNumber, kClosed, kReturn };

  ScannerBounds bounds_;
  std::string kept_;
  std::vector<std::string> literals_;
  size_t literals_kept_bytes_ = 0;
  uint64_t literal_left_bytes_ = 0;
  uint64_t literal_bytes_ = 0;
  uint64_t number_ = 0;
  Suffix suffix_ = Suffix::kNone;
  bool number_has_digits_ = false;
  bool begun_ = false;
  bool continued_ = false;  // behind a literal of the same response
  bool truncated_ = false;
  bool broken_ = false;
};

// `* 23 EXISTS`: the number in front of a message-data response and its word, upper case or not.
struct NumberedData {
  uint32_t number = 0;
  std::string_view word;
};
std::optional<NumberedData> numbered_data(std::string_view text);

// Whether `text` begins with `word` (ASCII, any case) and a space or its end behind it.
bool begins_with_word(std::string_view text, std::string_view word);

}  // namespace dormouse::loadtest
