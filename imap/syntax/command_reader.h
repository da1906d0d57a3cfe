#pragma once
// CommandReader cuts a client's bytes into commands: lines with their literals (RFC 3501 4.3,
// LITERAL+ of RFC 7888). It does not understand commands, with one exception: the message of APPEND
// is handed on as it comes, so that it never has to fit into memory.
//
// The reader owns nothing while it stands between two commands: no heap memory at all. It counts
// what it has consumed to the byte, because a parked session continues exactly there.
//
// How to use it:
//   while (!input.empty()) {
//     auto step = reader.feed(input);       // stops after the first event
//     input.remove_prefix(step.consumed_bytes);
//     switch (step.event) { ... }
//   }

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dormouse::imap {

struct ReaderLimits {
  // One line, without literals. Clients compress UID sets poorly: 64 KiB is what Dovecot takes too.
  std::size_t line_bytes_max = 64 * 1024;
  // A literal other than APPEND's message: search text, mailbox names, passwords.
  std::size_t literal_bytes_max = 64 * 1024;
  // All lines and literals of one command, APPEND's message apart.
  std::size_t command_bytes_max = 256 * 1024;
  // APPEND's message. 0: there is no APPEND (before login), its literals are like any other.
  std::uint64_t message_bytes_max = 64 * 1024 * 1024;
  // What is refused must still be read past, up to this; more costs the connection instead
  // (RFC 7888 4 allows both).
  std::uint64_t skip_bytes_max = 64 * 1024 * 1024;
};

// For login: nothing is owed to a stranger.
inline constexpr ReaderLimits kStrangerLimits{
    .line_bytes_max = 8 * 1024,     // AUTHENTICATE with a Kerberos ticket or OAuth token
    .literal_bytes_max = 4 * 1024,  // user names and passwords
    .command_bytes_max = 16 * 1024,
    .message_bytes_max = 0,
    .skip_bytes_max = 0,
};

class CommandReader {
 public:
  enum class Event : std::uint8_t {
    // All input consumed, no event: come back with more.
    kMoreInput,
    // A whole command or, after expect_line(), a line: text(). The reader stands at a boundary.
    kCommand,
    // A synchronizing literal is awaited: send "+ OK\r\n", then go on feeding.
    kContinuation,
    // text() is an APPEND up to its message (or, where after_message() says so, what stood between
    // two messages of a MULTIAPPEND, RFC 3502), which has literal_octets(). Answer with
    // accept_message() or refuse_message() before feeding on. If the literal is synchronizing
    // (literal_is_sync()), send "+ OK\r\n" after accepting; after refusing, send the tagged NO
    // only.
    kMessageLiteral,
    // step.data is the next piece of the accepted message.
    kMessageData,
    // The line after the message has ended; text() is what stood on it, "" in a good APPEND.
    // The reader stands at a boundary.
    kMessageEnd,
    // The command was beyond a bound. Send "<refusal_tag()> BAD|NO <refusal()>\r\n". The reader has
    // read past it, or will, without any further event (but kFatal). After an accepted message this
    // says that the APPEND must not happen.
    kRefused,
    // As kRefused, but the stream cannot be followed any further: send "* BYE <refusal()>\r\n" and
    // close. Every further feed() is kFatal again and consumes nothing.
    kFatal,
  };

  struct Step {
    Event event = Event::kMoreInput;
    std::size_t consumed_bytes = 0;  // of the input of this feed()
    std::string_view data;           // kMessageData: points into that input
  };

  explicit CommandReader(const ReaderLimits& limits = {}) : limits_(limits) {}

  // Reads up to and including the next event. May be called with "" (kMoreInput). A message literal
  // of no octets gives no kMessageData.
  Step feed(std::string_view input);

  // The next line is a continuation (IDLE's DONE, a SASL response): no literal begins on it. Holds
  // for one kCommand. Only at a boundary.
  void expect_line();

  void accept_message();
  // The reader skips the literal, if it is already on its way, and the rest of the command without
  // an event; at_boundary() tells when that is done.
  void refuse_message();

  // The command without its last line end; literals stand in it as "{3}\r\nabc". Valid until the
  // next feed(), and no longer than the input given to the last one.
  std::string_view text() const { return text_; }

  std::uint64_t literal_octets() const { return literal_octets_; }
  bool literal_is_sync() const { return literal_is_sync_; }
  bool after_message() const { return after_message_; }

  std::string_view refusal_tag() const { return refusal_tag_; }  // "*" if none could be read
  bool refusal_is_no() const { return refusal_is_no_; }          // NO rather than BAD
  std::string_view refusal() const { return refusal_; }          // with a response code if any

  // Between commands: all bytes consumed so far are of commands that were handed out (or refused).
  // Here, and only here, a session may be parked.
  bool at_boundary() const { return state_ == State::kBoundary; }
  // Bytes consumed since the start.
  std::uint64_t consumed_bytes_total() const { return consumed_bytes_total_; }
  // Heap memory held: 0 at a boundary once text() has been let go by release() or feed().
  std::size_t heap_bytes() const;
  void release();

  // Other bounds from the next command on (login passes to a session).
  void set_limits(const ReaderLimits& limits) { limits_ = limits; }

 private:
  enum class State : std::uint8_t {
    kBoundary,         // nothing read of the next command
    kLine,             // inside a line
    kLiteral,          // inside a literal kept in buffer_
    kMessageDecision,  // kMessageLiteral was given
    kMessage,          // inside APPEND's message
    kSkipLine,         // refused; looking for the end of the line
    kSkipLiteral,      // refused; inside a literal
    kFatal,
  };

  // Each takes what it can off `input` and answers with an event, kMoreInput for "go on".
  Event feed_line(std::string_view& input);
  void feed_literal(std::string_view& input);
  std::string_view feed_message(std::string_view& input);
  Event feed_skip(std::string_view& input);
  // `line` is a whole line without its line end, `text` the command up to its end; both may point
  // into buffer_ or into the input.
  Event end_line(std::string_view line, std::string_view text);
  Event begin_literal(std::string_view text, std::uint64_t octets, bool sync);
  // After it: kSkipLine, kSkipLiteral or kBoundary, as set by the caller.
  Event refuse(std::string_view why, bool no);
  Event fatal(std::string_view why);
  // Skips a literal, or gives up when it is longer than what may be skipped.
  Event skip_literal(std::uint64_t octets);
  void keep_tag(std::string_view text);
  void reset_to(State state);

  ReaderLimits limits_;
  State state_ = State::kBoundary;
  bool expect_line_ = false;
  bool after_message_ = false;  // in an APPEND, behind a message
  bool literal_is_sync_ = false;
  bool refusal_is_no_ = false;
  std::uint64_t literal_octets_ =
      0;  // announced; in kLiteral, kMessage, kSkipLiteral: still to come
  std::uint64_t skip_left_bytes_ = 0;
  std::uint64_t consumed_bytes_total_ = 0;
  std::size_t line_start_ = 0;  // in buffer_
  // The command so far, when it did not come in one piece. In kSkipLine the end of the line only,
  // where a literal may be announced.
  std::string buffer_;
  std::string_view text_;
  std::string refusal_tag_;
  std::string_view refusal_;  // always a constant of ours
};

}  // namespace dormouse::imap
