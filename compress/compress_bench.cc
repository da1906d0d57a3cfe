// What sleeping costs under COMPRESS: output that forgets its window at each burst against output
// that does not, freezing and thawing the input side, and how many bytes a frozen one has. Sizes
// are in the counters of each line (docs/compress.md explains them).

#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>

#include "compress/counters.h"
#include "compress/deflate_stream.h"
#include "compress/dictionary.h"
#include "compress/inflate_stream.h"
#include "compress/test_support.h"

namespace dormouse::compress {
namespace {

// --- What a server says: one element is what one burst of activity brings.
// -------------------------

std::string header_reply(std::mt19937_64& random, int uid) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "Anna Berg", "Jon Smith", "Maria Rossi", "Li Wei",  "Newsletter", "Support",
      "Olga P.",   "Team",      "T. Novak",    "Billing", "Eva Braun",  "no-reply"};
  static constexpr std::array<std::string_view, 12> kWords = {
      "invoice", "meeting", "Re:",   "update", "your", "order",
      "report",  "weekly",  "lunch", "plan",   "for",  "shipped"};
  std::string subject;
  for (int i = 0; i < 5; ++i) subject += std::string(kWords[random() % 12]) + ' ';
  std::string headers = fmt::format(
      "From: {} <u{}@example{}.org>\r\nTo: me@example.com\r\nSubject: {}\r\n"
      "Date: Tue, {} Oct 2026 {:02}:{:02}:{:02} +0200\r\nMessage-ID: <{:016x}.{:08x}@mx{}>\r\n"
      "Content-Type: multipart/alternative; boundary=\"{:016x}\"\r\n\r\n",
      kNames[random() % 12], random() % 1000, random() % 40, subject, 1 + random() % 30,
      random() % 24, random() % 60, random() % 60, random(), random() % 0xffffffff, random() % 9,
      random());
  return fmt::format(
      "* {} FETCH (UID {} FLAGS (\\Seen) RFC822.SIZE {} BODY[HEADER.FIELDS (FROM TO "
      "SUBJECT DATE MESSAGE-ID CONTENT-TYPE)] {{{}}}\r\n{})\r\n",
      uid - 1000, uid, random() % 90'000, headers.size(), headers);
}

enum Output { kNotices, kOneHeader, kFiftyHeaders };
constexpr std::array<std::string_view, 3> kOutputNames = {"EXISTS notices", "a header a burst",
                                                          "50 headers a burst"};

std::vector<std::string> server_output(int kind) {
  std::mt19937_64 random(11);
  std::vector<std::string> bursts;
  int uid = 5000;
  for (int burst = 0; burst < 40; ++burst) {
    std::string text;
    if (kind == kNotices) text = fmt::format("* {} EXISTS\r\n* 1 RECENT\r\n", uid++ - 1000);
    if (kind == kOneHeader) text = header_reply(random, uid++);
    for (int i = 0; kind == kFiftyHeaders && i < 50; ++i) text += header_reply(random, uid++);
    bursts.push_back(text + fmt::format("a{} OK Fetch completed.\r\n", burst));
  }
  return bursts;
}

size_t bytes_of_all(const std::vector<std::string>& bursts) {
  size_t bytes = 0;
  for (const std::string& burst : bursts) bytes += burst.size();
  return bytes;
}

// Arguments: kind of output, whether each burst begins anew.
void output_ratio(benchmark::State& state) {
  auto bursts = server_output(int(state.range(0)));
  bool forgets = state.range(1) != 0;
  size_t wire_bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    DeflateStream stream;
    wire_bytes = 0;
    for (const std::string& burst : bursts) {
      Bytes wire;
      if (!stream.put(burst, wire)) std::abort();
      wire_bytes += wire.size();
      if (forgets) stream.release();
    }
  }
  auto plain_bytes = bytes_of_all(bursts);
  state.SetBytesProcessed(int64_t(state.iterations() * plain_bytes));
  state.counters["percent_of_plain"] = 100.0 * double(wire_bytes) / double(plain_bytes);
  state.SetLabel(std::string(kOutputNames[size_t(state.range(0))]) +
                 (forgets ? ", forgets" : ", continuous"));
}
BENCHMARK(output_ratio)->ArgsProduct({{kNotices, kOneHeader, kFiftyHeaders}, {0, 1}});

