#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/engine/identity.h"
#include "cenote/media/block_device.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/rpc/address.h"
#include "cenote/rpc/link.h"
#include "cenote/runtime/reactor.h"

namespace cenote::engine {

/// A way for clients to reach one reactor.
struct Endpoint {
  std::unique_ptr<rpc::Transport> transport;
  rpc::Address address;
};

/// The world an engine stands on: reactors, devices, networks. A real machine (`Engine`) or the simulator provides it.
/// Outlives the EngineCore that uses it, while its reactors run.
class EngineHost {
 public:
  EngineHost() = default;
  EngineHost(const EngineHost&) = delete;
  EngineHost& operator=(const EngineHost&) = delete;
  virtual ~EngineHost() = default;

  /// Runs coordinator and admin API.
  virtual Reactor& control() = 0;
  /// Run targets and connections; at least one; target i belongs to reactor i modulo their number. The control reactor
  /// may be one of them.
  virtual std::span<Reactor* const> data() = 0;

  /// Opens a device of a store, by its path in the identity, for use on `reactor`, on which it is called.
  virtual Result<std::unique_ptr<media::BlockDevice>> open_device(Reactor& reactor, const std::string& path) = 0;
  /// Makes the file of a store so large, durably. On the control reactor, which goes on meanwhile; one call at a time.
  /// kInvalidArgument for a block device, kOutOfRange for a file that is larger, kDeviceFull; then nothing has changed.
  virtual Task<Result<>> enlarge(std::string path, std::uint64_t bytes) = 0;
  /// Makes the buffers of `pool` cheap to use with `device`; both belong to `reactor`, on which it is called.
  virtual void register_buffers(Reactor& reactor, media::BlockDevice& device, media::BufferPool& pool) {
    (void)reactor;
    (void)device;
    (void)pool;
  }
  /// Where data reactor number `index` is to serve clients; called on it. Several reactors may name the same address;
  /// the port that the first one was given for port 0 then counts for all. The transports count in `counters`, which
  /// are of that reactor and outlive them.
  virtual Result<std::vector<Endpoint>> endpoints(std::size_t index, rpc::Counters& counters) = 0;
  /// The coordinator that this engine shares with others; nullptr: it has one of its own, in a store. On the control
  /// reactor, and open for as long as the engine runs.
  virtual cluster::Coordinator* coordinator() { return nullptr; }
  /// How the control reactor reaches other engines; called on it. Only where there is an outside coordinator.
  virtual std::unique_ptr<rpc::Transport> outgoing() { return nullptr; }
  /// The same of data reactor number `index`; called on it.
  virtual std::unique_ptr<rpc::Transport> outgoing_at(std::size_t index) {
    (void)index;
    return nullptr;
  }
  /// Replaces the copy of what the outside coordinator holds (docs/formats/control-copy.md), as a whole and durably:
  /// after a crash there is the old or the new one. With `keep_last` the old one is put aside. On the control reactor,
  /// which goes on meanwhile; one call at a time.
  virtual Task<Result<>> replace_control_copy(Bytes copy, bool keep_last) = 0;
  /// What is there; nullopt: nothing. As above.
  virtual Task<Result<std::optional<Bytes>>> read_control_copy() = 0;
  /// Called once, when a system that was being created has all its stores formatted, durably. On the control reactor.
  virtual Result<> commit_creation() = 0;
};

}  // namespace cenote::engine
