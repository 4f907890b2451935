#include "loss_shares.h"

#include <algorithm>

#include "placement_hash.h"

namespace cenote::cluster {
namespace {

constexpr std::uint32_t kSteps = 32;
/// A domain may end with this part of its share more or less: to be exact would move some of what others lost before
/// with every loss.
constexpr std::uint64_t kSlackPart = 16;

/// Members of a group on average, in units of kOne.
struct DomainShares {
  std::uint64_t held = 0;  ///< on targets that are left
  std::uint64_t lost = 0;  ///< on those that are not
  std::uint64_t wanted = 0;
  std::uint64_t fits = 0;       ///< of `held`, as far as the domain is not in the group already
  std::uint64_t elsewhere = 0;  ///< the same of all other domains
  std::uint64_t kept = 0;       ///< part of `lost` that stays within the domain
  std::uint64_t natural = 0;    ///< the same where no draw is passed over

  /// What another domain gets of the lost, for each of what fits there.
  std::uint64_t rate() const {
    if (elsewhere == 0) return 0;
    const Wide given = Wide{lost} * (kOne - kept);  // by kOne twice
    return static_cast<std::uint64_t>(given / elsewhere);
  }
};

std::vector<DomainShares> by_domain(const FaultTree& tree, const Shares& base, const Shares& wanted,
                                    const std::vector<bool>& is_left) {
  std::vector<DomainShares> domains(tree.domain_bound(wanted.separation));
  for (std::uint32_t target = 0; target < tree.target_count(); ++target) {
    DomainShares& domain = domains[tree.domain_of(wanted.separation, target)];
    (is_left[target] ? domain.held : domain.lost) += base.of_target[target];
    domain.wanted += wanted.of_target[target];
  }
  std::uint64_t all = 0;
  for (DomainShares& domain : domains) {
    const std::uint64_t in_group = std::min(domain.held + domain.lost, kOne);
    domain.fits = static_cast<std::uint64_t>(Wide{domain.held} * (kOne - in_group) >> kPointBits);
    all += domain.fits;
  }
  for (DomainShares& domain : domains) {
    domain.elsewhere = all - domain.fits;
    const std::uint64_t met = std::max<std::uint64_t>(domain.held + domain.elsewhere, 1);
    domain.natural = domain.elsewhere == 0 ? kOne : static_cast<std::uint64_t>(Wide{domain.held} * kOne / met);
    domain.kept = domain.natural;
  }
  return domains;
}

/// The part of what a domain lost that it has to keep for a share.
std::uint64_t part_kept(std::uint64_t share, std::uint64_t has, std::uint64_t lost) {
  if (share <= has) return 0;
  return static_cast<std::uint64_t>(std::min(Wide{share - has} * kOne / lost, Wide{kOne}));
}

/// One step towards the parts with which each domain ends at what it should have.
void settle(std::vector<DomainShares>& domains) {
  Wide rates = 0;
  for (const DomainShares& domain : domains) rates += domain.rate();
  for (DomainShares& domain : domains) {
    if (domain.lost == 0 || domain.elsewhere == 0) continue;
    const auto gained = static_cast<std::uint64_t>(domain.fits * (rates - domain.rate()) >> kPointBits);
    const std::uint64_t has = domain.held + gained;
    const std::uint64_t slack = domain.wanted / kSlackPart;
    const std::uint64_t kept = std::clamp(domain.natural, part_kept(domain.wanted - slack, has, domain.lost),
                                          part_kept(domain.wanted + slack, has, domain.lost));
    domain.kept = (domain.kept + kept) / 2;
  }
}

}  // namespace

LossShares compute_loss_shares(const FaultTree& tree, const Shares& base, const Shares& wanted,
                               const std::vector<bool>& is_left) {
  std::vector<DomainShares> domains = by_domain(tree, base, wanted, is_left);
  for (std::uint32_t step = 0; step < kSteps; ++step) settle(domains);
  LossShares parts;
  for (const DomainShares& domain : domains) {
    // Draws meet the two kinds as `held` to `elsewhere`; of the kind that is met too seldom all are taken.
    const Wide own = Wide{domain.kept} * domain.elsewhere;
    const Wide other = Wide{kOne - domain.kept} * domain.held;
    const bool all_own = own >= other;
    parts.own_part.push_back(all_own ? kOne : static_cast<std::uint64_t>((own << kPointBits) / other));
    parts.other_part.push_back(!all_own || own == 0 ? kOne : static_cast<std::uint64_t>((other << kPointBits) / own));
  }
  return parts;
}

}  // namespace cenote::cluster