// What the choice of level, window and memory of deflate_stream.cc rests on.
void output_parameters(benchmark::State& state) {
  auto bursts = server_output(kFiftyHeaders);
  size_t wire_bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    DeflateState zlib = make_deflate(int(state.range(0)), int(state.range(1)), int(state.range(2)));
    Bytes wire(64 * 1024);
    wire_bytes = 0;
    for (const std::string& burst : bursts) {
      zlib->next_in = octets(burst);
      zlib->avail_in = uInt(burst.size());
      zlib->next_out = octets(wire);
      zlib->avail_out = uInt(wire.size());
      deflate(zlib.get(), Z_SYNC_FLUSH);
      wire_bytes += wire.size() - zlib->avail_out;
    }
  }
  state.SetBytesProcessed(int64_t(state.iterations() * bytes_of_all(bursts)));
  state.counters["percent_of_plain"] = 100.0 * double(wire_bytes) / double(bytes_of_all(bursts));
  // zconf.h: the memory of a deflater.
  state.counters["memory_bytes"] =
      double((size_t{1} << (state.range(1) + 2)) + (size_t{1} << (state.range(2) + 9)));
}
BENCHMARK(output_parameters)->ArgsProduct({{1, 3, 6}, {12, 13, 14, 15}, {5, 6, 8}});

// One short answer of a sleeper: stored, or with a fresh window.
void short_answer(benchmark::State& state) {
  auto bytes = size_t(state.range(0));
  std::mt19937_64 random(12);
  std::string text = header_reply(random, 4711);
  while (text.size() < bytes) text += header_reply(random, 4712);
  text.resize(bytes);
  size_t deflated_bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    DeflateState zlib = make_deflate(3, 13, 6);
    Bytes wire(4096);
    zlib->next_in = octets(text);
    zlib->avail_in = uInt(text.size());
    zlib->next_out = octets(wire);
    zlib->avail_out = uInt(wire.size());
    deflate(zlib.get(), Z_SYNC_FLUSH);
    deflated_bytes = wire.size() - zlib->avail_out;
  }
  state.counters["deflated_bytes"] = double(deflated_bytes);
  state.counters["stored_bytes"] = double(bytes + kStoredOverheadBytes);
}
BENCHMARK(short_answer)->Arg(32)->Arg(96)->Arg(192)->Arg(384)->Arg(768);

// --- What a client says
// ----------------------------------------------------------------------------

std::string joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

struct Client {
  std::string_view name;
  std::string said;  // since COMPRESS
};

// The header list of the third does not stand in the dictionary.
const std::array<Client, 6>& clients() {
  static const std::array<Client, 6> all = [] {
    std::array<Client, 6> made;
    made[0] = {"idles at once", "a3 SELECT INBOX\r\na4 IDLE\r\n"};
    made[1] = {"50 headers, one by one", joined(test::phone_session(50))};
    made[2].name = "50 headers, UIDs with gaps, lists unknown";
    for (int i = 0, uid = 900; i < 50; ++i, uid += 1 + i * i % 7) {
      made[2].said += fmt::format(
          "x{} uid fetch {} (bodystructure x-gm-labels body.peek[header.fields (received sender "
          "delivered-to x-mailer thread-topic)])\r\n",
          i, uid);
    }
    made[2].said += "x51 idle\r\n";
    made[3].name = "100 rounds of IDLE and DONE";
    for (int i = 0; i < 100; ++i) made[3].said += fmt::format("A{:03} IDLE\r\nDONE\r\n", i);
    made[4].name = "NOOP every minute for a day";
    for (int i = 0; i < 1440; ++i) made[4].said += fmt::format("{} NOOP\r\n", i);
    made[5].name = "appended a 24 KiB attachment";
    std::mt19937_64 random(13);
    made[5].said = "7 APPEND Sent {24576}\r\n";
    for (int i = 0; i < 24 * 1024; ++i) {
      made[5].said +=
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random() % 64];
    }
    return made;
  }();
  return all;
}

