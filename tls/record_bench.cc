// What the record engine costs: above all "thaw, seal 30 bytes, freeze", which is one keepalive or
// one answer of a parked session.

#include <benchmark/benchmark.h>

#include <cstdlib>

#include "tls/record.h"
#include "tls/test_forger.h"

namespace dormouse::tls {
namespace {

using test::make_crypto;
using test::make_keys;

Suite suite_of(const benchmark::State& state) {
  return kSuites[static_cast<size_t>(state.range(0))].suite;
}
void label(benchmark::State& state) {
  state.SetLabel(std::string(kSuites[static_cast<size_t>(state.range(0))].name));
}

constexpr size_t kSmallBytes = 30;  // about "A001 OK Idle completed (0.001 s)"

void thaw_seal_freeze(benchmark::State& state) {
  RecordCrypto crypto = make_crypto();
  Bytes frozen = make_keys(suite_of(state), false).freeze();
  const Bytes plain(kSmallBytes, std::byte{'x'});
  Bytes output;
  for ([[maybe_unused]] auto _ : state) {
    Result<SessionKeys> keys = SessionKeys::thaw(frozen);
    if (!keys) std::abort();
    RecordEngine engine(crypto, std::move(*keys));
    output.clear();
    if (!engine.seal(plain, output) || !engine.freeze(frozen)) std::abort();
    benchmark::DoNotOptimize(output.data());
  }
  label(state);
}
BENCHMARK(thaw_seal_freeze)->DenseRange(0, kSuites.size() - 1);

void seal_in_place_counter(benchmark::State& state) {
  RecordCrypto crypto = make_crypto();
  Bytes frozen = make_keys(suite_of(state), false).freeze();
  const Bytes plain(kSmallBytes, std::byte{'x'});
  Bytes output;
  for ([[maybe_unused]] auto _ : state) {
    output.clear();
    if (!seal_frozen(crypto, frozen, plain, output)) {
      // 23 million records are done: begin again.
      frozen = make_keys(suite_of(state), false).freeze();
    }
    benchmark::DoNotOptimize(output.data());
  }
  label(state);
}
BENCHMARK(seal_in_place_counter)->DenseRange(0, kSuites.size() - 1);

// A parked session hears "DONE" and answers.
void thaw_open_seal_freeze(benchmark::State& state) {
  RecordCrypto crypto = make_crypto();
  const Bytes frozen = make_keys(suite_of(state), false).freeze();
  RecordEngine client(crypto, make_keys(suite_of(state), true));
  Bytes done;
  if (!client.seal(as_bytes("DONE\r\n"), done)) std::abort();
  const Bytes plain(kSmallBytes, std::byte{'x'});
  Bytes input;
  Bytes output;
  Bytes after(kFrozenBytesMax);
  for ([[maybe_unused]] auto _ : state) {
    input = done;
    output.clear();
    Result<SessionKeys> keys = SessionKeys::thaw(frozen);
    if (!keys) std::abort();
    RecordEngine engine(crypto, std::move(*keys));
    if (engine.open(input, output).event != OpenEvent::kData) std::abort();
    if (!engine.seal(plain, output) || !engine.freeze(after)) std::abort();
    benchmark::DoNotOptimize(output.data());
  }
  label(state);
}
BENCHMARK(thaw_open_seal_freeze)->DenseRange(0, kSuites.size() - 1);

// An awake session's bulk: bytes per second of one core, the engine's keys staying in the context.
void seal_bulk(benchmark::State& state) {
  RecordCrypto crypto = make_crypto();
  RecordEngine engine(crypto, make_keys(suite_of(state), false));
  const Bytes plain(size_t{256} << 10, std::byte{'x'});
  Bytes output(engine.sealed_bytes(plain.size()));
  for ([[maybe_unused]] auto _ : state) {
    if (!engine.seal(plain, ByteSpan(output))) std::abort();
    benchmark::DoNotOptimize(output.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * plain.size()));
  label(state);
}
BENCHMARK(seal_bulk)->DenseRange(0, kSuites.size() - 1);

// The same for small records of two awake sessions in turn, where the context changes keys.
void seal_alternating(benchmark::State& state) {
  RecordCrypto crypto = make_crypto();
  RecordEngine first(crypto, make_keys(suite_of(state), false));
  RecordEngine second(crypto, make_keys(suite_of(state), true));
  const Bytes plain(kSmallBytes, std::byte{'x'});
  Bytes output;
  for ([[maybe_unused]] auto _ : state) {
    output.clear();
    if (!first.seal(plain, output) || !second.seal(plain, output)) std::abort();
    benchmark::DoNotOptimize(output.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * 2));
  label(state);
}
BENCHMARK(seal_alternating)->DenseRange(0, kSuites.size() - 1);

}  // namespace
}  // namespace dormouse::tls
