#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "aligned_buffer.h"
#include "cenote/media/block_device.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "log_format.h"

namespace cenote::store {

/// Told by the log writer, from inside its own coroutines: do not destroy it there.
class LogListener {
 public:
  /// More of the log is durable.
  virtual void log_advanced() = 0;
  /// A log write failed: nothing later will ever be durable.
  virtual void log_failed(const Error& cause) = 0;

 protected:
  ~LogListener() = default;
};

struct LogWriterOptions {
  media::BlockDevice* device = nullptr;
  /// Flushed before a frame that claims extents goes out; null when data writes are durable as they complete.
  media::BlockDevice* flush_first = nullptr;
  Region ring;
  std::uint64_t incarnation = 0;
  std::uint64_t generation = 0;
  std::uint64_t superblock = 0;  ///< sequence of the newest durable superblock
  Sealer* sealer = nullptr;      ///< of a sealed store
  ChainPoint start;              ///< where the first frame goes
  std::uint64_t tail = 0;        ///< the oldest position still needed
  std::uint32_t writes_in_flight = 4;
  /// Bound on what waits in memory for the device; at least the largest frame.
  std::uint64_t pending_bytes_max = 8ull << 20;
};

/// What everybody is told who wants a change, or depends on one that may never be durable, after `cause`.
Error fenced_by(const Error& cause);

/// The log's writing side: group commit into frames (docs/formats/store.md, "Log"). `append` is a plain call that fixes
/// the record's position at once; frames go out by themselves, several at a time, and become durable strictly in order.
///
/// Invariants: tail <= durable <= head; head - tail is at most the ring; a frame is written once; a frame's header
/// claims nothing durable that is not; after a failed write `durable` never moves again. One reactor.
class LogWriter {
 public:
  LogWriter(Reactor& reactor, LogListener& listener, LogWriterOptions options);
  ~LogWriter();

  enum class Room {
    kYes,
    kBusy,  ///< Too much is waiting to be written; log_advanced tells when to ask again.
    kFull,  ///< The ring is full; only `release` (a checkpoint) helps.
  };
  /// Whether a record of so many bytes can be appended now.
  Room room(std::uint32_t record_bytes) const;
  /// Queues the record and returns its Lsn. There must be room. `claims`: it makes extents owned, so their data is made
  /// durable first.
  Lsn append(ByteView record, bool claims);

  /// Ends the open frame, so that the position returned lies between two frames: where replay can begin.
  std::uint64_t cut();
  /// What the frame at the last `cut` continues; known once that cut is durable.
  ChainPoint point_at_cut() const;

  /// Everything below is durable.
  Lsn durable() const { return Lsn(durable_); }
  /// To be awaited at once.
  class DurableWait;
  /// Waits until `lsn` is durable; kFenced with the cause when a write failed first.
  DurableWait wait_durable(Lsn lsn, Until until);

  /// A checkpoint made everything before `position` unnecessary, in the superblock of that sequence.
  void release(std::uint64_t position, std::uint64_t superblock);

  /// Waits for the writes in flight; what is queued behind them is written too unless a write failed.
  Task<> close();
  /// Fails the log from outside: nothing queued goes out any more.
  void fence(const Error& cause);

  const std::optional<Error>& failure() const { return failure_; }
  std::uint64_t head() const { return head_; }
  std::uint64_t tail() const { return tail_; }
  std::uint64_t ring_bytes() const { return ring_bytes_; }
  std::uint64_t writes() const { return writes_; }
  std::uint64_t blocks_written() const { return blocks_written_; }
  void check_invariants() const;

 private:
  /// Memory of one frame. All of it behind `used_bytes` is zero, so that padding is not zeroed again and again.
  struct FrameMemory {
    AlignedBuffer buffer;
    std::size_t used_bytes = 0;
  };
  /// A group of records that is written at once; the newest may still be open for more. It is the request of each step
  /// of its way to the media: as a coroutine that way would cost every single put several frames.
  struct Group final : media::IoRequest {
    /// What is left to do when the present step has ended.
    enum class Next : std::uint8_t { kAll, kFrame, kNothing };

    explicit Group(LogWriter& owner) : log(&owner) {}
    void complete(Result<> result) override { log->step_ended(*this, std::move(result)); }

    LogWriter* log;
    FrameMemory memory;  // until it is written
    std::uint64_t position = 0;
    std::uint32_t payload_bytes = 0;  // of the records
    std::uint32_t envelope_bytes = 0;
    std::uint32_t records = 0;
    bool claims = false;
    bool closed = false;
    Next next = Next::kAll;
    bool done = false;
    std::uint64_t requested_bytes = 0;  // of the frame
    std::uint64_t size() const { return frame_bytes(payload_bytes + envelope_bytes); }
    std::uint64_t end() const { return position + size(); }
  };

  bool fits_open_group(std::uint32_t record_bytes) const;
  Group& open_group(std::uint32_t record_bytes);
  std::unique_ptr<Group> make_group();
  FrameMemory take_memory(std::uint64_t bytes);
  void give_back(FrameMemory memory);
  void kick();
  Task<> start_loop();
  void start_writes();
  void next_step(Group& group);
  void write_part(Group& group);
  static void flush(Group& group, media::BlockDevice& device);
  void step_ended(Group& group, Result<> result);
  Result<> chain(Group& group);
  void advance();
  void wake_waiters();

  Reactor& reactor_;
  LogListener& listener_;
  LogWriterOptions options_;
  std::uint32_t envelope_bytes_;  // what sealing adds to a frame
  std::uint64_t ring_bytes_;
  std::deque<std::unique_ptr<Group>> groups_;  // not yet durable, oldest first
  std::size_t started_ = 0;                    // how many of them are being written or done
  std::uint64_t head_;                         // end of the newest group
  std::uint64_t durable_;
  std::uint64_t tail_;
  ChainPoint next_;  // what the next group to start continues
  std::uint64_t cut_ = 0;
  std::optional<ChainPoint> cut_point_;
  std::uint32_t in_flight_ = 0;
  std::coroutine_handle<> start_loop_;  // while it waits for `kick`
  bool closing_ = false;
  std::optional<Error> failure_;
  std::uint64_t writes_ = 0;
  std::uint64_t blocks_written_ = 0;
  // Kept so that a steady log allocates nothing; the memory is of the usual size.
  std::vector<FrameMemory> spare_memory_;
  std::vector<std::unique_ptr<Group>> spare_groups_;
  IntrusiveList<Waiter, struct WaitListTag> waiters_;
  Condition idle_;  // nothing is in flight any more
  Scope scope_;
};

class LogWriter::DurableWait {
 public:
  DurableWait(LogWriter& log, Lsn lsn, Until until) : log_(log), waiter_(log.reactor_, until, lsn.value()) {}

  bool await_ready() const { return log_.failure_.has_value() || waiter_.amount() <= log_.durable_; }
  void await_suspend(std::coroutine_handle<> handle) {
    log_.waiters_.push_back(waiter_);
    waiter_.start(handle);
  }
  Result<> await_resume() const;

 private:
  LogWriter& log_;
  Waiter waiter_;
};

}  // namespace cenote::store
