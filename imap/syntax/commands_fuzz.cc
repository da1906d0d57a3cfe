// Bytes of a client: the first two choose bounds and how the input is cut. What must hold: pieces
// make no difference, consumed bytes add up, refusals are text of ours, and what parses fits
// bounds.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "imap/syntax/command_reader.h"
#include "imap/syntax/limits.h"
#include "imap/syntax/parser.h"
#include "imap/syntax/writer.h"

namespace {

using dormouse::imap::CommandReader;
using Event = CommandReader::Event;

void check(bool holds) {
  if (!holds) std::abort();
}

void parse_append_rest(std::string_view text) {
  auto message = dormouse::imap::parse_append_message(text);
  if (message) return;
  check(!message.error().text.empty());
  for (char c : message.error().text) check(c >= ' ' && c < 0x7f);
}

void parse(std::string_view text) {
  auto command = dormouse::imap::parse_command(text);
  if (!command) {
    check(!command.error().text.empty() && !command.error().tag.empty());
    for (char c : command.error().text) check(c >= ' ' && c < 0x7f);
    return;
  }
  check(command->tag.size() <= dormouse::imap::kTagBytesMax);
  if (const auto* fetch = command->as<dormouse::imap::Fetch>()) {
    std::string out;
    for (const auto& body : fetch->bodies) dormouse::imap::put_fetch_body_name(out, body);
    fetch->messages.resolve(1000);
  }
  if (const auto* search = command->as<dormouse::imap::Search>()) {
    // A parked session keeps its search as text.
    std::string program;
    dormouse::imap::put_search_program(program, *search);
    auto again = dormouse::imap::parse_command("a " + program);
    check(again.has_value());
    const auto* back = again->as<dormouse::imap::Search>();
    check(back != nullptr && back->key == search->key && back->order == search->order);
  }
  if (const auto* notify = command->as<dormouse::imap::Notify>()) {
    // A sleeper keeps them, and they must mean the same to whoever wakes it.
    for (const auto& group : notify->groups) {
      check(group.fetch.empty() || dormouse::imap::parse_fetch_list(group.fetch).has_value());
      check(group.fetch.size() <= dormouse::imap::kNotifyFetchBytesMax);
    }
  }
  if (const auto* select = command->as<dormouse::imap::Select>()) {
    std::string out;
    dormouse::imap::put_mailbox(out, select->mailbox);  // aborts if it is not UTF-8
  }
}

// What happened, for comparing two ways of cutting.
std::string run(std::string_view input, std::size_t piece_bytes, bool small, bool accept) {
  dormouse::imap::ReaderLimits limits;
  if (small) limits = {40, 30, 120, 50, 100};
  CommandReader reader(limits);
  std::string log;
  std::uint64_t given = 0;
  while (!input.empty()) {
    std::string piece(input.substr(0, piece_bytes));
    input.remove_prefix(piece.size());
    std::string_view rest = piece;
    while (!rest.empty()) {
      auto step = reader.feed(rest);
      rest.remove_prefix(step.consumed_bytes);
      given += step.consumed_bytes;
      check(reader.consumed_bytes_total() == given);
      if (step.event == Event::kMessageData) {
        log += step.data;
        continue;
      }
      if (step.event == Event::kMoreInput) {
        check(rest.empty());
        continue;
      }
      log += static_cast<char>('A' + static_cast<int>(step.event));
      if (step.event == Event::kCommand || step.event == Event::kMessageLiteral ||
          step.event == Event::kMessageEnd) {
        log += reader.text();
        parse(reader.text());
        parse_append_rest(reader.text());
      }
      if (step.event == Event::kMessageLiteral) {
        accept ? reader.accept_message() : reader.refuse_message();
      }
      if (step.event == Event::kFatal) return log;
      check(reader.heap_bytes() < 1024 * 1024);
    }
  }
  if (reader.at_boundary()) {
    reader.release();
    check(reader.heap_bytes() == 0);
  }
  return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const bool small = (data[0] & 1) != 0;
  const bool accept = (data[0] & 2) != 0;
  std::string whole = run(input, input.size(), small, accept);
  check(whole == run(input, std::size_t{data[1]} + 1, small, accept));
  return 0;
}
