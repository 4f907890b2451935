#pragma once

#include <memory>
#include <string>

#include "cenote/cluster/coordinator.h"
#include "cenote/store/store.h"

namespace cenote::cluster {

/// The coordinator of a system with one engine: its state is a tree in a small store of its own, so it is as durable
/// and crash-safe as the data. Takes over the store and closes it.
class EmbeddedCoordinator final : public Coordinator {
 public:
  static Task<Result<std::unique_ptr<EmbeddedCoordinator>>> open(std::unique_ptr<store::Store> store);
  ~EmbeddedCoordinator() override;

  Task<Result<std::optional<KeyValue>>> get(std::string key) override;
  Task<Result<std::vector<KeyValue>>> range(std::string prefix, std::string after, std::size_t limit) override;
  Task<Result<Revision>> commit(Transaction transaction) override;
  Task<Result<>> close() override;
  /// Why its store takes no changes any more; empty: it does.
  std::string trouble() const;

 private:
  EmbeddedCoordinator(std::unique_ptr<store::Store> store, store::TreeId tree);

  std::unique_ptr<store::Store> store_;
  store::TreeId tree_;
};

}  // namespace cenote::cluster
