#pragma once

#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "cenote/store/examine.h"
#include "records.h"

namespace cenote::object {

/// What a damaged target's system tree says, made into one that a target opens with.
class SalvagedRecords {
 public:
  /// Takes one entry of the system tree. Error: it is lost, and why.
  Result<> take(ByteView key, ByteView value);
  /// What seals the keys of containers, in the old store and in the new one.
  struct Keys {
    SecretKey from, to;
  };
  /// Once all are taken: leaves out what belongs to nobody, and says of each container what no longer is as it was.
  void settle(const std::optional<Keys>& keys, Reactor& reactor,
              const std::function<void(const Uuid&, std::string)>& lost);

  /// The container of each tree; trees of destroyed ones are not among them.
  std::optional<Uuid> owner_of(store::TreeId tree) const;
  bool is_destroyed(store::TreeId tree) const { return destroyed_.contains(tree); }
  std::map<store::TreeId, Uuid> trees() const;
  void count(const Uuid& container, const Usage& used) { containers_.at(container).used = used; }
  /// An epoch that something which was copied has.
  void saw(Epoch epoch) { highest_ = std::max(highest_, epoch); }

  /// The system tree of the new target. `whole`: all of the old one was read; if not, nobody reads the past below
  /// `now`, of which it is not known any more where it was merged.
  std::map<Bytes, Bytes> encode(bool whole, Epoch now) const;

 private:
  struct Container {
    ContainerRecord record;
    std::optional<Epoch> bound;
    std::set<Epoch> snapshots;
    std::optional<RollbackRecord> rollback;
    bool incomplete = false;
    Usage used;
  };
  Epoch ceiling(bool whole, Epoch now) const;

  std::map<Uuid, Container> containers_;
  std::set<store::TreeId> destroyed_;
  Epoch ceiling_, highest_;
  bool has_ceiling_ = false;
};

}  // namespace cenote::object
