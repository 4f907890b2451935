#pragma once

#include <array>
#include <cstdint>

#include "cenote/base/histogram.h"
#include "cenote/base/time.h"

namespace cenote::media {

enum class IoKind : std::uint8_t { kRead, kWrite, kFlush, kDiscard };
inline constexpr std::size_t kIoKinds = 4;

/// How a device answers: what failed, how long operations take, and whether that is longer than a device in order
/// needs. Owned by the device, told by it of every operation; a few plain adds each. Its reactor only.
class DeviceHealth {
 public:
  /// An operation that takes longer than this is slow: no disk in order needs it, however long its queue is.
  static constexpr Duration kSlowOperation = std::chrono::milliseconds(500);
  /// A device with so many slow operations within the window is slow, until it had none for as long.
  static constexpr std::size_t kSlowOperations = 3;
  static constexpr Duration kWindow = std::chrono::minutes(1);
  /// A device that has work and completes nothing for so long does not answer.
  static constexpr Duration kSilence = std::chrono::seconds(10);

  enum class State : std::uint8_t { kOk, kSlow, kSilent };

  void begun(Instant now) {
    if (in_flight_++ == 0) waiting_since_ = now;
  }
  void ended(IoKind kind, Duration took, bool failed, Instant now) {
    --in_flight_;
    waiting_since_ = now;
    if (LatencyHistogram* latency = latencies_[index(kind)]) latency->record(took);
    if (failed) ++errors_[index(kind)];
    if (took >= kSlowOperation) note_slow(now);
  }

  State state(Instant now) const {
    if (in_flight_ > 0 && now - waiting_since_ >= kSilence) return State::kSilent;
    return slow_ && now - last_slow() < kWindow ? State::kSlow : State::kOk;
  }
  std::uint64_t slow_operations() const { return slow_operations_; }
  std::uint64_t errors(IoKind kind) const { return errors_[index(kind)]; }
  /// For how long it has been silent, if it has work.
  Duration silence(Instant now) const { return in_flight_ > 0 ? now - waiting_since_ : Duration::zero(); }

  /// How long operations of a kind take is recorded there from now on; null: nowhere. Must outlive the device.
  void record_into(IoKind kind, LatencyHistogram* latency) { latencies_[index(kind)] = latency; }

 private:
  static constexpr std::size_t index(IoKind kind) { return static_cast<std::size_t>(kind); }
  Instant last_slow() const { return slow_at_[(slow_operations_ - 1) % kSlowOperations]; }
  void note_slow(Instant now) {
    if (slow_operations_ > 0 && now - last_slow() >= kWindow) slow_ = false;
    slow_at_[slow_operations_++ % kSlowOperations] = now;
    // Of the ring, the oldest is where the next one goes.
    const Instant oldest = slow_at_[slow_operations_ % kSlowOperations];
    if (slow_operations_ >= kSlowOperations && now - oldest < kWindow) slow_ = true;
  }

  std::uint64_t in_flight_ = 0;
  Instant waiting_since_{};  // with work in flight: since the last completion, or since there was any
  std::array<std::uint64_t, kIoKinds> errors_{};
  std::array<LatencyHistogram*, kIoKinds> latencies_{};
  std::array<Instant, kSlowOperations> slow_at_{};  // of the last ones, as a ring
  std::uint64_t slow_operations_ = 0;
  bool slow_ = false;
};

}  // namespace cenote::media
