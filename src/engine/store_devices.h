#pragma once

#include <memory>
#include <string>

#include "cenote/engine/engine_host.h"
#include "cenote/media/block_device.h"
#include "cenote/store/store.h"

namespace cenote::engine {

/// The open devices of one store, owned. `wal` and `data` are null where `meta` plays that role, too.
struct StoreDevices {
  std::unique_ptr<media::BlockDevice> meta;
  std::unique_ptr<media::BlockDevice> wal;
  std::unique_ptr<media::BlockDevice> data;

  /// Opens what the identity lists, on `reactor`. A device that is locked is waited for a while: the kernel lets go of
  /// the files of a killed process only when the last of its io_uring has been taken down, some time after the process
  /// is gone. Two engines cannot meet here, since the data directory has a lock of its own.
  static Task<Result<StoreDevices>> open(EngineHost& host, Reactor& reactor, StoreIdentity store);
  /// Nothing may be in flight.
  Task<> close();

  bool is_open() const { return meta != nullptr; }
  store::Devices roles() const;
  /// "'meta'", or with the others: "'meta', wal 'wal'".
  std::string name() const;
  /// Of all devices together.
  media::DeviceCounters counters() const;
  /// use(role, device) for each.
  template <typename Use>
  void for_each(Use use) const {
    if (meta) use("meta", *meta);
    if (wal) use("wal", *wal);
    if (data) use("data", *data);
  }
  /// How the worst of them answers at this moment, in words for `TargetInfo::state`; empty: as they should.
  std::string trouble(Instant now) const;
};

/// Why a store that the identity lists did not open: that there is none is damage.
Error lost_store(Error error);

}  // namespace cenote::engine
