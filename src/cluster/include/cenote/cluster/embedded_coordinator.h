#pragma once

#include <memory>
#include <string>

#include "cenote/cluster/coordinator.h"
#include "cenote/store/store.h"

namespace cenote::cluster {

struct EmbeddedOptions {
  /// How many events are remembered for watches that lag behind, and how many bytes of keys and values in them.
  std::size_t history_events = 8192;
  std::size_t history_bytes = 8u << 20;
};

/// The coordinator of a system with one engine: its state is a tree in a small store of its own, so it is as durable
/// and crash-safe as the data. Takes over the store and closes it.
///
/// Keys are durable. Leases and the history of events are of this process: an open ends all leases of earlier ones,
/// whose holders died with them, and erases their keys before it returns; a watch cannot begin before the open
/// (kCompacted). The outcome of a commit is always known. Nothing here asks another machine: calls take as long as the
/// device.
class EmbeddedCoordinator final : public Coordinator {
 public:
  /// kForeign: the state was moved elsewhere, which the error names.
  static Task<Result<std::unique_ptr<EmbeddedCoordinator>>> open(std::unique_ptr<store::Store> store,
                                                                 EmbeddedOptions options = {});
  ~EmbeddedCoordinator() override;

  Task<Result<std::optional<KeyValue>>> get(std::string key, Until until = {}) override;
  Task<Result<std::vector<KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                            Until until = {}) override;
  Task<Result<Revision>> commit(Transaction transaction, Until until = {}) override;
  Task<Result<Revision>> revision(Until until = {}) override;
  Result<std::unique_ptr<Watch>> watch(std::string prefix, Revision after) override;
  Task<Result<Lease>> grant_lease(Duration ttl, Until until = {}) override;
  Task<Result<Lease>> keep_alive(LeaseId lease, Until until = {}) override;
  Task<Result<>> revoke_lease(LeaseId lease, Until until = {}) override;
  Task<Result<>> close() override;

  /// The state was moved to `where`, in full: no `open` takes this copy any more. Durable when it returns; then it is
  /// only closed.
  Task<Result<>> retire(std::string where);
  /// Why its store takes no changes any more; empty: it does.
  std::string trouble() const;
  void check_invariants() const;

 private:
  struct Impl;
  explicit EmbeddedCoordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::cluster
