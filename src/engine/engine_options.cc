#include "cenote/engine/engine_options.h"

#include <algorithm>
#include <array>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/rpc/address.h"
#include "cenote/store/types.h"

namespace cenote::engine {
namespace {

constexpr std::uint32_t kDefaultTargetsMax = 4;
constexpr std::uint32_t kDefaultReactorsMax = 16;
constexpr std::uint64_t kDefaultLogBytes = 64ull << 20;
constexpr std::uint64_t kMinScrubRate = 64ull << 10, kMaxScrubRate = 1ull << 40;
constexpr Duration kMinScrubPeriod = std::chrono::minutes(1), kMaxScrubPeriod = std::chrono::hours(10 * 8760);

Result<> check_range(std::string_view what, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value < least || value > most) {
    return failf(Code::kOutOfRange, "{} is {}: it must be from {} to {}", what, value, least, most);
  }
  return {};
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

Result<> check_address(std::string_view what, const std::string& text, bool insecure) {
  if (text.empty()) return {};
  auto address = rpc::Address::parse(text);
  if (!address) return fail(address.error().with_context(what));
  if (!insecure && !is_loopback(address->host)) {
    return failf(Code::kPermissionDenied,
                 "{} '{}' can be reached from other machines, and this system has no authentication: listen on "
                 "127.0.0.1, or accept it with 'insecure'",
                 what, text);
  }
  return {};
}

struct PathList {
  std::string_view what;
  const std::vector<std::string>* paths;
};
std::array<PathList, 3> path_lists(const EngineOptions& options) {
  return {
      {{"target path", &options.target_paths}, {"wal path", &options.wal_paths}, {"data path", &options.data_paths}}};
}

Result<> check_targets(const EngineOptions& options) {
  CHECK_OK(check_range("targets", options.targets, 0, kMaxTargets));
  if (options.target_bytes != 0) {
    CHECK_OK(check_range("target_bytes", options.target_bytes, kMinTargetBytes, kMaxTargetBytes));
  }
  std::size_t wanted = options.targets;
  std::vector<std::string> sorted;
  for (const PathList& list : path_lists(options)) {
    const std::vector<std::string>& paths = *list.paths;
    if (paths.size() > kMaxTargets) {
      return failf(Code::kOutOfRange, "{}s: {} are given, at most {}", list.what, paths.size(), kMaxTargets);
    }
    if (wanted == 0) wanted = paths.size();
    if (!paths.empty() && paths.size() != wanted) {
      return failf(Code::kInvalidArgument, "{}s: {} are given for {} targets, each needs one", list.what, paths.size(),
                   wanted);
    }
    for (const std::string& path : paths) {
      if (std::ranges::find(sorted, path) != sorted.end()) {
        return failf(Code::kInvalidArgument, "{} '{}' is given twice", list.what, path);
      }
      sorted.push_back(path);
    }
  }
  return {};
}

bool is_wildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

Result<> check_fault_domain(std::string_view path) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (path.empty()) return {};
  std::size_t names = 0;
  for (std::size_t from = 0; from != std::string_view::npos;) {
    const std::size_t slash = path.find('/', from);
    const std::string_view name = path.substr(from, slash == std::string_view::npos ? slash : slash - from);
    if (name.empty() || name.size() > cluster::kMaxMapNameBytes || ++names > cluster::kMaxMapLevels + 1 ||
        name.find_first_not_of(kAllowed) != std::string_view::npos) {
      return failf(Code::kInvalidArgument,
                   "fault domain '{}' is no path like 'rack1/node7': up to {} names and a slash between each two, of "
                   "letters, digits, '.', '_' and '-', each at most {} long",
                   printable(as_bytes(path)), cluster::kMaxMapLevels + 1, cluster::kMaxMapNameBytes);
    }
    from = slash == std::string_view::npos ? slash : slash + 1;
  }
  return {};
}

/// What the other engines of the system are told.
Result<> check_joining(const EngineOptions& options) {
  CHECK_OK(check_fault_domain(options.fault_domain));
  if (!options.advertise_address.empty()) {
    auto advertised = rpc::Address::parse(options.advertise_address);
    if (!advertised) return fail(advertised.error().with_context("advertise address"));
    if (is_wildcard(advertised->host))
      return failf(Code::kInvalidArgument, "advertise address '{}' names no machine", options.advertise_address);
  }
  if (options.coordinator == nullptr) return {};
  if (options.listen_address.empty())
    return fail(Code::kInvalidArgument, "listen address is empty: the other engines of the system must reach this one");
  TRY(const auto listen, rpc::Address::parse(options.listen_address));
  if (!is_wildcard(listen.host) || !options.advertise_address.empty()) return {};
  return failf(Code::kInvalidArgument,
               "listen address '{}' is none at which other engines find this one: give one with 'advertise'",
               options.listen_address);
}

Result<> check(const EngineOptions& options) {
  if (options.data_directory.empty()) return fail(Code::kInvalidArgument, "no data directory is given");
  CHECK_OK(validate_label("system name", options.system_name));
  CHECK_OK(check_address("listen address", options.listen_address, options.insecure));
  CHECK_OK(check_address("control address", options.control_address, options.insecure));
  CHECK_OK(check_joining(options));
  CHECK_OK(check_targets(options));
  CHECK_OK(check_range("reactors", options.reactors, 0, kMaxReactors));
  if (options.cache_bytes != 0) {
    CHECK_OK(check_range("cache_bytes", options.cache_bytes, store::kMinCacheBytes, 1ull << 40));
  }
  if (options.log_bytes != 0) CHECK_OK(check_range("log_bytes", options.log_bytes, kMinLogBytes, kMaxLogBytes));
  CHECK_OK(check_range("buffer_bytes", options.buffer_bytes, 16ull << 20, 1ull << 40));
  CHECK_OK(check_range("request_bytes", options.request_bytes, 16ull << 20, 1ull << 40));
  if (options.scrub_bytes_per_second != 0) {
    CHECK_OK(check_range("scrub_bytes_per_second", options.scrub_bytes_per_second, kMinScrubRate, kMaxScrubRate));
    if (options.scrub_period < kMinScrubPeriod || options.scrub_period > kMaxScrubPeriod) {
      return fail(Code::kOutOfRange, "scrub_period must be from 1m to 87600h");
    }
  }
  if (options.target_bytes != 0 && options.wal_paths.empty() && options.log_bytes > options.target_bytes / 4) {
    return failf(Code::kOutOfRange, "log_bytes is {}: more than a quarter of the target's {} bytes", options.log_bytes,
                 options.target_bytes);
  }
  return {};
}

}  // namespace

Result<EngineOptions> with_defaults(EngineOptions options, unsigned cores) {
  CHECK_OK(check(options));
  cores = std::max(cores, 1U);
  for (const PathList& list : path_lists(options)) {
    if (!list.paths->empty()) options.targets = static_cast<std::uint32_t>(list.paths->size());
  }
  if (options.reactors == 0) options.reactors = std::clamp(cores - 1, 1U, kDefaultReactorsMax);
  return options;
}

std::uint32_t default_targets(unsigned cores) { return std::clamp(cores, 1U, kDefaultTargetsMax); }

std::uint64_t default_log_bytes(std::uint64_t target_bytes) {
  constexpr std::uint64_t kBlock = media::kBlockBytes;
  return std::clamp(target_bytes / 8 / kBlock * kBlock, kMinLogBytes, kDefaultLogBytes);
}

}  // namespace cenote::engine
