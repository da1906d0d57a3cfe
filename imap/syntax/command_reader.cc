#include "imap/syntax/command_reader.h"

#include <algorithm>
#include <optional>

#include "imap/syntax/flags.h"
#include "imap/syntax/limits.h"
#include "io/result.h"

namespace dormouse::imap {
namespace {

// "{18446744073709551615+}" and a CR: what of a line must be kept to see a literal announced.
constexpr std::size_t kAnnouncementBytesMax = 24;

struct Announcement {
  std::uint64_t octets = 0;
  bool sync = true;
  bool overflow = false;  // more than 64 bits: nobody can read past it
};

// The "{n}" or "{n+}" at the end of a line, if there is one.
std::optional<Announcement> announced_literal(std::string_view line) {
  if (!line.ends_with('}')) return std::nullopt;
  line.remove_suffix(1);
  Announcement found;
  if (line.ends_with('+')) {
    found.sync = false;
    line.remove_suffix(1);
  }
  std::size_t open = line.find_last_not_of("0123456789");
  if (open == std::string_view::npos || line[open] != '{') return std::nullopt;
  std::string_view digits = line.substr(open + 1);
  if (digits.empty()) return std::nullopt;
  for (char c : digits) {
    auto digit = static_cast<std::uint64_t>(c - '0');
    if (found.octets > (UINT64_MAX - digit) / 10) found.overflow = true;
    found.octets = found.octets * 10 + digit;
  }
  return found;
}

std::string_view last_bytes(std::string_view line) {
  return line.substr(line.size() - std::min(line.size(), kAnnouncementBytesMax));
}

std::string_view without_cr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Takes everything up to a space off `text`, and the space.
std::string_view take_word(std::string_view& text) {
  std::size_t space = text.find(' ');
  std::string_view word = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return word;
}

// Takes a string in any of its forms off `text`; false when it is not there as a whole.
bool take_astring(std::string_view& text) {
  if (text.starts_with('"')) {
    for (std::size_t i = 1; i < text.size(); ++i) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == '"') {
        text.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }
  if (text.starts_with('{')) {
    std::size_t end = text.find("}\r\n");
    if (end == std::string_view::npos) return false;
    auto literal = announced_literal(text.substr(0, end + 1));
    text.remove_prefix(end + 3);
    if (!literal || literal->octets > text.size()) return false;
    text.remove_prefix(static_cast<std::size_t>(literal->octets));
    return true;
  }
  std::size_t space = text.find(' ');
  if (space == 0 || space == std::string_view::npos) return false;
  text.remove_prefix(space);
  return true;
}

// Whether the literal announced at the end of `text` is an APPEND's message: the mailbox stands
// before it, and neither flags nor date can be literals.
bool announces_message(std::string_view text) {
  take_word(text);  // the tag
  if (!equals_nocase(take_word(text), "APPEND")) return false;
  return take_astring(text) && text.starts_with(' ');
}

}  // namespace

void CommandReader::reset_to(State state) {
  std::string().swap(buffer_);  // gives the memory back; clear() would not
  line_start_ = 0;
  literal_octets_ = 0;
  state_ = state;
  if (state == State::kBoundary) after_message_ = false;
}

void CommandReader::release() {
  text_ = {};
  if (state_ != State::kBoundary) return;
  std::string().swap(buffer_);
  std::string().swap(refusal_tag_);
}

std::size_t CommandReader::heap_bytes() const {
  const std::size_t inside = std::string().capacity();
  std::size_t bytes = 0;
  if (buffer_.capacity() > inside) bytes += buffer_.capacity() + 1;
  if (refusal_tag_.capacity() > inside) bytes += refusal_tag_.capacity() + 1;
  return bytes;
}

void CommandReader::expect_line() {
  DORMOUSE_CHECK(at_boundary(), "a line is expected between commands only");
  expect_line_ = true;
}

CommandReader::Step CommandReader::feed(std::string_view input) {
  DORMOUSE_CHECK(state_ != State::kMessageDecision, "accept or refuse the message first");
  if (state_ == State::kFatal) return {Event::kFatal, 0, {}};
  if (state_ == State::kBoundary) release();
  Step step;
  const std::size_t given = input.size();
  while (!input.empty() && step.event == Event::kMoreInput) {
    switch (state_) {
      case State::kBoundary:
      case State::kLine:
        step.event = feed_line(input);
        break;
      case State::kLiteral:
        feed_literal(input);
        break;
      case State::kMessage:
        step.data = feed_message(input);
        step.event = Event::kMessageData;
        break;
      case State::kSkipLine:
      case State::kSkipLiteral:
        step.event = feed_skip(input);
        break;
      case State::kMessageDecision:
      case State::kFatal:
        DORMOUSE_CHECK(false, "an event ends the loop");
    }
  }
  step.consumed_bytes = given - input.size();
  consumed_bytes_total_ += step.consumed_bytes;
  return step;
}

CommandReader::Event CommandReader::feed_line(std::string_view& input) {
  state_ = State::kLine;
  std::size_t end = input.find('\n');
  std::string_view piece = input.substr(0, end);
  const std::size_t line_bytes = buffer_.size() - line_start_ + piece.size();
  const bool too_long = line_bytes > limits_.line_bytes_max + 1 ||  // 1: the CR
                        buffer_.size() + piece.size() > limits_.command_bytes_max;
  if (too_long) {
    // The line's end may be far away; it is skipped from where it stands.
    keep_tag(buffer_.empty() ? piece : std::string_view(buffer_));
    std::string tail(last_bytes(std::string_view(buffer_).substr(line_start_)));
    // What was buffered counts too, so that it does not matter in which pieces the line came.
    skip_left_bytes_ =
        limits_.skip_bytes_max -
        std::min<std::uint64_t>(limits_.skip_bytes_max, buffer_.size() - line_start_);
    reset_to(State::kSkipLine);
    buffer_ = std::move(tail);
    if (limits_.skip_bytes_max == 0) return fatal("Command line too long");
    return refuse("Command line too long", false);
  }
  if (end == std::string_view::npos) {
    buffer_.append(piece);
    input = {};
    return Event::kMoreInput;
  }
  input.remove_prefix(end + 1);
  if (buffer_.empty()) {  // the whole command in one piece: no copy
    std::string_view line = without_cr(piece);
    return end_line(line, line);
  }
  buffer_.append(piece);
  // A literal's last byte is no part of the line, even if it is a CR.
  if (buffer_.size() > line_start_ && buffer_.back() == '\r') buffer_.pop_back();
  std::string_view text = buffer_;
  return end_line(text.substr(line_start_), text);
}

CommandReader::Event CommandReader::end_line(std::string_view line, std::string_view text) {
  if (!expect_line_) {
    if (auto literal = announced_literal(line)) {
      if (literal->overflow) {
        keep_tag(text);
        if (!literal->sync) return fatal("Literal too large");
        reset_to(State::kBoundary);
        return refuse("Literal too large", false);
      }
      return begin_literal(text, literal->octets, literal->sync);
    }
  }
  Event event = after_message_ ? Event::kMessageEnd : Event::kCommand;
  expect_line_ = false;
  after_message_ = false;
  state_ = State::kBoundary;
  line_start_ = 0;
  text_ = text;
  return event;
}

CommandReader::Event CommandReader::begin_literal(std::string_view text, std::uint64_t octets,
                                                  bool sync) {
  literal_is_sync_ = sync;
  const bool message = limits_.message_bytes_max > 0 && (after_message_ || announces_message(text));
  std::string_view why;
  if (message && octets > limits_.message_bytes_max) {
    why = "[TOOBIG] Message too large";
  } else if (!message && (octets > limits_.literal_bytes_max ||
                          text.size() + octets > limits_.command_bytes_max)) {
    why = "Literal too large";
  }
  if (!why.empty()) {
    keep_tag(text);
    reset_to(State::kBoundary);
    if (!sync) {
      skip_left_bytes_ = limits_.skip_bytes_max;
      if (skip_literal(octets) == Event::kFatal) return Event::kFatal;
    }
    return refuse(why, message);
  }
  if (message) {
    keep_tag(text);
    literal_octets_ = octets;
    text_ = text;
    state_ = State::kMessageDecision;
    return Event::kMessageLiteral;
  }
  if (buffer_.empty()) buffer_ = text;
  buffer_.append("\r\n");
  literal_octets_ = octets;
  line_start_ = buffer_.size();
  state_ = octets > 0 ? State::kLiteral : State::kLine;
  return sync ? Event::kContinuation : Event::kMoreInput;
}

void CommandReader::feed_literal(std::string_view& input) {
  std::string_view piece = input.substr(0, std::min<std::uint64_t>(literal_octets_, input.size()));
  buffer_.append(piece);
  input.remove_prefix(piece.size());
  literal_octets_ -= piece.size();
  if (literal_octets_ > 0) return;
  line_start_ = buffer_.size();
  state_ = State::kLine;
}

std::string_view CommandReader::feed_message(std::string_view& input) {
  std::string_view piece = input.substr(0, std::min<std::uint64_t>(literal_octets_, input.size()));
  input.remove_prefix(piece.size());
  literal_octets_ -= piece.size();
  if (literal_octets_ == 0) state_ = State::kLine;
  return piece;
}

void CommandReader::accept_message() {
  DORMOUSE_CHECK(state_ == State::kMessageDecision, "there is a message to accept");
  const std::uint64_t octets = literal_octets_;
  text_ = {};
  reset_to(octets > 0 ? State::kMessage : State::kLine);
  literal_octets_ = octets;
  after_message_ = true;
}

void CommandReader::refuse_message() {
  DORMOUSE_CHECK(state_ == State::kMessageDecision, "there is a message to refuse");
  const std::uint64_t octets = literal_octets_;
  text_ = {};
  reset_to(State::kBoundary);
  if (literal_is_sync_) return;
  skip_left_bytes_ = limits_.skip_bytes_max;
  skip_literal(octets);
}

CommandReader::Event CommandReader::skip_literal(std::uint64_t octets) {
  if (octets > skip_left_bytes_) return fatal("Literal too large");
  literal_octets_ = octets;
  state_ = octets > 0 ? State::kSkipLiteral : State::kSkipLine;
  return Event::kMoreInput;
}

CommandReader::Event CommandReader::feed_skip(std::string_view& input) {
  const bool literal = state_ == State::kSkipLiteral;
  std::size_t end = literal ? std::string_view::npos : input.find('\n');
  std::uint64_t take = end == std::string_view::npos ? input.size() : end + 1;
  if (literal) take = std::min(take, literal_octets_);
  if (take > skip_left_bytes_) return fatal("Command too long");
  skip_left_bytes_ -= take;
  std::string_view piece = input.substr(0, take);
  input.remove_prefix(piece.size());
  if (literal) {
    literal_octets_ -= take;
    if (literal_octets_ == 0) state_ = State::kSkipLine;
    return Event::kMoreInput;
  }
  if (end != std::string_view::npos) piece.remove_suffix(1);
  buffer_.append(last_bytes(piece));
  buffer_.erase(0, buffer_.size() - last_bytes(buffer_).size());
  if (end == std::string_view::npos) return Event::kMoreInput;
  auto next = announced_literal(without_cr(buffer_));
  reset_to(State::kBoundary);
  // Who announced a synchronizing literal waits, and the refusal is the answer.
  if (!next || next->sync) return Event::kMoreInput;
  return next->overflow ? fatal("Literal too large") : skip_literal(next->octets);
}

CommandReader::Event CommandReader::refuse(std::string_view why, bool no) {
  refusal_ = why;
  refusal_is_no_ = no;
  return Event::kRefused;
}

CommandReader::Event CommandReader::fatal(std::string_view why) {
  reset_to(State::kFatal);
  refusal_ = why;
  return Event::kFatal;
}

void CommandReader::keep_tag(std::string_view text) {
  if (after_message_) return;  // kept when the message was announced
  std::string_view tag = text.substr(0, text.find(' '));
  bool good = !tag.empty() && tag.size() <= kTagBytesMax && tag.size() < text.size();
  for (char c : tag) {
    good = good && c > ' ' && c < 0x7f && std::string_view("(){%*\"\\+").find(c) == tag.npos;
  }
  refusal_tag_ = good ? tag : "*";
}

}  // namespace dormouse::imap