size_t deflated(std::string_view text, std::string_view preset) {
  DeflateState zlib = make_deflate(9, 15, 8);
  if (!preset.empty()) deflateSetDictionary(zlib.get(), octets(preset), uInt(preset.size()));
  Bytes wire(text.size() + 1024);
  zlib->next_in = octets(text);
  zlib->avail_in = uInt(text.size());
  zlib->next_out = octets(wire);
  zlib->avail_out = uInt(wire.size());
  deflate(zlib.get(), Z_FINISH);
  return wire.size() - zlib->avail_out;
}

InflateStream stream_of(const Client& client) {
  test::Reference peer;
  InflateStream stream = *InflateStream::create();
  std::string plain;
  if (stream.take(peer.put(client.said), plain, 1 << 20).event !=
      InflateStream::Event::kNeedInput) {
    std::abort();
  }
  return stream;
}

void freeze(benchmark::State& state) {
  const Client& client = clients()[size_t(state.range(0))];
  InflateStream stream = stream_of(client);
  size_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    auto frozen = stream.freeze();
    if (!frozen) std::abort();
    bytes = frozen->size();
  }
  state.counters["history"] = double(client.said.size());
  state.counters["frozen"] = double(bytes);
  state.counters["deflate_only"] = double(deflated(client.said, ""));
  state.counters["with_dictionary"] = double(deflated(client.said, dictionary(kDictionaryNow)));
  state.counters["with_counters"] = double(deflated(shorten_counters(client.said), ""));
  state.SetLabel(std::string(client.name));
}
BENCHMARK(freeze)->DenseRange(0, 5);

void thaw(benchmark::State& state) {
  const Client& client = clients()[size_t(state.range(0))];
  Bytes frozen = *stream_of(client).freeze();
  for ([[maybe_unused]] auto _ : state) {
    auto stream = InflateStream::thaw(frozen);
    if (!stream) std::abort();
  }
  state.SetLabel(std::string(client.name));
}
BENCHMARK(thaw)->DenseRange(0, 5);

// A sleeper says "DONE" and is answered: all that compress/ does for it, packing apart (freeze says
// what that costs; every seventh round of DONE and IDLE packs).
void small_talk(benchmark::State& state) {
  const Client& client = clients()[size_t(state.range(0))];
  test::Reference peer;
  InflateStream stream = *InflateStream::create();
  std::string plain;
  stream.take(peer.put(client.said), plain, 1 << 20);
  Bytes frozen = *stream.freeze();
  Bytes done = peer.put("DONE\r\n");
  for ([[maybe_unused]] auto _ : state) {
    auto thawed = InflateStream::thaw(frozen);
    std::string said;
    if (!thawed || thawed->take(done, said, 8192).consumed_bytes != done.size()) std::abort();
    Bytes wire;
    if (!DeflateStream().put("a4 OK Idle completed.\r\n", wire) || !thawed->freeze()) std::abort();
  }
  state.SetLabel(std::string(client.name));
}
BENCHMARK(small_talk)->DenseRange(0, 5);

void inflate_bulk(benchmark::State& state) {
  test::Reference peer;
  std::string text = joined(server_output(kFiftyHeaders));
  Bytes wire = peer.put(text);
  for ([[maybe_unused]] auto _ : state) {
    InflateStream stream = *InflateStream::create();
    std::span<const std::byte> rest(wire);
    InflateStream::Taken taken;
    do {
      std::string plain;
      taken = stream.take(rest, plain, 32 * 1024);
      rest = rest.subspan(taken.consumed_bytes);
    } while (taken.event == InflateStream::Event::kFull);
  }
  state.SetBytesProcessed(int64_t(state.iterations() * text.size()));
}
BENCHMARK(inflate_bulk);

}  // namespace
}  // namespace dormouse::compress
