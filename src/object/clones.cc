#include <algorithm>

#include "cenote/base/format.h"
#include "core.h"

namespace cenote::object {

// A clone's record names its source; that alone is durable. What the source keeps for its clones follows from it.

Result<> check_clone(Core& core, const CloneSource& source) {
  store::Lsn ignored;
  TRY(const Container* container, core.find_container(source.container, ignored));
  if (!container->is_retained(source.epoch))
    return failf(Code::kConditionFailed, "container {} has no snapshot of epoch {}", source.container.to_string(),
                 source.epoch.value());
  if (container->ancestors.size() >= kMaxCloneDepth)
    return failf(Code::kQuotaExceeded,
                 "container {} is a clone of a clone, and so on, {} deep already, the most that is possible",
                 source.container.to_string(), kMaxCloneDepth);
  if (container->clones.size() >= kMaxClones)
    return failf(Code::kQuotaExceeded, "container {} has {} clones, the most that are possible: destroy some",
                 source.container.to_string(), kMaxClones);
  return {};
}

void link_clone(Core& core, Container& clone) {
  const auto found = core.containers.find(clone.source->container);
  ASSERT(found != core.containers.end());
  Container& source = found->second;
  const Epoch epoch = clone.source->epoch;
  source.clones.insert(std::ranges::upper_bound(source.clones, epoch), epoch);
  // The source cannot go before the clone, so what it holds can be pointed to.
  clone.ancestors.push_back({source.tree, epoch, &source.rolled_back, &source.sealer});
  clone.ancestors.insert(clone.ancestors.end(), source.ancestors.begin(), source.ancestors.end());
}

void unlink_clone(Core& core, const Container& clone) {
  Container& source = core.containers.at(clone.source->container);
  source.clones.erase(std::ranges::lower_bound(source.clones, clone.source->epoch));
  source.note_release(clone.source->epoch);
}

namespace {

/// Points the clones of a container, and theirs, to the ancestors that it has now.
void relink_clones(Core& core, const Container& source) {
  for (auto& [id, clone] : core.containers) {
    if (!clone.source || clone.source->container != source.id) continue;
    clone.ancestors.resize(1, clone.ancestors.front());
    clone.ancestors.insert(clone.ancestors.end(), source.ancestors.begin(), source.ancestors.end());
    ++clone.relinks;
    relink_clones(core, clone);
  }
}

}  // namespace

void end_link(Core& core, Container& clone) {
  unlink_clone(core, clone);
  // Its readers at that epoch go with the link.
  clone.note_release(clone.source->epoch);
  clone.source.reset();
  clone.ancestors.clear();
  ++clone.relinks;
  clone.flattening.reset();
  relink_clones(core, clone);
}

namespace {

/// What a loaded record says of its source against what there is.
Result<> check_source(const Core& core, const Container& clone) {
  const auto found = core.containers.find(clone.source->container);
  if (found == core.containers.end())
    return failf(Code::kCorrupt, "container {} is a clone of {}, which is missing", clone.id.to_string(),
                 clone.source->container.to_string());
  const Container& source = found->second;
  const Epoch epoch = clone.source->epoch;
  const bool fits = epoch <= core.clock.ceiling() && epoch <= clone.bound && source.clones.size() < kMaxClones &&
                    source.ancestors.size() < kMaxCloneDepth && !lost_its_view(source.rolled_back, epoch) &&
                    (!source.source || source.source->epoch <= epoch);
  if (fits) return {};
  return failf(Code::kCorrupt, "container {} cannot be a clone of {} as of epoch {}", clone.id.to_string(),
               source.id.to_string(), epoch.value());
}

}  // namespace

Result<> link_clones(Core& core) {
  std::vector<Container*> waiting;
  for (auto& [id, container] : core.containers)
    if (container.source) waiting.push_back(&container);
  while (!waiting.empty()) {
    std::vector<Container*> later;
    for (Container* clone : waiting) {
      const auto source = core.containers.find(clone->source->container);
      const bool wait = source != core.containers.end() && source->second.source && source->second.ancestors.empty();
      if (wait) {
        later.push_back(clone);
        continue;
      }
      CHECK_OK(check_source(core, *clone));
      link_clone(core, *clone);
    }
    if (later.size() == waiting.size())
      return failf(Code::kCorrupt, "container {} is a clone of itself, by way of others",
                   later.front()->id.to_string());
    waiting = std::move(later);
  }
  return {};
}

}  // namespace cenote::object
