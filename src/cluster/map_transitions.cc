#include "map_transitions.h"

namespace cenote::cluster {
namespace {

using State = ComponentState;
using Operation = MapOperation;

constexpr MapTransition kTransitions[] = {
    {"its data begins to move in", Operation::kActivate, State::kNew, {}, State::kUp, false},
    {"it is lost", Operation::kExclude, State::kUpIn, {}, State::kDown, true},
    {"it is lost before it was drained", Operation::kExclude, State::kDraining, {}, State::kDown, true},
    {"it is lost again before others had its data", Operation::kExclude, State::kUp, true, State::kDown, false},
    {"it is lost before it had its data", Operation::kExclude, State::kUp, false, State::kDownOut, false},
    {"its data begins to move out", Operation::kDrain, State::kUpIn, {}, State::kDraining, false},
    {"it stays after all", Operation::kReintegrate, State::kDraining, {}, State::kUpIn, false},
    {"it is back before others have its data", Operation::kReintegrate, State::kDown, {}, State::kUp, false},
    {"its data begins to move back", Operation::kReintegrate, State::kDownOut, {}, State::kUp, false},
    {"filled", {}, State::kUp, {}, State::kUpIn, false},
    {"drained", {}, State::kDraining, {}, State::kDownOut, true},
    {"rebuilt elsewhere", {}, State::kDown, {}, State::kDownOut, false},
};

}  // namespace

std::span<const MapTransition> map_transitions() { return kTransitions; }

const MapTransition* find_transition(std::optional<MapOperation> operation, ComponentState from, bool relied_on) {
  for (const MapTransition& row : kTransitions) {
    if (row.operation == operation && row.from == from && row.relied_on.value_or(relied_on) == relied_on) return &row;
  }
  return nullptr;
}

std::string_view operation_name(MapOperation operation) {
  switch (operation) {
    case MapOperation::kActivate:
      return "activate";
    case MapOperation::kExclude:
      return "exclude";
    case MapOperation::kDrain:
      return "drain";
    case MapOperation::kReintegrate:
      return "reintegrate";
  }
  return "?";
}

}  // namespace cenote::cluster
