// The JSON that control requests and answers are, and the names in them. Each text is given to every reader.

#include <cstdint>

#include "cenote/base/assert.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/object_class.h"
#include "cenote/protocol/object_id.h"
#include "cenote/protocol/pool_changes.h"
#include "cenote/protocol/scrub_info.h"
#include "fuzz_input.h"

namespace {

using namespace cenote;

// What is read, written and read again, is the same: compared by what it is written as.
template <typename T>
void check_reader(std::string_view text, Result<T> (*read)(std::string_view)) {
  const Result<T> first = read(text);
  if (!first) {
    ASSERT(first.error() == Code::kMalformed);
    return;
  }
  const std::string written = to_json(*first);
  const Result<T> second = read(written);
  ASSERT(second.has_value() && to_json(*second) == written);
}

void check_names(std::string_view text) {
  if (validate_label("pool", text)) ASSERT(!text.empty() && text.size() <= kMaxLabelBytes && !Uuid::parse(text));
  if (const auto object = ObjectId::parse(text)) ASSERT(object->to_string() == text);
  if (const auto object_class = parse_class(text)) ASSERT(class_name(*object_class) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(fuzz::Input(data, size).rest());
  check_reader<SystemInfo>(text, system_info_from_json);
  check_reader<ContainerCheck>(text, container_check_from_json);
  check_reader<SystemScrub>(text, system_scrub_from_json);
  check_reader<ControlScrub>(text, control_scrub_from_json);
  check_reader<BeginCheck>(text, begin_check_from_json);
  check_reader<PoolInfo>(text, pool_info_from_json);
  check_reader<std::vector<PoolInfo>>(text, pools_from_json);
  check_reader<CreatePool>(text, create_pool_from_json);
  check_reader<ContainerInfo>(text, container_info_from_json);
  check_reader<std::vector<ContainerInfo>>(text, containers_from_json);
  check_reader<CreateContainer>(text, create_container_from_json);
  check_reader<std::map<std::string, std::string>>(text, properties_from_json);
  check_reader<SnapshotInfo>(text, snapshot_info_from_json);
  check_reader<std::vector<SnapshotInfo>>(text, snapshots_from_json);
  check_reader<ChangeEngines>(text, change_engines_from_json);
  check_reader<PoolChanged>(text, pool_changed_from_json);
  check_reader<PoolMoves>(text, pool_moves_from_json);
  if (const auto paused = pause_request_from_json(text))
    ASSERT(pause_request_from_json(pause_request_to_json(*paused)) == *paused);
  if (const auto name = snapshot_request_from_json(text))
    ASSERT(snapshot_request_from_json(snapshot_request_to_json(*name)).has_value());
  check_names(text);
  return 0;
}
