#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "asker.h"
#include "cenote/cenote.hpp"
#include "top_view.h"

namespace cenote::cli {

/// Looks at a running system again and again: the engines' metrics, over HTTP, and what the system says of engines and
/// pools. Everybody is asked in a thread of their own, so that who is silent costs the others nothing.
class SystemWatch {
 public:
  struct Bounds {
    Duration wait;   ///< for answers, of one look; what comes later belongs to the next one
    Duration limit;  ///< of each question
  };
  /// Fails when the system does not answer. `client` outlives it.
  static Result<std::unique_ptr<SystemWatch>> open(Client& client, Bounds bounds);
  SystemWatch(const SystemWatch&) = delete;
  SystemWatch& operator=(const SystemWatch&) = delete;
  /// Waits for what is being asked.
  ~SystemWatch();

  /// Blocks for `wait` at most. Rates are since the look before; the first one has none.
  TopView look();

 private:
  struct SystemQuestion {
    bool moves;  ///< what data moves, too
  };
  struct SystemAnswer {
    Result<SystemInfo> system = fail(Code::kInternal);
    Result<std::vector<PoolInfo>> pools;  ///< those that are not as they should be; none when that was not asked
    std::vector<PoolMoves> moves;
  };
  struct ProbeQuestion {
    std::uint32_t rank;
    std::string control_address;
    std::shared_ptr<const std::vector<EngineInfo>> engines;
  };
  struct Probe {
    explicit Probe(Duration limit) : asker(make_probe(limit)) {}
    Asker<ProbeQuestion, Result<EngineScrape>> asker;
    std::optional<EngineScrape> last = std::nullopt;
    bool asked = false;
  };

  SystemWatch(Client& client, Bounds bounds, SystemInfo info);
  SystemAnswer ask_system(SystemQuestion question);
  static std::function<Result<EngineScrape>(const ProbeQuestion&)> make_probe(Duration limit);
  void take_info(SystemInfo info);
  void ask_engine(const EngineInfo& engine);
  TopEngine see_engine(const EngineInfo& engine, std::chrono::steady_clock::time_point deadline);
  void see_system(TopView& view, std::chrono::steady_clock::time_point deadline);
  void see_pools(const SystemAnswer& answer);

  Client& client_;
  const Bounds bounds_;
  Cancellation ending_;
  SystemInfo info_;
  std::shared_ptr<const std::vector<EngineInfo>> engines_;
  std::map<std::uint32_t, Probe> probes_;
  std::map<Uuid, MoveRate> rates_;
  std::vector<TopPool> moving_;
  std::vector<PoolTrouble> degraded_;
  bool moves_wanted_ = true;
  Asker<SystemQuestion, SystemAnswer> system_;
};

}  // namespace cenote::cli
