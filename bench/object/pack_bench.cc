#include <benchmark/benchmark.h>

#include <string>

#include "cenote/base/sealer.h"
#include "cenote/runtime/random.h"
#include "pack.h"

/// What a unit of 32 KiB costs that is compressed or encrypted on its way to the media, and back.
///
/// On paper: lz4 takes text at some 500 MB/s and noise several times as fast, since it gives up early, and unpacks at
/// 2 GB/s or more; zstd takes it at some 200 MB/s and unpacks at 1 GB/s. AES-256-GCM runs at several GB/s.
namespace cenote::object {
namespace {

enum class Data : std::int64_t { kText, kNoise };

Bytes make(Data data) {
  Bytes bytes;
  Random random(1);
  if (data == Data::kNoise) {
    while (bytes.size() < kUnitBytes) bytes.push_back(static_cast<std::byte>(random.next()));
    return bytes;
  }
  while (bytes.size() < kUnitBytes) {
    const std::string line = std::to_string(random.below(100'000)) + " GET /objects/" +
                             std::to_string(random.below(1'000'000)) + " 200 " + std::to_string(random.below(5000)) +
                             "\n";
    const ByteView view = as_bytes(line);
    bytes.insert(bytes.end(), view.begin(), view.end());
  }
  bytes.resize(kUnitBytes);
  return bytes;
}

void pack(benchmark::State& state) {
  const auto compression = static_cast<Compression>(state.range(0));
  const Bytes plain = make(static_cast<Data>(state.range(1)));
  Bytes out(kUnitBytes);
  Packer packer;
  std::size_t bytes = 0;
  for (auto _ : state) bytes = packer.compress(compression, plain, kUnitBytes - kChecksumChunkBytes, out);
  state.SetBytesProcessed(state.iterations() * kUnitBytes);
  state.counters["size"] = bytes == 0 ? 1.0 : static_cast<double>(bytes) / kUnitBytes;
}
BENCHMARK(pack)->ArgNames({"codec", "noise"})->ArgsProduct({{1, 2}, {0, 1}})->Unit(benchmark::kMicrosecond);

void unpack(benchmark::State& state) {
  const auto compression = static_cast<Compression>(state.range(0));
  const Bytes plain = make(Data::kText);
  Bytes stored(kUnitBytes), back(kUnitBytes);
  Packer packer;
  stored.resize(packer.compress(compression, plain, kUnitBytes - 1, stored));
  for (auto _ : state) ASSERT(packer.unpack(compression, stored, back));
  state.SetBytesProcessed(state.iterations() * kUnitBytes);
}
BENCHMARK(unpack)->ArgName("codec")->Arg(1)->Arg(2)->Unit(benchmark::kMicrosecond);

void seal(benchmark::State& state) {
  const std::array<std::byte, SecretKey::kBytes> bytes{};
  auto sealer = Sealer::create(SecretKey(bytes), [](MutableBytes into) { into[0] = std::byte{1}; });
  ASSERT(sealer);
  Bytes data = make(Data::kNoise);
  std::array<std::byte, kEnvelopeBytes> envelope;
  const bool open = state.range(0) != 0;
  ASSERT(sealer->seal({}, data, data, envelope));
  Bytes out(data.size());
  for (auto _ : state) {
    if (open) {
      ASSERT(sealer->open({}, data, envelope, out));
    } else {
      std::array<std::byte, kEnvelopeBytes> other;
      ASSERT(sealer->seal({}, data, out, other));
    }
  }
  state.SetBytesProcessed(state.iterations() * kUnitBytes);
}
BENCHMARK(seal)->ArgName("open")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace cenote::object
