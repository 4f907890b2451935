#pragma once

#include <deque>
#include <optional>

#include "cenote/cluster/watch.h"
#include "gateway.h"

namespace cenote::etcd {

/// A stream of etcd's, opened again where it was whenever it breaks. Nothing runs while nobody waits in `next`: what
/// comes meanwhile is kept by the exchange, up to its bound; beyond that the stream is dropped, and etcd keeps the
/// rest.
///
/// Invariants: everything up to `after_` was given to the reader or lies in `ready_`; `parts_` are of one message whose
/// last part is missing.
class EtcdWatch final : public cluster::Watch {
 public:
  /// `root` is what the keys of etcd have before those of the coordinator. `count` is that of all watches.
  EtcdWatch(Reactor& home, Gateway& gateway, const EtcdOptions& options, std::string_view prefix,
            cluster::Revision after, std::size_t& count, const CancelSource& closing);
  ~EtcdWatch() override;

  Task<Result<std::vector<cluster::WatchEvent>>> next(Until until) override;

 private:
  Task<Result<>> hear(Until until);
  Result<> open();
  void drop(const Error& why);
  Result<> take(std::string_view piece);
  Result<> take_message(WatchMessage message);
  void give(std::size_t count);
  std::vector<cluster::WatchEvent> batch();

  Reactor& home_;
  Gateway& gateway_;
  const EtcdOptions& options_;
  const std::string keys_root_;
  const std::string prefix_;
  cluster::Revision after_;
  std::size_t& count_;
  const CancelSource& closing_;
  std::optional<Gateway::Stream> stream_;
  std::string unfinished_;  // the beginning of a line
  std::vector<cluster::WatchEvent> parts_;
  std::deque<cluster::WatchEvent> ready_;
  std::size_t failures_ = 0;  // since something was heard
  std::optional<Error> ended_;
};

}  // namespace cenote::etcd
