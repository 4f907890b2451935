#include "check_ledger.h"

#include <algorithm>

namespace cenote::posix {

void Ledger::sort() { std::ranges::sort(reached_, {}, &Reached::number); }

Ledger::Range Ledger::find(std::uint64_t number) {
  const auto found = std::ranges::equal_range(reached_, number, {}, &Reached::number);
  return {found.begin(), found.end()};
}

Ledger::Range Ledger::group(const Iterator& first) {
  Iterator last = first;
  while (last != reached_.end() && last->number == first->number) ++last;
  return {first, last};
}

bool has_names(Ledger& ledger, std::uint64_t number) {
  return std::ranges::any_of(ledger.find(number), [](const Reached& reached) {
    return reached.how != Reached::How::kRemoved && reached.how != Reached::How::kOpen;
  });
}

}  // namespace cenote::posix
