#include "cenote/protocol/pool_changes.h"

#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::async {
namespace {

Result<std::string> path_below(std::string_view pool, std::string_view what) {
  CHECK_OK(check_name("pool", pool));
  return fmt::format("/v1/pools/{}/{}", pool, what);
}

}  // namespace

Task<Result<PoolChanged>> Client::change_engines(std::string pool, ChangeEngines request, Until until) {
  CO_TRY(std::string path, path_below(pool, operation_name(request.operation)));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kPost, std::move(path), to_json(request), until));
  co_return pool_changed_from_json(json);
}

Task<Result<PoolMoves>> Client::query_moves(std::string pool, Until until) {
  CO_TRY(std::string path, path_below(pool, "moves"));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, std::move(path), "", until));
  co_return pool_moves_from_json(json);
}

Task<Result<PoolMoves>> Client::pause_moves(std::string pool, bool paused, Until until) {
  CO_TRY(std::string path, path_below(pool, "moves"));
  CO_TRY(const std::string json,
         co_await impl_->admin(AdminMethod::kPost, std::move(path), pause_request_to_json(paused), until));
  co_return pool_moves_from_json(json);
}

}  // namespace cenote::async
