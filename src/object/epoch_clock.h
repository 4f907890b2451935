#pragma once

#include <algorithm>

#include "cenote/base/epoch.h"
#include "records.h"

namespace cenote::object {

/// A moment: two epochs that follow each other, the first one even. A reader at either sees what is of both. What a
/// transaction punches as a whole is of the first, so that it hides nothing of the transaction; everything else, of
/// whatever request, is of the second.
struct EpochPair {
  Epoch first, second;
};

/// The epoch that a reader at `epoch` looks from.
constexpr Epoch end_of_moment(Epoch epoch) { return Epoch(epoch.value() | 1); }

/// The hybrid clock of a target with a durable ceiling: no epoch above the ceiling that is on the media has ever been
/// shown to anyone, so a clock that starts at the ceiling after a restart goes on where the last one stopped, whatever
/// the wall clock did meanwhile.
///
/// The ceiling travels in the batch of the update that comes near it, so raising it costs no write of its own: an epoch
/// above the old ceiling is shown only once its batch, and with it the new ceiling, is durable.
class EpochClock {
 public:
  /// How far ahead of use the ceiling is set, and how near use may come before it is raised. After a restart the clock
  /// goes on at the ceiling, which is why the lead is short: others must not take that for a clock that is wrong.
  static constexpr Duration kLead = std::chrono::seconds(1);
  static constexpr Duration kMargin = std::chrono::milliseconds(500);

  /// Starts at the ceiling found on the media.
  void load(Epoch ceiling) {
    ceiling_ = ceiling;
    clock_.observe(ceiling);
  }
  /// For a request that needs the second epoch of its moment only.
  Epoch next(WallTime now) { return next_pair(now).second; }
  EpochPair next_pair(WallTime now) {
    const std::uint64_t next = clock_.next(now).value();
    const std::uint64_t even = next + (next & 1);
    const EpochPair pair{Epoch(even), Epoch(even + 1)};
    clock_.observe(pair.second);
    return pair;
  }
  void observe(Epoch seen) { clock_.observe(seen); }
  Epoch last() const { return clock_.last(); }
  Epoch ceiling() const { return ceiling_; }

  /// The ceiling to put in the batch that uses `epoch`, if it has to rise. `raised` follows once that batch is applied.
  std::optional<Epoch> raise_for(Epoch epoch) const {
    if (epoch.value() + static_cast<std::uint64_t>(kMargin.count()) <= ceiling_.value()) return std::nullopt;
    return Epoch(epoch.value() + static_cast<std::uint64_t>(kLead.count()));
  }
  void raised(Epoch ceiling) { ceiling_ = std::max(ceiling_, ceiling); }

 private:
  HybridClock clock_;
  Epoch ceiling_;
};

}  // namespace cenote::object
