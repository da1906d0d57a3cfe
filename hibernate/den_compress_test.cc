// Sleepers that have COMPRESS (RFC 4978) in force.

#include "compress/deflate_stream.h"
#include "compress/inflate_stream.h"
#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

// A client that has COMPRESS in force, over its end of the connection.
class DeflatedClient {
 public:
  explicit DeflatedClient(Client& plain)
      : plain_(plain), inflate_(*compress::InflateStream::create()) {}
  void say(std::string_view text) {
    compress::Bytes wire;
    // Above the size that goes out stored: later words refer to earlier ones, as a client's do.
    ASSERT_TRUE(
        deflate_.put(first_ ? std::string(compress::kStoredBytesMax, ' ') + "\r\n" : "", wire));
    ASSERT_TRUE(deflate_.put(text, wire));
    first_ = false;
    plain_.say({reinterpret_cast<const char*>(wire.data()), wire.size()});
  }
  // A part of what it has to say, from the middle of a deflate block.
  void say_half(std::string_view text) {
    compress::Bytes wire;
    ASSERT_TRUE(deflate_.put(text, wire));
    plain_.say({reinterpret_cast<const char*>(wire.data()), wire.size() / 2});
  }
  void hears(std::string_view text) {
    std::string got;
    while (got.size() < text.size()) {
      std::string wire = plain_.receive();
      if (wire.empty()) break;
      auto taken = inflate_.take(std::as_bytes(std::span(wire)), got, 1 << 20);
      if (taken.event != compress::InflateStream::Event::kNeedInput) break;
    }
    EXPECT_EQ(got, text);
  }
  // Above what a frozen stream keeps behind a block's boundary, and nothing that packs well.
  static std::string sentence() {
    std::string words;
    uint32_t random = 1;
    for (unsigned i = 0; i < 8 * compress::kTailBytesMax; ++i) {
      random = random * 1664525 + 1013904223;
      words += char('A' + (random >> 16) % 57);
    }
    return words;
  }
  static std::string first_words() { return std::string(compress::kStoredBytesMax, ' ') + "\r\n"; }

 private:
  Client& plain_;
  bool first_ = true;
  compress::DeflateStream deflate_;
  compress::InflateStream inflate_;
};

class CompressTest : public DenTest {
 protected:
  // The client asks, the worker agrees.
  void start_compress(Client& client) {
    client.say("c COMPRESS DEFLATE\r\n");
    worker_hears("c COMPRESS DEFLATE\r\n");
    answer_compress(20);
    client.hears("c OK DEFLATE active.\r\n");
  }
  void answer_compress(uint64_t consumed) {
    wire::WorkerToDen message;
    message.mutable_start_compress()->set_last_plain("c OK DEFLATE active.\r\n");
    message.mutable_start_compress()->set_consumed_bytes(consumed);
    must_send(worker_, message);
  }
  void park_deflated(DeflatedClient& client) {
    client.say("a2 IDLE\r\n");
    worker_hears(DeflatedClient::first_words() + "a2 IDLE\r\n");
    worker_says("+ idling\r\n");
    client.hears("+ idling\r\n");
    offer();
    watch_subscribes();
    EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
    send_park(20 + DeflatedClient::first_words().size() + 9, "state-1");
    EXPECT_TRUE(must_close(worker_));
  }
};

TEST_F(CompressTest, a_compressed_session_sleeps_is_told_talks_and_wakes) {
  exists_ = 5;
  Client plain = open_session();
  start_compress(plain);
  DeflatedClient client(plain);
  park_deflated(client);
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  change();
  attached();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.begin().compressed());
  refresh("* 7 EXISTS\r\n", "state-2");
  client.hears("* 7 EXISTS\r\n");
  for (int round = 0; round < 20; ++round) {
    client.say("DONE\r\na2 IDLE\r\n");
    client.hears("a2 OK Idle completed.\r\n+ idling\r\n");
  }
  client.say("DONE\r\na4 FETCH 1 ALL\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_TRUE(begin.compressed());
  worker_hears("a4 FETCH 1 ALL\r\n");
  std::string long_answer(20'000, 'x');
  worker_says(long_answer);
  worker_says("\r\na4 OK\r\n");
  client.hears(long_answer + "\r\na4 OK\r\n");
}

TEST_F(CompressTest, a_compressed_sleeper_survives_its_den) {
  Client plain = open_session();
  start_compress(plain);
  DeflatedClient client(plain);
  park_deflated(client);
  client.say("DONE\r\na2 IDLE\r\n");
  client.hears("a2 OK Idle completed.\r\n+ idling\r\n");
  ::usleep(100'000);
  kill_den();
  start_den();
  watch_subscribes();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  refresh("", "state-2");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(CompressTest, half_a_deflate_block_is_told_as_what_keeps_a_session_awake) {
  Client plain = open_session();
  start_compress(plain);
  DeflatedClient client(plain);
  client.say_half(DeflatedClient::sentence());
  auto heard = must_receive<wire::DenToWorker>(worker_).message.data().size();
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  send_park(20 + heard, "state-1");
  auto refused = must_receive<wire::DenToWorker>(worker_).message;
  EXPECT_EQ(refused.park_refused().hindrance(), wire::Hindrance::HALF_BLOCK);
  EXPECT_NE(view().find(" hindered_half_block=1"), std::string::npos);
}

TEST_F(CompressTest, half_a_deflate_block_dies_with_its_den_and_is_not_misread) {
  Client plain = open_session();
  start_compress(plain);
  DeflatedClient client(plain);
  park_deflated(client);
  client.say_half(DeflatedClient::sentence());
  ::usleep(100'000);
  kill_den();
  start_den();
  EXPECT_TRUE(plain.closed());
}

TEST_F(CompressTest, who_speaks_before_the_answer_to_compress_is_told_to_go) {
  Client client = open_session();
  client.say("c COMPRESS DEFLATE\r\nc2 NOOP\r\n");
  worker_hears("c COMPRESS DEFLATE\r\nc2 NOOP\r\n");
  answer_compress(20);
  client.hears("* BYE Nothing may be sent between COMPRESS and its answer\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(CompressTest, what_is_not_deflate_costs_the_connection) {
  Client plain = open_session();
  start_compress(plain);
  plain.say("\x06 clear text\r\n");
  std::string bye;
  auto inflate = *compress::InflateStream::create();
  std::string wire = plain.receive();
  inflate.take(std::as_bytes(std::span(wire)), bye, 1000);
  EXPECT_EQ(bye, "* BYE What you send is not deflate (RFC 4978)\r\n");
  EXPECT_TRUE(plain.closed());
}

}  // namespace
}  // namespace dormouse::hibernate
