#include "hibernate/client_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "tls/test_forger.h"

namespace dormouse::hibernate {
namespace {

using Input = ClientStream::Input;

// The client's side of it: the same engines, the other way round.
class Peer {
 public:
  explicit Peer(bool tls) : crypto_(tls::test::make_crypto()) {
    if (tls) engine_.emplace(crypto_, tls::test::make_keys(tls::kSuites[0].suite, true));
  }
  tls::Bytes say(std::string_view text) {
    compress::Bytes deflated;
    EXPECT_TRUE(deflate_.put(text, deflated));
    if (!engine_) return deflated;
    tls::Bytes wire;
    EXPECT_TRUE(engine_->seal(deflated, wire));
    return wire;
  }
  std::string hear(tls::Bytes wire) {
    std::string plain;
    if (!engine_) {
      inflate_.take(wire, plain, 1 << 20);
      return plain;
    }
    tls::Bytes reply;
    std::span<std::byte> rest(wire);
    while (!rest.empty()) {
      tls::Opened opened = engine_->open(rest, reply);
      if (opened.event == tls::OpenEvent::kData) inflate_.take(opened.data, plain, 1 << 20);
      if (opened.event != tls::OpenEvent::kData) break;
      rest = rest.subspan(opened.consumed_bytes);
    }
    return plain;
  }

 private:
  tls::RecordCrypto crypto_;
  std::optional<tls::RecordEngine> engine_;
  compress::DeflateStream deflate_;
  compress::InflateStream inflate_ = *compress::InflateStream::create();
};

class ClientStreams : public testing::TestWithParam<bool> {
 protected:
  ClientStreams() : crypto_(tls::test::make_crypto()), peer_(GetParam()) {
    tls::Bytes keys;
    if (GetParam()) keys = tls::test::make_keys(tls::kSuites[0].suite, false).freeze();
    stream_.emplace(*ClientStream::create(crypto_, keys, {}));
    stream_->start_compress();
  }
  // Asleep and awake again.
  void sleep() {
    ASSERT_TRUE(stream_->at_boundary());
    auto history = stream_->freeze_history();
    ASSERT_TRUE(history);
    auto thawed = ClientStream::create(crypto_, stream_->freeze(), *history);
    ASSERT_TRUE(thawed);
    stream_.emplace(std::move(*thawed));
    EXPECT_TRUE(stream_->compressed());
  }

  tls::RecordCrypto crypto_;
  Peer peer_;
  std::optional<ClientStream> stream_;
};

TEST_P(ClientStreams, both_directions_survive_any_number_of_sleeps) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string said;
    for (uint64_t n = random() % 8; n-- > 0;)
      said += "a" + std::to_string(i + int(n)) + " NOOP\r\n";
    said += "a UID FETCH " + std::to_string(random() % 1000) + " (FLAGS)\r\n";
    tls::Bytes wire = peer_.say(said);
    std::string plain;
    tls::Bytes reply;
    // In two receives, with a sleep between where that is possible.
    size_t cut = random() % wire.size();
    ASSERT_EQ(stream_->take(std::span(wire).first(cut), plain, reply), Input::kOpen);
    if (stream_->at_boundary()) sleep();
    ASSERT_EQ(stream_->take(std::span(wire).subspan(cut), plain, reply), Input::kOpen);
    ASSERT_EQ(plain, said);
    ASSERT_FALSE(stream_->more());
    if (random() % 2 == 0) sleep();
    std::string answer(random() % 600, 'x');
    tls::Bytes out;
    ASSERT_TRUE(stream_->put(answer, out));
    ASSERT_EQ(peer_.hear(out), answer);
  }
}

TEST_P(ClientStreams, a_bomb_comes_out_in_pieces_and_cannot_park_before_it_is_out) {
  tls::Bytes wire = peer_.say(std::string(1 << 20, 'x'));
  ASSERT_LT(wire.size(), 16u * 1024);
  size_t total = 0;
  std::string plain;
  tls::Bytes reply;
  ASSERT_EQ(stream_->take(wire, plain, reply), Input::kOpen);
  EXPECT_TRUE(stream_->more());
  EXPECT_EQ(stream_->hindrance(), wire::Hindrance::INPUT_UNREAD);
  while (true) {
    ASSERT_LE(plain.size(), kInflatedBytesMax);
    total += plain.size();
    plain.clear();
    if (!stream_->more()) break;
    ASSERT_EQ(stream_->take({}, plain, reply), Input::kOpen);
  }
  EXPECT_EQ(total, size_t(1) << 20);
  sleep();
}

TEST_P(ClientStreams, what_only_speaks_leaves_the_history_as_it_was) {
  tls::Bytes wire = peer_.say("a1 IDLE\r\n");
  std::string plain;
  tls::Bytes reply;
  stream_->take(wire, plain, reply);
  sleep();
  auto before = stream_->freeze_history();
  tls::Bytes out;
  ASSERT_TRUE(stream_->put("* 3 EXISTS\r\n", out));
  EXPECT_EQ(peer_.hear(out), "* 3 EXISTS\r\n");
  EXPECT_EQ(*stream_->freeze_history(), *before);
  EXPECT_LT(stream_->held_bytes(), 1024u) << "no zlib object";
}

INSTANTIATE_TEST_SUITE_P(Wire, ClientStreams, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

}  // namespace
}  // namespace dormouse::hibernate
