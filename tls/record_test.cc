// The record engine against itself and against a forger who has the keys: bounds, refusals, floods.

#include "tls/record.h"

#include "tls/test_support.h"

namespace dormouse::tls {
namespace {

using test::make_keys;

class Records : public testing::TestWithParam<Suite> {
 protected:
  Records()
      : crypto_(test::make_crypto()),
        server_(crypto_, make_keys(GetParam(), false)),
        client_(crypto_, make_keys(GetParam(), true)),
        forger_(make_keys(GetParam(), true)) {}

  bool tls13() const { return server_.keys().info().version == Version::kTls13; }
  // One record from the forger to the server.
  Opened open(Bytes record) {
    record_ = std::move(record);
    answers_.clear();
    return server_.open(record_, answers_);
  }
  Opened forged(uint8_t type, ByteView plain, size_t padding_bytes = 0) {
    return open(forger_.record(type, plain, padding_bytes));
  }
  Opened forged(uint8_t type, std::initializer_list<int> plain) {
    Bytes bytes;
    for (const int byte : plain) bytes.push_back(static_cast<std::byte>(byte));
    return forged(type, bytes);
  }
  void expect_failed(const Opened& opened, Alert alert) {
    EXPECT_EQ(opened.event, OpenEvent::kFailed);
    EXPECT_EQ(opened.alert, static_cast<uint8_t>(alert)) << opened.reason;
    EXPECT_FALSE(opened.reason.empty());
    EXPECT_TRUE(server_.failed());
    EXPECT_LE(answers_.size(), kReplyBytesMax);
    // The alert that went out is the one reported.
    const Opened heard = client_.open(answers_, ignored_);
    EXPECT_EQ(heard.event, OpenEvent::kAlert);
    EXPECT_EQ(heard.alert, static_cast<uint8_t>(alert));
    // And nothing more happens.
    Bytes more;
    EXPECT_FALSE(server_.seal(test::pattern(1), more));
    EXPECT_EQ(server_.open(record_, more).event, OpenEvent::kFailed);
    EXPECT_TRUE(more.empty());
  }

