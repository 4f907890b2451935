#pragma once

#include <coroutine>

#include "cenote/base/assert.h"
#include "cenote/base/small_vector.h"
#include "cenote/media/block_device.h"

namespace cenote::object {

/// Device operations that run at the same time and are awaited together. Filled first, then awaited once; ends when all
/// of them have, with the first error. It must not move or be destroyed while it is awaited.
class IoGroup {
 public:
  explicit IoGroup(media::BlockDevice& device) : device_(device) {}
  IoGroup(const IoGroup&) = delete;
  IoGroup& operator=(const IoGroup&) = delete;
  ~IoGroup() { ASSERT(pending_ == 0); }

  void read(media::BlockNo first, MutableBytes into, int registered_index) {
    add(media::IoKind::kRead, first, into, media::Durability::kCached, registered_index);
  }
  void write(media::BlockNo first, MutableBytes from, media::Durability durability, int registered_index) {
    add(media::IoKind::kWrite, first, from, durability, registered_index);
  }
  std::size_t size() const { return operations_.size(); }

  auto run() {
    struct Awaiter {
      IoGroup& group;
      bool await_ready() const { return group.operations_.empty(); }
      void await_suspend(std::coroutine_handle<> handle) { group.submit(handle); }
      Result<> await_resume() { return std::move(group.result_); }
    };
    return Awaiter{*this};
  }

 private:
  struct Operation final : media::IoRequest {
    explicit Operation(IoGroup& g) : group(&g) {}
    void complete(Result<> result) override { group->completed(std::move(result)); }
    IoGroup* group;
  };

  void add(media::IoKind kind, media::BlockNo first, MutableBytes bytes, media::Durability durability, int registered) {
    Operation& operation = operations_.emplace_back(*this);
    operation.kind = kind;
    operation.first = first;
    operation.data = bytes.data();
    operation.bytes = bytes.size();
    operation.durability = durability;
    operation.registered_index = registered;
  }
  void submit(std::coroutine_handle<> handle) {
    waiter_ = handle;
    // A device never completes inside `submit`, so the waiter cannot resume before the last one is under way.
    pending_ = operations_.size();
    for (Operation& operation : operations_) device_.submit(operation);
  }
  void completed(Result<> result) {
    if (!result && result_) result_ = std::move(result);
    if (--pending_ == 0) waiter_.resume();
  }

  media::BlockDevice& device_;
  SmallVector<Operation, 2> operations_;
  std::size_t pending_ = 0;
  Result<> result_;
  std::coroutine_handle<> waiter_;
};

}  // namespace cenote::object
