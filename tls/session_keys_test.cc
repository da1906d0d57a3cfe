#include "tls/session_keys.h"

#include "tls/test_support.h"

namespace dormouse::tls {
namespace {

SessionKeys full_keys(Suite suite) {
  SessionKeys keys = test::make_keys(suite, true);
  const SuiteInfo& info = keys.info();
  keys.nonce_high = info.version == Version::kTls12 && info.aead != Aead::kChacha20Poly1305;
  keys.close_sent = true;
  keys.close_received = true;
  keys.idle_records = kIdleRecordsMax;
  keys.fragment_code = 4;
  keys.partial_bytes = 3;
  keys.partial = {std::byte{24}, std::byte{0}, std::byte{1}};
  keys.send.count = 0x0123456789abcdef;
  keys.receive.count = kRecordCountMax;
  return keys;
}

class EachSuite : public testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(Keys, EachSuite,
                         testing::Values(Suite::kTls13Aes128Gcm, Suite::kTls13Aes256Gcm,
                                         Suite::kTls13Chacha20Poly1305, Suite::kTls12Aes128Gcm,
                                         Suite::kTls12Aes256Gcm, Suite::kTls12Chacha20Poly1305),
                         [](const testing::TestParamInfo<Suite>& info) {
                           return test::suite_test_name(info.param);
                         });

TEST_P(EachSuite, ThawGivesBackAllThatWasFrozen) {
  const SessionKeys keys = full_keys(GetParam());
  const Bytes frozen = keys.freeze();
  EXPECT_EQ(frozen.size(), keys.frozen_size());
  const Result<SessionKeys> thawed = SessionKeys::thaw(frozen);
  ASSERT_TRUE(thawed) << thawed.error().message;
  EXPECT_EQ(thawed->suite, keys.suite);
  EXPECT_EQ(thawed->client, keys.client);
  EXPECT_EQ(thawed->nonce_high, keys.nonce_high);
  EXPECT_EQ(thawed->close_sent, keys.close_sent);
  EXPECT_EQ(thawed->close_received, keys.close_received);
  EXPECT_EQ(thawed->idle_records, keys.idle_records);
  EXPECT_EQ(thawed->fragment_code, keys.fragment_code);
  EXPECT_EQ(thawed->partial_bytes, keys.partial_bytes);
  EXPECT_EQ(thawed->partial, keys.partial);
  EXPECT_EQ(thawed->send.count, keys.send.count);
  EXPECT_EQ(thawed->receive.count, keys.receive.count);
  EXPECT_EQ(thawed->send.material, keys.send.material);
  EXPECT_EQ(thawed->receive.material, keys.receive.material);
  EXPECT_EQ(thawed->freeze(), frozen);
}

TEST_P(EachSuite, OnlyTheExactLengthThaws) {
  Bytes frozen = full_keys(GetParam()).freeze();
  for (size_t size = 0; size < frozen.size(); ++size) {
    EXPECT_FALSE(SessionKeys::thaw(ByteView(frozen).first(size))) << size;
    EXPECT_FALSE(FrozenKeys::attach(ByteSpan(frozen).first(size))) << size;
  }
  frozen.push_back(std::byte{0});
  EXPECT_FALSE(SessionKeys::thaw(frozen));
  EXPECT_TRUE(FrozenKeys::attach(frozen)) << "a slot may be longer";
}

TEST(SessionKeys, EachFieldOutOfRangeIsRefused) {
  const Bytes good = test::make_keys(Suite::kTls13Aes128Gcm, false).freeze();
  ASSERT_TRUE(SessionKeys::thaw(good));
  const auto refused = [&](size_t at, uint8_t value) {
    Bytes bad = good;
    bad[at] = std::byte{value};
    return !SessionKeys::thaw(bad) && !FrozenKeys::attach(bad);
  };
  EXPECT_TRUE(refused(0, 0)) << "format";
  EXPECT_TRUE(refused(1, 0)) << "suite";
  EXPECT_TRUE(refused(1, 7)) << "suite";
  EXPECT_TRUE(refused(1, 5)) << "suite whose keys are longer";
  EXPECT_TRUE(refused(2, 0x02)) << "explicit nonce in TLS 1.3";
  EXPECT_TRUE(refused(3, 0x05)) << "five bytes of a header of four";
  EXPECT_TRUE(refused(3, 0x04)) << "a partial message with nothing to come";
  EXPECT_TRUE(refused(3, 5 << 3)) << "fragment code";
  EXPECT_TRUE(refused(3, 0x40)) << "reserved bit";
  EXPECT_TRUE(refused(7, 1)) << "bytes behind the partial message";
  EXPECT_TRUE(refused(15, 0xff)) << "send counter";
  EXPECT_TRUE(refused(23, 0xff)) << "receive counter";
}

TEST(SessionKeys, FreezeWritesNothingWithoutRoom) {
  const SessionKeys keys = test::make_keys(Suite::kTls13Aes128Gcm, false);
  Bytes small(keys.frozen_size() - 1);
  EXPECT_FALSE(keys.freeze(ByteSpan(small)));
  EXPECT_EQ(small, Bytes(small.size()));
}

TEST(SessionKeys, MovedFromKeysAreWiped) {
  SessionKeys keys = test::make_keys(Suite::kTls13Aes256Gcm, false);
  const SessionKeys moved = std::move(keys);
  // NOLINTNEXTLINE(bugprone-use-after-move): what is left behind is the subject
  EXPECT_EQ(keys.send.material, (std::array<std::byte, kMaterialBytesMax>{}));
  EXPECT_EQ(keys.receive.material, (std::array<std::byte, kMaterialBytesMax>{}));
  EXPECT_NE(moved.send.material, keys.send.material);
}

TEST(FrozenKeys, CountersAdvanceInPlaceAndNowhereElse) {
  Bytes frozen = full_keys(Suite::kTls12Aes256Gcm).freeze();
  Bytes expected = frozen;
  Result<FrozenKeys> keys = FrozenKeys::attach(frozen);
  ASSERT_TRUE(keys);
  const Result<uint64_t> first = keys->advance_send(3);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, 0x0123456789abcdefU);
  EXPECT_EQ(keys->send_count(), 0x0123456789abcdefU + 3);
  expected[kSendCountOffset] = std::byte{0xf2};
  EXPECT_EQ(frozen, expected);
}

TEST(FrozenKeys, ExhaustedCountersStayWhereTheyAre) {
  SessionKeys keys = test::make_keys(Suite::kTls13Aes128Gcm, false);
  keys.send.count = kParkedRecordsMax - 1;
  keys.receive.count = kRecordCountMax;
  Bytes frozen = keys.freeze();
  Result<FrozenKeys> parked = FrozenKeys::attach(frozen);
  ASSERT_TRUE(parked);
  EXPECT_FALSE(parked->advance_send(2));
  EXPECT_EQ(parked->send_count(), kParkedRecordsMax - 1);
  EXPECT_TRUE(parked->advance_send(1));
  EXPECT_FALSE(parked->advance_send(1));
  EXPECT_FALSE(parked->advance_receive(1));
  EXPECT_EQ(parked->receive_count(), kRecordCountMax);
}

}  // namespace
}  // namespace dormouse::tls
