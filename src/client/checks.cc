#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::async {
namespace {

Result<std::string> check_path(std::string_view pool, std::string_view container) {
  CHECK_OK(check_name("pool", pool));
  CHECK_OK(check_name("container", container));
  return container_path(pool, container) + "/check";
}

}  // namespace

Task<Result<SystemScrub>> Client::scrub(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, "/v1/system/scrub", "", until));
  co_return system_scrub_from_json(json);
}

Task<Result<SystemScrub>> Client::control_scrub(ControlScrub request, Until until) {
  CO_TRY(const std::string json,
         co_await impl_->admin(AdminMethod::kPost, "/v1/system/scrub", to_json(request), until));
  co_return system_scrub_from_json(json);
}

Task<Result<ContainerCheck>> Client::begin_check(std::string pool, std::string container, BeginCheck request,
                                                 Until until) {
  CO_TRY(std::string path, check_path(pool, container));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kPost, std::move(path), to_json(request), until));
  co_return container_check_from_json(json);
}

Task<Result<ContainerCheck>> Client::query_check(std::string pool, std::string container, Until until) {
  CO_TRY(std::string path, check_path(pool, container));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, std::move(path), "", until));
  co_return container_check_from_json(json);
}

Task<Result<ContainerCheck>> Client::cancel_check(std::string pool, std::string container, Until until) {
  CO_TRY(std::string path, check_path(pool, container));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kDelete, std::move(path), "", until));
  co_return container_check_from_json(json);
}

}  // namespace cenote::async