  RecordCrypto crypto_;
  RecordEngine server_;
  RecordEngine client_;
  test::Forger forger_;
  Bytes record_;
  Bytes answers_;
  Bytes ignored_;
};

class Records12 : public Records {};
class Records13 : public Records {};

TEST_P(Records, EachPrefixOfARecordAsksForTheRest) {
  const Bytes record = forger_.record(kRecordApplicationData, test::pattern(40));
  for (size_t size = 0; size < record.size(); ++size) {
    Bytes prefix(record.begin(), record.begin() + static_cast<ptrdiff_t>(size));
    const Opened opened = server_.open(prefix, answers_);
    EXPECT_EQ(opened.event, OpenEvent::kNeedMore);
    EXPECT_EQ(opened.consumed_bytes, 0U);
    EXPECT_EQ(opened.need_bytes,
              (size < kRecordHeaderBytes ? kRecordHeaderBytes : record.size()) - size);
  }
  const Opened opened = open(record);
  EXPECT_EQ(opened.event, OpenEvent::kData);
  EXPECT_EQ(opened.consumed_bytes, record.size());
  EXPECT_EQ(Bytes(opened.data.begin(), opened.data.end()), test::pattern(40));
}

TEST_P(Records, AnyChangedBitIsRefused) {
  const Bytes record = forger_.record(kRecordApplicationData, test::pattern(3));
  for (size_t bit = 0; bit < record.size() * 8; ++bit) {
    if (bit / 8 == 3 || bit / 8 == 4) continue;  // the length: see the next test
    Bytes changed = record;
    changed[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    RecordEngine engine(crypto_, make_keys(GetParam(), false));
    EXPECT_EQ(engine.open(changed, ignored_).event, OpenEvent::kFailed) << bit;
  }
}

TEST_P(Records, RecordOfAWrongLengthIsRefused) {
  Bytes record = forger_.record(kRecordApplicationData, test::pattern(3));
  store_be(&record[3], record.size() - kRecordHeaderBytes - 1, 2);
  expect_failed(open(record), Alert::kBadRecordMac);
}

TEST_P(Records, OverlongRecordIsRefusedByItsHeader) {
  Bytes header(kRecordHeaderBytes);
  header[0] = std::byte{kRecordApplicationData};
  store_be(&header[1], kRecordVersion, 2);
  store_be(&header[3], kBodyBytesMax + 1, 2);
  expect_failed(open(header), Alert::kRecordOverflow);
}

TEST_P(Records, OverlongPlaintextIsRefused) {
  EXPECT_EQ(forged(kRecordApplicationData, test::pattern(kPlaintextBytesMax)).event,
            OpenEvent::kData);
  expect_failed(forged(kRecordApplicationData, test::pattern(kPlaintextBytesMax + 1)),
                Alert::kRecordOverflow);
}

TEST_P(Records, RecordShorterThanItsTagIsRefused) {
  Bytes record(kRecordHeaderBytes + kAeadTagBytes - 1);
  record[0] = std::byte{kRecordApplicationData};
  store_be(&record[1], kRecordVersion, 2);
  store_be(&record[3], kAeadTagBytes - 1, 2);
  expect_failed(open(record), Alert::kBadRecordMac);
}

TEST_P(Records, ReplayedRecordIsRefused) {
  const Bytes record = forger_.record(kRecordApplicationData, test::pattern(3));
  EXPECT_EQ(open(record).event, OpenEvent::kData);
  expect_failed(open(record), Alert::kBadRecordMac);
}

TEST_P(Records, EmptyRecordFloodIsBounded) {
  for (int i = 0; i < kIdleRecordsMax; ++i) {
    EXPECT_EQ(forged(kRecordApplicationData, {}).event, OpenEvent::kControl) << i;
  }
  expect_failed(forged(kRecordApplicationData, {}), Alert::kUnexpectedMessage);
}

TEST_P(Records, DataEndsAFloodCount) {
  for (int i = 0; i < 3 * kIdleRecordsMax; ++i) {
    EXPECT_EQ(forged(kRecordApplicationData, {}).event, OpenEvent::kControl) << i;
    EXPECT_EQ(forged(kRecordApplicationData, {'x'}).event, OpenEvent::kData) << i;
  }
}

TEST_P(Records, FloodCountSurvivesFreezing) {
  for (int i = 0; i < kIdleRecordsMax; ++i) {
    ASSERT_EQ(forged(kRecordApplicationData, {}).event, OpenEvent::kControl) << i;
    server_ = RecordEngine(crypto_, std::move(*SessionKeys::thaw(server_.keys().freeze())));
  }
  expect_failed(forged(kRecordApplicationData, {}), Alert::kUnexpectedMessage);
}

TEST_P(Records, WarningFloodIsBounded) {
  for (int i = 0; i < kIdleRecordsMax; ++i) {
    EXPECT_EQ(forged(kRecordAlert, {1, 90}).event, OpenEvent::kControl) << i;
    EXPECT_TRUE(answers_.empty());
  }
  expect_failed(forged(kRecordAlert, {1, 90}), Alert::kUnexpectedMessage);
}

TEST_P(Records, AlertsOfAWrongSizeAreRefused) {
  expect_failed(forged(kRecordAlert, {1}), Alert::kDecodeError);
}

TEST_P(Records, WhatFollowsACloseNotifyIsIgnored) {
  Bytes input = forger_.record(kRecordAlert, Bytes{std::byte{1}, std::byte{0}});
  EXPECT_EQ(open(input).event, OpenEvent::kCloseNotify);
  Bytes junk = test::pattern(100);
  const Opened opened = server_.open(junk, answers_);
  EXPECT_EQ(opened.event, OpenEvent::kCloseNotify);
  EXPECT_EQ(opened.consumed_bytes, junk.size());
  // Our own half is still open, frozen or not.
  EXPECT_TRUE(server_.seal(test::pattern(1), answers_));
  EXPECT_TRUE(SessionKeys::thaw(server_.keys().freeze())->close_received);
}

TEST_P(Records, NothingIsSealedAfterACloseNotify) {
  Bytes output;
  server_.close(output);
  const size_t size = output.size();
  server_.close(output);
  EXPECT_EQ(output.size(), size);
  EXPECT_FALSE(server_.seal(test::pattern(1), output));
  Bytes frozen = server_.keys().freeze();
  EXPECT_FALSE(seal_frozen(crypto_, frozen, test::pattern(1), output));
  EXPECT_EQ(output.size(), size);
  EXPECT_EQ(client_.open(output, ignored_).event, OpenEvent::kCloseNotify);
}

TEST_P(Records, SealedBytesIsExactForAnySize) {
  for (const size_t size : {0U, 1U, 16384U, 16385U, 50000U}) {
    const uint64_t before = server_.keys().send.count;
    const size_t records = server_.sealed_records(size);
    Bytes room(server_.sealed_bytes(size));
    if (size > 0) EXPECT_FALSE(server_.seal(test::pattern(size), ByteSpan(room).first(size)));
    EXPECT_EQ(server_.keys().send.count, before);
    const Result<size_t> sealed = server_.seal(test::pattern(size), ByteSpan(room));
    ASSERT_TRUE(sealed);
    EXPECT_EQ(*sealed, room.size());
    EXPECT_EQ(server_.keys().send.count, before + records);
    EXPECT_EQ(test::open_all(client_, room, ignored_), test::pattern(size));
  }
}

TEST_P(Records, ParkedCounterIsAdvancedWithTheSeal) {
  Bytes frozen = server_.keys().freeze();
  Bytes output;
  ASSERT_TRUE(seal_frozen(crypto_, frozen, test::pattern(40000), output));
  EXPECT_EQ(FrozenKeys::attach(frozen)->send_count(), 3U);
  EXPECT_EQ(test::open_all(client_, output, ignored_), test::pattern(40000));
}

TEST_P(Records, ParkedSealRefusesBrokenKeysAndExhaustedCounters) {
  Bytes output;
  Bytes broken(kFrozenBytesMax);
  EXPECT_FALSE(seal_frozen(crypto_, broken, test::pattern(1), output));
  SessionKeys keys = make_keys(GetParam(), false);
  keys.send.count = tls13() ? kParkedRecordsMax : kRecordCountMax;
  Bytes frozen = keys.freeze();
  const Bytes before = frozen;
  const Result<> sealed = seal_frozen(crypto_, frozen, test::pattern(1), output);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().kind, ErrorKind::kLimit);
  EXPECT_EQ(frozen, before);
  EXPECT_TRUE(output.empty());
}

TEST_P(Records, TwoEnginesMayShareTheirContextsInTurn) {
  RecordEngine other(crypto_, make_keys(GetParam(), false));
  RecordEngine other_client(crypto_, make_keys(GetParam(), true));
  for (int i = 0; i < 5; ++i) {
    Bytes first;
    Bytes second;
    ASSERT_TRUE(server_.seal(test::pattern(20), first));
    if (i % 2 == 0) ASSERT_TRUE(other.seal(test::pattern(30), second));
    EXPECT_EQ(test::open_all(client_, first, ignored_), test::pattern(20));
    EXPECT_EQ(test::open_all(other_client, second, ignored_).size(), i % 2 == 0 ? 30U : 0U);
  }
}

TEST_P(Records12, RecordNumbersRunOut) {
  SessionKeys keys = make_keys(GetParam(), false);
  keys.send.count = kRecordCountMax - 1;
  RecordEngine engine(crypto_, std::move(keys));
  Bytes output;
  EXPECT_TRUE(engine.seal(test::pattern(1), output));
  const Result<> sealed = engine.seal(test::pattern(1), output);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().kind, ErrorKind::kLimit);
  EXPECT_FALSE(engine.update_keys(false, output));
}

TEST_P(Records12, RenegotiationFloodIsRefusedAndBounded) {
  // Many hellos in one record get one answer; many records end the session.
  Bytes hellos;
  for (int i = 0; i < 100; ++i) {
    append(hellos, Bytes{std::byte{1}, std::byte{0}, std::byte{0}, std::byte{1}, std::byte{7}});
  }
  for (int i = 0; i < kIdleRecordsMax; ++i) {
    EXPECT_EQ(forged(kRecordHandshake, hellos).event, OpenEvent::kControl);
    EXPECT_FALSE(answers_.empty());
    EXPECT_LE(answers_.size(), kReplyBytesMax);
    const Opened heard = client_.open(answers_, ignored_);
    EXPECT_EQ(heard.event, OpenEvent::kControl);
    EXPECT_EQ(heard.alert, static_cast<uint8_t>(Alert::kNoRenegotiation));
  }
  expect_failed(forged(kRecordHandshake, hellos), Alert::kUnexpectedMessage);
}

TEST_P(Records12, HelloRequestToAClientIsRefusedWithAWarning) {
  test::Forger server(make_keys(GetParam(), false));
  Bytes record = server.record(kRecordHandshake, Bytes(4));
  EXPECT_EQ(client_.open(record, answers_).event, OpenEvent::kControl);
  EXPECT_EQ(server_.open(answers_, ignored_).alert, static_cast<uint8_t>(Alert::kNoRenegotiation));
}

TEST_P(Records12, FinishedAfterTheHandshakeIsRefused) {
  expect_failed(forged(kRecordHandshake, {20, 0, 0, 1, 7}), Alert::kUnexpectedMessage);
}

TEST_P(Records12, ChangeCipherSpecAfterTheHandshakeIsRefused) {
  expect_failed(forged(kRecordChangeCipherSpec, {1}), Alert::kUnexpectedMessage);
}

TEST_P(Records12, NonceHighKeepsOurNoncesInTheOtherHalf) {
  if (server_.keys().info().aead == Aead::kChacha20Poly1305) return;  // has no explicit nonce
  for (const bool high : {false, true}) {
    SessionKeys keys = make_keys(GetParam(), false);
    keys.nonce_high = high;
    RecordEngine engine(crypto_, std::move(*SessionKeys::thaw(keys.freeze())));
    Bytes output;
    ASSERT_TRUE(engine.seal(test::pattern(5), output));
    EXPECT_EQ((output[kRecordHeaderBytes] & std::byte{0x80}) != std::byte{0}, high);
    RecordEngine client(crypto_, make_keys(GetParam(), true));
    EXPECT_EQ(test::open_all(client, output, ignored_), test::pattern(5));
  }
}

TEST_P(Records13, PaddingIsRemoved) {
  const Opened opened = forged(kRecordApplicationData, test::pattern(10), 100);
  EXPECT_EQ(opened.event, OpenEvent::kData);
  EXPECT_EQ(opened.data.size(), 10U);
}

TEST_P(Records13, RecordOfZerosOnlyIsRefused) {
  expect_failed(forged(0, Bytes(), 5), Alert::kUnexpectedMessage);
}

TEST_P(Records13, UnprotectedRecordsAreRefused) {
  for (const uint8_t type : {kRecordAlert, kRecordHandshake, kRecordChangeCipherSpec}) {
    RecordEngine engine(crypto_, make_keys(GetParam(), false));
    Bytes plain = {std::byte{type}, std::byte{3}, std::byte{3}, std::byte{0},
                   std::byte{2},    std::byte{1}, std::byte{0}};
    EXPECT_EQ(engine.open(plain, ignored_).event, OpenEvent::kFailed);
  }
}

TEST_P(Records13, ChangeCipherSpecWithinARecordIsRefused) {
  expect_failed(forged(kRecordChangeCipherSpec, {1}), Alert::kUnexpectedMessage);
}

TEST_P(Records13, KeyUpdateInPiecesIsFollowedAcrossFreezing) {
  Bytes answer;
  const std::array<int, 5> message = {24, 0, 0, 1, 1};
  for (size_t i = 0; i < message.size(); ++i) {
    ASSERT_EQ(forged(kRecordHandshake, {message[i]}).event, OpenEvent::kControl);
    const bool whole = i + 1 == message.size();
    EXPECT_EQ(answers_.empty(), !whole);
    EXPECT_EQ(server_.rekeyed(), whole);
    if (whole) answer = answers_;
    if (whole) break;
    Result<SessionKeys> keys = SessionKeys::thaw(server_.keys().freeze());
    ASSERT_TRUE(keys) << keys.error().message;
    server_ = RecordEngine(crypto_, std::move(*keys));
  }
  forger_.update_keys();
  EXPECT_EQ(forged(kRecordApplicationData, {'x'}).event, OpenEvent::kData);
  // The client hears the answer and reads what comes under the new keys.
  Bytes sealed;
  ASSERT_TRUE(server_.seal(test::pattern(9), sealed));
  append(answer, sealed);
  EXPECT_EQ(test::open_all(client_, answer, ignored_), test::pattern(9));
}

TEST_P(Records13, KeyUpdateFloodIsBounded) {
  for (int i = 0; i < kIdleRecordsMax; ++i) {
    ASSERT_EQ(forged(kRecordHandshake, {24, 0, 0, 1, 1}).event, OpenEvent::kControl);
    EXPECT_EQ(client_.open(answers_, ignored_).event, OpenEvent::kControl);
    EXPECT_LE(answers_.size(), kReplyBytesMax);
    forger_.update_keys();
  }
  expect_failed(forged(kRecordHandshake, {24, 0, 0, 1, 1}), Alert::kUnexpectedMessage);
}

TEST_P(Records13, KeyUpdateIsNotAnsweredAfterCloseNotify) {
  Bytes output;
  server_.close(output);
  EXPECT_EQ(forged(kRecordHandshake, {24, 0, 0, 1, 1}).event, OpenEvent::kControl);
  EXPECT_TRUE(answers_.empty());
}

TEST_P(Records13, BrokenKeyUpdatesAreRefused) {
  expect_failed(forged(kRecordHandshake, {24, 0, 0, 1, 2}), Alert::kIllegalParameter);
}
TEST_P(Records13, KeyUpdateOfAWrongSizeIsRefused) {
  expect_failed(forged(kRecordHandshake, {24, 0, 0, 2, 0, 0}), Alert::kDecodeError);
}
TEST_P(Records13, BytesBehindAKeyUpdateAreRefused) {
  expect_failed(forged(kRecordHandshake, {24, 0, 0, 1, 0, 24}), Alert::kUnexpectedMessage);
}
TEST_P(Records13, DataWithinAHandshakeMessageIsRefused) {
  EXPECT_EQ(forged(kRecordHandshake, {24, 0}).event, OpenEvent::kControl);
  expect_failed(forged(kRecordApplicationData, {'x'}), Alert::kUnexpectedMessage);
}
TEST_P(Records13, EmptyHandshakeRecordIsRefused) {
  expect_failed(forged(kRecordHandshake, {}), Alert::kUnexpectedMessage);
}
TEST_P(Records13, TicketToAServerIsRefused) {
  expect_failed(forged(kRecordHandshake, {4, 0, 0, 1, 0}), Alert::kUnexpectedMessage);
}

TEST_P(Records13, TicketsToAClientArePassedOverInAnyPieces) {
  test::Forger server(make_keys(GetParam(), false));
  Bytes tickets = {std::byte{4}, std::byte{0}, std::byte{0}, std::byte{30}};
  tickets.resize(4 + 30);
  append(tickets, Bytes(tickets));
  for (const size_t cut : {1U, 4U, 20U, 34U, 36U, 67U}) {
    for (const ByteView part : {ByteView(tickets).first(cut), ByteView(tickets).subspan(cut)}) {
      Bytes record = server.record(kRecordHandshake, part);
      ASSERT_EQ(client_.open(record, answers_).event, OpenEvent::kControl) << cut;
      Result<SessionKeys> keys = SessionKeys::thaw(client_.keys().freeze());
      ASSERT_TRUE(keys) << keys.error().message;
      client_ = RecordEngine(crypto_, std::move(*keys));
    }
    EXPECT_EQ(client_.keys().partial_bytes, 0);
    Bytes data = server.record(kRecordApplicationData, test::pattern(5));
    EXPECT_EQ(client_.open(data, answers_).event, OpenEvent::kData);
  }
  EXPECT_TRUE(answers_.empty());
}

TEST_P(Records13, KeysAreUpdatedBeforeTheyHaveProtectedTooMuch) {
  SessionKeys sending = make_keys(GetParam(), false);
  SessionKeys receiving = make_keys(GetParam(), true);
  sending.send.count = kKeyUpdateAfterRecords - 1;
  receiving.receive.count = kKeyUpdateAfterRecords - 1;
  RecordEngine server(crypto_, std::move(sending));
  RecordEngine client(crypto_, std::move(receiving));
  const Bytes data = test::pattern(3 * kPlaintextBytesMax);
  EXPECT_EQ(server.sealed_records(data.size()), 4U);
  Bytes output(server.sealed_bytes(data.size()));
  const Result<size_t> sealed = server.seal(data, ByteSpan(output));
  ASSERT_TRUE(sealed);
  EXPECT_EQ(*sealed, output.size());
  EXPECT_TRUE(server.rekeyed());
  EXPECT_EQ(server.keys().send.count, 2U);
  EXPECT_EQ(test::open_all(client, output, ignored_), data);
  EXPECT_EQ(client.keys().receive.count, 2U);
}

const auto kTls12Suites =
    testing::Values(Suite::kTls12Aes128Gcm, Suite::kTls12Aes256Gcm, Suite::kTls12Chacha20Poly1305);
const auto kTls13Suites =
    testing::Values(Suite::kTls13Aes128Gcm, Suite::kTls13Aes256Gcm, Suite::kTls13Chacha20Poly1305);
std::string name(const testing::TestParamInfo<Suite>& info) {
  return test::suite_test_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Tls12, Records, kTls12Suites, name);
INSTANTIATE_TEST_SUITE_P(Tls13, Records, kTls13Suites, name);
INSTANTIATE_TEST_SUITE_P(Tls12, Records12, kTls12Suites, name);
INSTANTIATE_TEST_SUITE_P(Tls13, Records13, kTls13Suites, name);

}  // namespace
}  // namespace dormouse::tls
