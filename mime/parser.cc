#include "mime/parser.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "mime/ascii.h"
#include "mime/header_collector.h"

namespace dormouse::mime {
namespace {

// A delimiter line is "--", the boundary, "--" and blanks; what is longer than this is none.
constexpr std::size_t kDelimiterLineBytesMax = kBoundaryBytesMax + 256;

// Everything counted up to a place in the message.
struct Place {
  std::uint64_t offset = 0;
  std::uint64_t bare_lfs = 0;
  std::uint64_t lines = 0;
};

Range between(const Place& from, const Place& to) {
  return {from.offset, to.offset - from.offset, to.bare_lfs - from.bare_lfs, to.lines - from.lines};
}

Place later(const Place& a, const Place& b) { return a.offset < b.offset ? b : a; }

// A part whose body is being read.
struct Open {
  std::uint32_t part = 0;
  std::string boundary;  // "--" and the boundary; empty unless a multipart still listens for it
  Place start;           // of the body
  bool digest = false;
};

enum class Delimiter : std::uint8_t { kNone, kNext, kFinal };

// How a line (without its line end) delimits the multipart of `boundary`.
Delimiter delimits(std::string_view line, std::string_view boundary) {
  if (boundary.empty() || !line.starts_with(boundary)) return Delimiter::kNone;
  if (boundary.size() == kBoundaryBytesMax + 2) return Delimiter::kNext;  // cut: no more is known
  line.remove_prefix(boundary.size());
  if (trimmed(line).empty()) return Delimiter::kNext;
  if (!line.starts_with("--")) return Delimiter::kNone;
  return trimmed(line.substr(2)).empty() ? Delimiter::kFinal : Delimiter::kNone;
}

}  // namespace

class MessageParser::State {
 public:
  State() : header_(kept_bytes_) { begin_part(now_); }

  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!collecting_) bytes = skip_lines(bytes);
      if (!bytes.empty()) bytes = collect_line(bytes);
    }
  }

  MessageStructure finish() {
    if (!line_.empty()) end_line(line_start_, before_break_, now_);
    // Whatever is still being read ends here. A delimiter at the very end opens a last, empty part.
    while (in_header_) end_header(now_);
    close_down_to(0, now_);
    return std::move(structure_);
  }

 private:
  Part& part(std::uint32_t index) { return structure_.parts[index]; }

  // --- lines -----------------------------------------------------------------------------------

  // Counts the LF at the end of bytes[0, length).
  void count_lf(std::string_view bytes, std::size_t length) {
    const char before = length >= 2 ? bytes[length - 2] : previous_;
    const bool bare = before != '\r';
    now_.offset += length;
    before_break_ = now_;
    before_break_.offset -= bare ? 1 : 2;
    now_.lines += 1;
    now_.bare_lfs += bare ? 1 : 0;
    line_start_ = now_;
    previous_ = '\n';
  }

  // In a body: passes over lines that cannot be delimiters. Stops at the start of one that can.
  std::string_view skip_lines(std::string_view bytes) {
    for (;;) {
      const void* lf = std::memchr(bytes.data(), '\n', bytes.size());
      if (lf == nullptr) {
        now_.offset += bytes.size();
        previous_ = bytes.back();
        return {};
      }
      auto length = static_cast<std::size_t>(static_cast<const char*>(lf) - bytes.data()) + 1;
      count_lf(bytes, length);
      bytes.remove_prefix(length);
      if (bytes.empty() || bytes.front() == '-') {
        collecting_ = true;
        return bytes;
      }
    }
  }

  // In a header, and for lines that may be delimiters: keeps the line up to its bound.
  std::string_view collect_line(std::string_view bytes) {
    if (!in_header_ && line_.empty() && (bytes.front() != '-' || listening_ == 0)) {
      collecting_ = false;
      return bytes;
    }
    const std::size_t line_bytes_max = in_header_ ? kFieldBytesMax : kDelimiterLineBytesMax;
    std::size_t lf = bytes.find('\n');
    std::string_view piece = bytes.substr(0, lf);
    if (line_.size() < line_bytes_max) line_ += piece.substr(0, line_bytes_max - line_.size());
    if (lf == std::string_view::npos) {
      now_.offset += bytes.size();
      previous_ = bytes.back();
      return {};
    }
    const Place start = line_start_;
    const Place break_before = before_break_;
    count_lf(bytes, lf + 1);
    end_line(start, break_before, now_);
    return bytes.substr(lf + 1);
  }

  // line_ is whole: it stands between `start` and `end`; `break_before` is where the line end
  // before it begins.
  void end_line(const Place& start, const Place& break_before, const Place& end) {
    std::string line = std::exchange(line_, {});
    std::string_view text = line;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (listening_ > 0 && text.starts_with("--") &&
        take_delimiter(text, start, break_before, end)) {
      return;
    }
    if (!in_header_) return;
    if (text.empty()) {
      end_header(end);
    } else {
      header_.line(text);
    }
  }

  // --- parts -----------------------------------------------------------------------------------

  // A part begins at `at`, with its header.
  void begin_part(const Place& at) {
    current_ = static_cast<std::uint32_t>(structure_.parts.size());
    structure_.parts.emplace_back();
    part_start_ = at;
    in_header_ = true;
    collecting_ = true;
    header_.begin();
  }

  Envelope* current_envelope() {
    if (current_ == 0) return &structure_.envelope;
    const Part& parent = part(open_.back().part);
    if (parent.kind != PartKind::kMessage) return nullptr;
    return &structure_.inner_envelopes[parent.envelope - 1];
  }

  // The header of the current part ends before `at`; its body begins there.
  void end_header(const Place& at) {
    in_header_ = false;
    Part& p = part(current_);
    p.header = between(part_start_, at);
    header_.finish(p, !open_.empty() && open_.back().digest, current_envelope());
    Open open{current_, "", at, false};
    const bool deep = open_.size() + 1 >= kDepthMax;
    if (same_name(p.type, "multipart")) {
      open_multipart(p, open, deep);
    } else if (same_name(p.type, "message") && same_name(p.subtype, "rfc822")) {
      open_message(p, std::move(open), deep || structure_.parts.size() >= kPartsMax);
      return;
    } else {
      p.kind = same_name(p.type, "text") ? PartKind::kText : PartKind::kLeaf;
    }
    open_.push_back(std::move(open));
  }

  void open_multipart(Part& p, Open& open, bool deep) {
    const std::string* boundary = find_parameter(p.parameters, "boundary");
    std::string_view text = boundary != nullptr ? std::string_view(*boundary) : "";
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);  // RFC 2046 5.1.1
    if (deep) {
      make_opaque(p);
    } else if (text.empty()) {
      make_text(p);
    } else {
      p.kind = PartKind::kMultipart;
      open.boundary = "--";
      open.boundary += text.substr(0, kBoundaryBytesMax);
      open.digest = same_name(p.subtype, "digest");
      ++listening_;
    }
  }

  void open_message(Part& p, Open open, bool opaque) {
    if (opaque) {
      make_opaque(p);
      open_.push_back(std::move(open));
      return;
    }
    p.kind = PartKind::kMessage;
    structure_.inner_envelopes.emplace_back();
    p.envelope = static_cast<std::uint32_t>(structure_.inner_envelopes.size());
    const Place start = open.start;
    open_.push_back(std::move(open));
    begin_part(start);
  }

  // What the bounds do not let us look into.
  static void make_opaque(Part& p) {
    p.kind = PartKind::kLeaf;
    p.type = "application";
    p.subtype = "octet-stream";
    p.parameters.clear();
  }

  // A multipart in which no part can be found is shown as the text it is.
  static void make_text(Part& p) {
    p.kind = PartKind::kText;
    p.type = "text";
    p.subtype = "plain";
    p.parameters = {{"charset", "us-ascii"}};
  }

  void stop_listening(Open& open) {
    if (open.boundary.empty()) return;
    open.boundary.clear();
    --listening_;
  }

  // Ends the bodies of open_[keep] and all inside it before `at`, but none before its own start,
  // nor before the end of what it holds.
  void close_down_to(std::size_t keep, Place at) {
    while (open_.size() > keep) {
      Open& open = open_.back();
      Part& p = part(open.part);
      at = later(at, open.start);
      p.body = between(open.start, at);
      p.subtree = static_cast<std::uint32_t>(structure_.parts.size()) - open.part;
      if (p.kind == PartKind::kMultipart && p.subtree == 1) make_text(p);
      stop_listening(open);
      open_.pop_back();
    }
  }

  // True if `line` is a delimiter of an open multipart, the innermost first. Places as in
  // end_line().
  bool take_delimiter(std::string_view line, const Place& start, const Place& break_before,
                      const Place& end) {
    std::size_t i = open_.size();
    Delimiter found = Delimiter::kNone;
    while (i > 0 && found == Delimiter::kNone) found = delimits(line, open_[--i].boundary);
    if (found == Delimiter::kNone) return false;
    // The line end before a delimiter belongs to it (RFC 2046 5.1.1), unless it ends a header
    // field.
    const Place at = in_header_ ? start : break_before;
    // More than once where the part is a message, which began another one inside.
    while (in_header_) end_header(at);
    close_down_to(i + 1, at);
    if (found == Delimiter::kFinal) {
      stop_listening(open_[i]);
    } else if (structure_.parts.size() < kPartsMax) {
      begin_part(end);
    }
    return true;
  }

  MessageStructure structure_;
  std::size_t kept_bytes_ = 0;
  HeaderCollector header_;
  std::vector<Open> open_;
  std::size_t listening_ = 0;  // multiparts in open_ with a boundary
  std::uint32_t current_ = 0;  // the part whose header is being read
  Place part_start_;
  bool in_header_ = true;
  bool collecting_ = true;  // line_ is being filled
  std::string line_;
  char previous_ = '\n';  // the byte before now_
  Place now_;
  Place line_start_;
  Place before_break_;  // before the line end that stands before line_start_
};

MessageParser::MessageParser() : state_(std::make_unique<State>()) {}
MessageParser::~MessageParser() = default;

void MessageParser::feed(std::string_view bytes) { state_->feed(bytes); }
MessageStructure MessageParser::finish() { return state_->finish(); }

MessageStructure parse_message(std::string_view message) {
  MessageParser parser;
  parser.feed(message);
  return parser.finish();
}

}  // namespace dormouse::mime
