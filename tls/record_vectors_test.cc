// The published example of RFC 8448 section 3 (simple 1-RTT handshake), its records under the
// application keys: the engine must open and make exactly these bytes.

#include "tls/test_support.h"

namespace dormouse::tls {
namespace {

using test::bytes_of_hex;

constexpr std::string_view kClientSecret =
    "9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52 87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75 04 "
    "a5";
constexpr std::string_view kServerSecret =
    "a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 "
    "43";
constexpr std::string_view kClientKey = "17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51";
constexpr std::string_view kClientIv = "5b 78 92 3d ee 08 57 90 33 e5 23 d9";
constexpr std::string_view kServerKey = "9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56";
constexpr std::string_view kServerIv = "cf 78 2b 88 dd 83 54 9a ad f1 e9 84";
// Server's record 0: NewSessionTicket.
constexpr std::string_view kTicketRecord =
    "17 03 03 00 de 3a 6b 8f 90 41 4a 97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95 "
    "d4 1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7 58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88 "
    "91 a3 8e fb cf 57 53 ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0 d4 a3 d0 "
    "3f 75 e0 9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 91 d5 "
    "e4 c5 b4 06 f1 6e 3f c1 81 a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f "
    "69 23 2c 86 51 9d 86 cb ee ac 87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49 "
    "fe 51 37 12 1c 74 bc 26 97 68 7e 24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b "
    "6c 67 79 b3 7b f1 59 85 68 4f";
// Client's record 0 and server's record 1: the bytes 00 to 31.
constexpr std::string_view kClientData =
    "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab "
    "3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d "
    "ea e6 3a ee bb 21 69 49 15 e4";
constexpr std::string_view kServerData =
    "17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b "
    "36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 "
    "32 54 0d d0 32 e1 67 c2 95 5d";
constexpr std::string_view kClientClose =
    "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3";
constexpr std::string_view kServerClose =
    "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9";

Bytes payload() {
  Bytes bytes;
  for (int i = 0; i < 50; ++i) bytes.push_back(static_cast<std::byte>(i));
  return bytes;
}

SessionKeys keys(bool client) {
  SessionKeys keys;
  keys.suite = Suite::kTls13Aes128Gcm;
  keys.client = client;
  std::ranges::copy(bytes_of_hex(kClientSecret),
                    (client ? keys.send : keys.receive).material.begin());
  std::ranges::copy(bytes_of_hex(kServerSecret),
                    (client ? keys.receive : keys.send).material.begin());
  // The server's ticket was its record 0.
  if (!client) keys.send.count = 1;
  return keys;
}

TEST(Rfc8448, TrafficSecretsGiveThePublishedKeys) {
  RecordCrypto crypto = test::make_crypto();
  const SessionKeys client = keys(true);
  const AeadKey sending = crypto.derive(client.info(), client.send);
  const AeadKey receiving = crypto.derive(client.info(), client.receive);
  EXPECT_EQ(Bytes(sending.key.begin(), sending.key.begin() + 16), bytes_of_hex(kClientKey));
  EXPECT_EQ(Bytes(sending.iv.begin(), sending.iv.end()), bytes_of_hex(kClientIv));
  EXPECT_EQ(Bytes(receiving.key.begin(), receiving.key.begin() + 16), bytes_of_hex(kServerKey));
  EXPECT_EQ(Bytes(receiving.iv.begin(), receiving.iv.end()), bytes_of_hex(kServerIv));
}

TEST(Rfc8448, ClientMakesThePublishedRecords) {
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, keys(true));
  Bytes output;
  ASSERT_TRUE(engine.seal(payload(), output));
  EXPECT_EQ(output, bytes_of_hex(kClientData));
  output.clear();
  engine.close(output);
  EXPECT_EQ(output, bytes_of_hex(kClientClose));
}

TEST(Rfc8448, ServerMakesThePublishedRecords) {
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, keys(false));
  Bytes output;
  ASSERT_TRUE(engine.seal(payload(), output));
  EXPECT_EQ(output, bytes_of_hex(kServerData));
  output.clear();
  engine.close(output);
  EXPECT_EQ(output, bytes_of_hex(kServerClose));
}

TEST(Rfc8448, ServerOpensThePublishedRecords) {
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, keys(false));
  Bytes input = bytes_of_hex(kClientData);
  append(input, bytes_of_hex(kClientClose));
  Bytes output;
  Opened last;
  EXPECT_EQ(test::open_all(engine, input, output, &last), payload());
  EXPECT_EQ(last.event, OpenEvent::kCloseNotify);
  EXPECT_TRUE(output.empty());
}

TEST(Rfc8448, ClientOpensThePublishedRecordsAndPassesOverTheTicket) {
  RecordCrypto crypto = test::make_crypto();
  RecordEngine engine(crypto, keys(true));
  Bytes input = bytes_of_hex(kTicketRecord);
  append(input, bytes_of_hex(kServerData));
  append(input, bytes_of_hex(kServerClose));
  Bytes output;
  Opened last;
  EXPECT_EQ(test::open_all(engine, input, output, &last), payload());
  EXPECT_EQ(last.event, OpenEvent::kCloseNotify);
  EXPECT_EQ(engine.keys().receive.count, 3U);
}

}  // namespace
}  // namespace dormouse::tls
