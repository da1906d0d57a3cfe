#include "imap/syntax/command_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dormouse::imap {
namespace {

using Event = CommandReader::Event;

// Feeds all of `input` in pieces of `piece_bytes`, accepting every message, and writes down what
// happened: "C<text>", "+", "M<text>", "D<data>" (joined), "E<text>", "R<tag> <why>", "F<why>".
std::vector<std::string> run(CommandReader& reader, std::string_view input,
                             std::size_t piece_bytes) {
  std::vector<std::string> events;
  while (!input.empty()) {
    std::string piece(input.substr(0, piece_bytes));  // a copy, so that stale views are found
    input.remove_prefix(piece.size());
    std::string_view rest = piece;
    while (!rest.empty()) {
      auto step = reader.feed(rest);
      rest.remove_prefix(step.consumed_bytes);
      std::string text(reader.text());
      switch (step.event) {
        case Event::kMoreInput:
          EXPECT_TRUE(rest.empty());
          break;
        case Event::kCommand:
          events.push_back("C" + text);
          break;
        case Event::kContinuation:
          events.push_back("+");
          break;
        case Event::kMessageLiteral:
          events.push_back("M" + text);
          reader.accept_message();
          break;
        case Event::kMessageData:
          if (events.empty() || events.back()[0] != 'D') events.push_back("D");
          events.back() += step.data;
          break;
        case Event::kMessageEnd:
          events.push_back("E" + text);
          break;
        case Event::kRefused:
          events.push_back("R" + std::string(reader.refusal_tag()) + " " +
                           std::string(reader.refusal()));
          break;
        case Event::kFatal:
          events.push_back("F" + std::string(reader.refusal()));
          return events;
      }
    }
  }
  return events;
}

using Events = std::vector<std::string>;

// The same for pieces of every size: where bytes are cut must make no difference.
void expect_events(std::string_view input, const Events& expected, ReaderLimits limits = {}) {
  for (std::size_t piece = 1; piece <= input.size(); ++piece) {
    CommandReader reader(limits);
    EXPECT_EQ(run(reader, input, piece), expected) << "in pieces of " << piece;
  }
}

TEST(CommandReader, CutsLinesEndedByCrlfOrBareLf) {
  expect_events("a NOOP\r\nb NOOP\nc LOGOUT\r\n", {"Ca NOOP", "Cb NOOP", "Cc LOGOUT"});
}

TEST(CommandReader, AnEmptyLineIsACommandOfNothing) {
  expect_events("\r\n\na NOOP\r\n", {"C", "C", "Ca NOOP"});
}

TEST(CommandReader, KeepsACrThatIsNotBeforeLf) { expect_events("a \r b\r\r\n", {"Ca \r b\r"}); }

TEST(CommandReader, AsksForSynchronizingLiteralsOnly) {
  expect_events("a LOGIN {3}\r\nbob {4+}\r\np\r\nw\r\n",
                {"+", "Ca LOGIN {3}\r\nbob {4+}\r\np\r\nw"});
}

TEST(CommandReader, TakesLiteralsWithoutBytes) {
  expect_events("a LOGIN {0}\r\n {0+}\n\r\n", {"+", "Ca LOGIN {0}\r\n {0+}\r\n"});
}

TEST(CommandReader, ALiteralThatEndsInCrKeepsIt) {
  expect_events("a X {2+}\r\nb\r\n", {"Ca X {2+}\r\nb\r"});
}

TEST(CommandReader, ADigitlessBraceIsNoLiteral) {
  expect_events("a X {}\r\nb X {+}\r\nc X 3}\r\nd X {3x}\r\n",
                {"Ca X {}", "Cb X {+}", "Cc X 3}", "Cd X {3x}"});
}

TEST(CommandReader, HandsOnAnAppendsMessage) {
  expect_events("a APPEND INBOX (\\Seen) {6}\r\nx\r\n\r\ny\r\nb NOOP\r\n",
                {"Ma APPEND INBOX (\\Seen) {6}", "Dx\r\n\r\ny", "E", "Cb NOOP"});
}

TEST(CommandReader, FindsTheMessageBehindAMailboxThatIsALiteral) {
  expect_events("a append {3}\r\nfoo {2+}\r\nhi\r\n",
                {"+", "Ma append {3}\r\nfoo {2+}", "Dhi", "E"});
  expect_events("a append \"f\\\" o\" {2+}\r\nhi\r\n", {"Ma append \"f\\\" o\" {2+}", "Dhi", "E"});
}

TEST(CommandReader, HandsOnSeveralMessagesOfOneAppend) {
  expect_events("a APPEND x {1+}\r\n1 (\\Seen) {2+}\r\n22\r\n",
                {"Ma APPEND x {1+}", "D1", "M (\\Seen) {2+}", "D22", "E"});
}

TEST(CommandReader, AMessageWithoutBytesHasNoData) {
  expect_events("a APPEND x {0+}\r\n\r\nb NOOP\r\n", {"Ma APPEND x {0+}", "E", "Cb NOOP"});
}

TEST(CommandReader, RefusesATooLongLineOnceAndGoesOn) {
  ReaderLimits limits;
  limits.line_bytes_max = 20;
  limits.skip_bytes_max = 200;
  std::string line = "tag NOOP " + std::string(100, 'x') + "\r\n";
  expect_events(line + "b NOOP\r\n", {"Rtag Command line too long", "Cb NOOP"}, limits);
}

TEST(CommandReader, SkipsALiteralAtTheEndOfATooLongLine) {
  ReaderLimits limits;
  limits.line_bytes_max = 20;
  limits.skip_bytes_max = 200;
  std::string line = "tag X " + std::string(14, 'x') + "{3+}\r\nb\r\n {2+}\r\nzz\r\n";
  expect_events(line + "b NOOP\r\n", {"Rtag Command line too long", "Cb NOOP"}, limits);
}

TEST(CommandReader, GivesUpOnALineWithoutEnd) {
  ReaderLimits limits;
  limits.line_bytes_max = 20;
  limits.skip_bytes_max = 50;
  expect_events("tag X " + std::string(100, 'x'),
                {"Rtag Command line too long", "FCommand too long"}, limits);
}

TEST(CommandReader, RefusesASynchronizingLiteralWithoutReadingIt) {
  ReaderLimits limits;
  limits.literal_bytes_max = 10;
  expect_events("a X {11}\r\nb NOOP\r\n", {"Ra Literal too large", "Cb NOOP"}, limits);
  expect_events("a X {99999999999999999999999}\r\nb NOOP\r\n", {"Ra Literal too large", "Cb NOOP"},
                limits);
}

TEST(CommandReader, SkipsANonSynchronizingLiteralThatIsTooLarge) {
  ReaderLimits limits;
  limits.literal_bytes_max = 5;
  limits.skip_bytes_max = 20;
  expect_events("a X {6+}\r\nb\r\nc\r\n rest\r\nd NOOP\r\n", {"Ra Literal too large", "Cd NOOP"},
                limits);
  expect_events("a X {21+}\r\n", {"FLiteral too large"}, limits);
  expect_events("a X {99999999999999999999999+}\r\n", {"FLiteral too large"}, limits);
}

TEST(CommandReader, RefusesAMessageThatIsTooLargeWithNo) {
  ReaderLimits limits;
  limits.message_bytes_max = 5;
  CommandReader reader(limits);
  EXPECT_EQ(run(reader, "a APPEND x {6}\r\n", 100), Events{"Ra [TOOBIG] Message too large"});
  EXPECT_TRUE(reader.refusal_is_no());
  EXPECT_TRUE(reader.at_boundary());
}

TEST(CommandReader, BoundsACommandOfManyLiterals) {
  ReaderLimits limits;
  limits.command_bytes_max = 70;
  limits.literal_bytes_max = 30;
  std::string input = "a X";
  for (int i = 0; i < 5; ++i) input += " {20+}\r\n" + std::string(20, 'x');
  expect_events(input + "\r\nb NOOP\r\n", {"Ra Literal too large", "Cb NOOP"}, limits);
}

TEST(CommandReader, ARefusedMessageIsSkippedWithoutAnEvent) {
  CommandReader reader;
  std::string_view input = "a APPEND x {5+}\r\nh\r\nlo\r\nb NOOP\r\n";
  auto step = reader.feed(input);
  ASSERT_EQ(step.event, Event::kMessageLiteral);
  EXPECT_EQ(reader.literal_octets(), 5U);
  reader.refuse_message();
  EXPECT_FALSE(reader.at_boundary());
  input.remove_prefix(step.consumed_bytes);
  step = reader.feed(input);
  EXPECT_EQ(step.event, Event::kCommand);
  EXPECT_EQ(reader.text(), "b NOOP");
}

TEST(CommandReader, ARefusedSynchronizingMessageLeavesABoundary) {
  CommandReader reader;
  ASSERT_EQ(reader.feed("a APPEND x {5}\r\n").event, Event::kMessageLiteral);
  reader.refuse_message();
  EXPECT_TRUE(reader.at_boundary());
}

TEST(CommandReader, NoLiteralBeginsOnAnExpectedLine) {
  CommandReader reader;
  reader.expect_line();
  EXPECT_EQ(run(reader, "abc {3}\r\na NOOP\r\n", 100), (Events{"Cabc {3}", "Ca NOOP"}));
}

TEST(CommandReader, CountsConsumedBytesAndKnowsBoundaries) {
  CommandReader reader;
  auto step = reader.feed("a NOOP\r\nb NO");
  EXPECT_EQ(step.consumed_bytes, 8U);
  EXPECT_TRUE(reader.at_boundary());
  step = reader.feed("b NO");
  EXPECT_EQ(step.event, Event::kMoreInput);
  EXPECT_FALSE(reader.at_boundary());
  reader.feed("OP\r\n");
  EXPECT_TRUE(reader.at_boundary());
  EXPECT_EQ(reader.consumed_bytes_total(), 16U);
}

TEST(CommandReader, HoldsNoHeapMemoryBetweenCommands) {
  CommandReader reader;
  EXPECT_EQ(reader.heap_bytes(), 0U);
  reader.feed("a NOOP " + std::string(5000, 'x'));
  EXPECT_GE(reader.heap_bytes(), 5000U);
  ASSERT_EQ(reader.feed("\r\n").event, Event::kCommand);
  reader.release();
  EXPECT_EQ(reader.heap_bytes(), 0U);
  EXPECT_EQ(reader.feed("a NOOP and a command in one piece\r\n").event, Event::kCommand);
  EXPECT_EQ(reader.heap_bytes(), 0U) << "no copy was needed";
}

TEST(CommandReader, AMessageIsNeverHeld) {
  CommandReader reader;
  ASSERT_EQ(reader.feed("a APPEND x {1000000+}\r\n").event, Event::kMessageLiteral);
  reader.accept_message();
  std::string piece(100000, 'x');
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(reader.feed(piece).event, Event::kMessageData);
    EXPECT_LT(reader.heap_bytes(), 100U);
  }
}

TEST(CommandReader, AStrangerHasNoAppendAndNoLongLines) {
  expect_events("a APPEND x {5000+}\r\n", {"FLiteral too large"}, kStrangerLimits);
  CommandReader reader(kStrangerLimits);
  EXPECT_EQ(run(reader, "a X " + std::string(9000, 'x'), 1000), Events{"FCommand line too long"});
}

}  // namespace
}  // namespace dormouse::imap
