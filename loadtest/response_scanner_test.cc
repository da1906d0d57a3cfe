#include "loadtest/response_scanner.h"

#include <gtest/gtest.h>

#include <vector>

namespace dormouse::loadtest {
namespace {

struct Kept {
  ResponseKind kind;
  std::string tag;
  std::string text;
  uint64_t literal_bytes;
  bool operator==(const Kept&) const = default;
};

std::vector<Kept> scan(std::string_view bytes, size_t piece_bytes, bool* whole = nullptr) {
  ResponseScanner scanner;
  std::vector<Kept> heard;
  for (size_t i = 0; i < bytes.size(); i += piece_bytes) {
    scanner.feed(bytes.substr(i, piece_bytes), [&](const Response& response) {
      heard.push_back({response.kind, std::string(response.tag), std::string(response.text),
                       response.literal_bytes});
      return true;
    });
  }
  if (whole != nullptr) *whole = scanner.at_boundary();
  return heard;
}

constexpr auto kUntagged = ResponseKind::kUntagged;
constexpr auto kContinuation = ResponseKind::kContinuation;
constexpr auto kTagged = ResponseKind::kTagged;

TEST(ResponseScanner, keeps_literals_for_who_wants_them_up_to_a_bound) {
  constexpr std::string_view kBytes =
      "* 1 FETCH (A {3}\r\nx\r\n B {0}\r\n C {4}\r\nabcd)\r\n* 2 FETCH (A {9}\r\n123456789)\r\n";
  for (size_t piece : {1u, 4u, 1000u}) {
    ResponseScanner scanner({.literal_bytes_max = 8});
    std::vector<std::vector<std::string>> literals;
    std::vector<bool> truncated;
    for (size_t i = 0; i < kBytes.size(); i += piece) {
      scanner.feed(kBytes.substr(i, piece), [&](const Response& response) {
        literals.emplace_back(response.literals.begin(), response.literals.end());
        truncated.push_back(response.truncated);
        return true;
      });
    }
    ASSERT_EQ(literals.size(), 2u);
    EXPECT_EQ(literals[0], (std::vector<std::string>{"x\r\n", "", "abcd"}));
    EXPECT_EQ(literals[1], std::vector<std::string>{"12345678"});
    EXPECT_EQ(truncated, (std::vector<bool>{false, true}));
  }
}

TEST(ResponseScanner, cuts_the_same_responses_whatever_the_pieces) {
  constexpr std::string_view kBytes =
      "* OK ready {5}\r\n"
      "* 3 EXISTS\r\n"
      "+ idling\r\n"
      "+\r\n"
      "* 1 FETCH (BODY[HEADER] {12}\r\nA: b\r\n* 9 \r\n FLAGS () BODY[TEXT] {0}\r\n)\r\n"
      "a1 OK done {3}\r\n"
      "* 4 EXISTS\n";
  const std::vector<Kept> expected = {
      {kUntagged, "", "OK ready {5}", 0},
      {kUntagged, "", "3 EXISTS", 0},
      {kContinuation, "", "idling", 0},
      {kContinuation, "", "", 0},
      {kUntagged, "", "1 FETCH (BODY[HEADER] {12} FLAGS () BODY[TEXT] {0})", 12},
      {kTagged, "a1", "OK done {3}", 0},
      {kUntagged, "", "4 EXISTS", 0},
  };
  for (size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
    bool whole = false;
    EXPECT_EQ(scan(kBytes, piece, &whole), expected) << piece;
    EXPECT_TRUE(whole);
  }
}

TEST(ResponseScanner, is_not_at_a_boundary_inside_a_line_or_literal) {
  for (std::string_view part :
       {"*", "* 1 EXISTS", "* 1 EXISTS\r", "* X {3}\r\n", "* X {3}\r\nab", "* X {3}\r\nabc"}) {
    bool whole = true;
    scan(part, 100, &whole);
    EXPECT_FALSE(whole) << part;
  }
}

TEST(ResponseScanner, keeps_a_bounded_part_of_a_long_response) {
  std::string line = "* SEARCH " + std::string(100'000, '1') + " {2}\r\nab tail\r\na OK\r\n";
  auto heard = scan(line, 4096);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[0].text.size(), ScannerBounds().kept_bytes_max - 2);
  EXPECT_EQ(heard[0].literal_bytes, 2u);
  EXPECT_EQ(heard[1].tag, "a");
}

TEST(ResponseScanner, a_literal_beyond_32_bits_breaks_the_connection) {
  for (std::string_view bad : {"* X {4294967296}\r\n", "* X {99999999999999999999999}\r\n"}) {
    ResponseScanner scanner;
    scanner.feed(bad, [](const Response&) { return true; });
    EXPECT_TRUE(scanner.broken()) << bad;
  }
}

TEST(ResponseScanner, what_only_looks_like_a_literal_is_none) {
  for (std::string_view line :
       {"* X {}", "* X {a}", "* X {1", "* X {1}x", "* X 1}", "* X {1}\rx"}) {
    auto heard = scan(std::string(line) + "\r\na OK\r\n", 1000);
    EXPECT_EQ(heard.size(), 2u) << line;
  }
}

TEST(ResponseScanner, stops_when_told_to) {
  ResponseScanner scanner;
  int heard = 0;
  scanner.feed("* 1\n* 2\n* 3\n", [&](const Response&) { return ++heard < 2; });
  EXPECT_EQ(heard, 2);
}

TEST(NumberedData, reads_number_and_word) {
  auto data = numbered_data("23 EXISTS");
  ASSERT_TRUE(data);
  EXPECT_EQ(data->number, 23u);
  EXPECT_EQ(data->word, "EXISTS");
  EXPECT_EQ(numbered_data("7 FETCH (FLAGS ())")->word, "FETCH");
  for (std::string_view bad : {"", "x", "23", "23EXISTS", "4294967296 EXISTS", "-1 EXISTS"}) {
    EXPECT_FALSE(numbered_data(bad)) << bad;
  }
}

TEST(BeginsWithWord, wants_the_whole_word_in_any_case) {
  EXPECT_TRUE(begins_with_word("ok done", "OK"));
  EXPECT_TRUE(begins_with_word("OK", "OK"));
  EXPECT_FALSE(begins_with_word("OKAY", "OK"));
  EXPECT_FALSE(begins_with_word("O", "OK"));
}

}  // namespace
}  // namespace dormouse::loadtest
