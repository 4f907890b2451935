#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::async {

const std::optional<SnapshotInfo>& Container::snapshot() const { return state_->snapshot; }

Result<> Container::check_writable() const {
  if (!state_->snapshot) return {};
  return failf(Code::kReadOnly,
               "container '{}' is open at snapshot '{}', which never changes: open the container itself",
               state_->info.label, state_->snapshot->name);
}

std::string Container::snapshots_path() const {
  return fmt::format("/v1/pools/{}/containers/{}/snapshots", state_->info.pool.to_string(),
                     state_->info.id.to_string());
}

Task<Result<SnapshotInfo>> Container::create_snapshot(std::string name, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_no_transaction("a snapshot"));
  CO_CHECK_OK(check_writable());
  CO_CHECK_OK(validate_label("snapshot", name));
  CO_TRY(const std::string json,
         co_await state->impl->admin(AdminMethod::kPost, snapshots_path(), snapshot_request_to_json(name), until));
  co_return snapshot_info_from_json(json);
}

Task<Result<std::vector<SnapshotInfo>>> Container::snapshots(Until until) {
  const auto state = state_;
  CO_TRY(const std::string json, co_await state->impl->admin(AdminMethod::kGet, snapshots_path(), "", until));
  co_return snapshots_from_json(json);
}

Task<Result<>> Container::destroy_snapshot(std::string name, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_no_transaction("destroying a snapshot"));
  CO_CHECK_OK(check_writable());
  CO_CHECK_OK(validate_label("snapshot", name));
  CO_CHECK_OK(co_await state->impl->admin(AdminMethod::kDelete, snapshots_path() + "/" + name, "", until));
  co_return Result<>();
}

Task<Result<SnapshotInfo>> Container::roll_back(std::string snapshot, bool force, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_no_transaction("a rollback"));
  CO_CHECK_OK(check_writable());
  CO_CHECK_OK(validate_label("snapshot", snapshot));
  const std::string path = fmt::format("{}/{}/rollback?force={}", snapshots_path(), snapshot, force);
  CO_TRY(const std::string json, co_await state->impl->admin(AdminMethod::kPost, path, "", until));
  co_return snapshot_info_from_json(json);
}

Task<Result<Container>> Container::at_snapshot(std::string name, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_no_transaction("opening a snapshot"));
  // A name of another form is none that could exist, and must not become a part of the path.
  CO_CHECK_OK(validate_label("snapshot", name));
  CO_TRY(const std::string json,
         co_await state->impl->admin(AdminMethod::kGet, snapshots_path() + "/" + name, "", until));
  CO_TRY(SnapshotInfo snapshot, snapshot_info_from_json(json));
  auto view = std::make_shared<State>();
  view->routes = state_->routes;
  view->client = state->client;
  view->impl = state->impl;
  view->info = state->info;
  view->checksums = state->checksums;
  view->epoch = snapshot.epoch;
  view->snapshot = std::move(snapshot);
  co_return Container(std::move(view));
}

}  // namespace cenote::async
