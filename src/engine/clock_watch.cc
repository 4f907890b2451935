// Invariants: a clock counts as off only if it is beyond the bound however long the answer was under way, and as right
// again only when it was compared, or set; the trusted clock is approved of only by a look that proved it right, or
// where there is nobody to compare it with.

#include "clock_watch.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/rpc/peer.h"
#include "gather.h"

namespace cenote::engine {
namespace {

/// How many of the others a message names.
constexpr std::size_t kNamed = 3;
/// In how many looks the list of engines is read once.
constexpr unsigned kLooksOfOneList = 4;
/// A clock that is kept set by small steps, or was read at different moments of a turn, changes less.
constexpr Duration kSet = std::chrono::milliseconds(100);

bool was_set(Duration apart_before, Duration apart) { return std::chrono::abs(apart - apart_before) >= kSet; }

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

bool is_apart(const ClockReading& other, Duration apart_max) {
  return other.least > apart_max || other.most < -apart_max;
}

bool is_near(const ClockReading& other, Duration apart_max) {
  return other.least >= -apart_max && other.most <= apart_max;
}

std::string describe(const ClockReading& other) {
  const Duration ahead = (other.least + other.most) / 2;
  return fmt::format("{:.1f} s {} that of engine {}", std::abs(seconds(ahead)),
                     ahead < Duration::zero() ? "ahead of" : "behind", other.rank.value());
}

}  // namespace

Result<> judge_clock(cluster::Rank own, std::span<const ClockReading> others, Duration apart_max) {
  std::vector<std::string> apart;
  cluster::Rank lowest = own;
  bool lowest_agrees = true;
  for (const ClockReading& other : others) {
    const bool agrees = !is_apart(other, apart_max);
    if (!agrees) apart.push_back(describe(other));
    if (other.rank >= lowest) continue;
    lowest = other.rank;
    lowest_agrees = agrees;
  }
  const std::size_t agreeing = others.size() + 1 - apart.size();
  if (agreeing > apart.size() || (agreeing == apart.size() && lowest_agrees)) return {};
  const std::size_t more = apart.size() > kNamed ? apart.size() - kNamed : 0;
  apart.resize(apart.size() - more);
  return failf(Code::kClockOff,
               "the clock of this machine is {}{}: set it, and keep it set (chrony, ntpd); an engine serves only while "
               "its clock is within {} s of those of most engines",
               fmt::join(apart, ", "), more > 0 ? fmt::format(" and off from {} more", more) : "",
               seconds(kClockOffsetOfMost));
}

struct ClockWatch::Other {
  Other(Reactor& reactor, rpc::Transport& transport, rpc::ClientSession& session, rpc::PeerOptions options,
        std::vector<std::string> listed)
      : addresses(std::move(listed)), peer(reactor, transport, session, std::move(options)) {}

  std::vector<std::string> addresses;
  rpc::Peer peer;
  std::optional<ClockReading> reading;  ///< of the last look, if it answered
};

ClockWatch::ClockWatch(Reactor& reactor, rpc::Transport& transport, cluster::Coordinator& coordinator,
                       TrustedClock& clock, Options options, Logger logger)
    : reactor_(reactor),
      transport_(transport),
      coordinator_(coordinator),
      clock_(clock),
      options_(std::move(options)),
      logger_(std::move(logger)),
      background_(reactor),
      session_(reactor, {.identity = options_.engine, .name = "clock"}) {}

ClockWatch::~ClockWatch() { ASSERT(background_.running() == 0 && others_.empty()); }

void ClockWatch::start() {
  const bool started = background_.spawn(run(*this));
  ASSERT(started);
}

Task<> ClockWatch::run(ClockWatch& self) {
  while (co_await sleep_for(self.reactor_, self.options_.every, self.background_.cancel_source())) {
    const bool was_right = self.verdict_.has_value();
    static_cast<void>(co_await self.look());
    if (self.background_.stopping()) co_return;
    if (was_right == self.verdict_.has_value()) continue;
    if (was_right) {
      self.logger_.error("this engine serves nothing", {{"error", self.verdict_.error()}});
    } else {
      self.logger_.info("the clock of this machine is right again");
    }
    self.options_.on_change();
  }
}

Task<> ClockWatch::stop() {
  co_await background_.stop();
  for (auto& [rank, other] : others_) co_await other->peer.stop();
  others_.clear();
}

Task<Result<>> ClockWatch::look() {
  if (looks_++ % kLooksOfOneList == 0) co_await follow_engines();
  const Duration before = TrustedClock::apart(reactor_);
  std::vector<Other*> asked;
  for (auto& [rank, other] : others_) {
    other->reading = ClockReading{.rank = rank};
    asked.push_back(other.get());
  }
  static_cast<void>(co_await gather(reactor_, asked.size(), [this, &asked](std::size_t i) { return ask(*asked[i]); }));
  // A clock that was set meanwhile is not the one that was compared.
  if (!was_set(before, TrustedClock::apart(reactor_))) judge(before);
  co_return verdict_;
}

/// Keeps those that are known if the coordinator does not say.
Task<> ClockWatch::follow_engines() {
  auto listed = co_await cluster::list_engines(coordinator_, Until::at(reactor_.now() + options_.call_timeout));
  if (!listed) co_return;
  std::erase_if(*listed, [&](const cluster::ListedEngine& engine) {
    return !engine.up || engine.addresses.empty() || engine.place.rank == options_.own;
  });
  // The next ones by rank, around.
  const auto first = std::ranges::find_if(
      *listed, [&](const cluster::ListedEngine& engine) { return engine.place.rank > options_.own; });
  std::ranges::rotate(*listed, first);
  if (listed->size() > options_.asked_max) listed->resize(options_.asked_max);
  std::vector<std::unique_ptr<Other>> gone;
  std::map<cluster::Rank, std::unique_ptr<Other>> wanted;
  for (cluster::ListedEngine& engine : *listed) {
    const auto known = others_.find(engine.place.rank);
    if (known != others_.end() && known->second->addresses == engine.addresses) {
      wanted[engine.place.rank] = std::move(known->second);
      others_.erase(known);
      continue;
    }
    rpc::PeerOptions peer;
    for (const std::string& text : engine.addresses)
      if (auto address = rpc::Address::parse(text)) peer.addresses.push_back(*std::move(address));
    peer.system = options_.system;
    peer.keep_connected = false;
    if (peer.addresses.empty()) continue;
    wanted[engine.place.rank] =
        std::make_unique<Other>(reactor_, transport_, session_, std::move(peer), std::move(engine.addresses));
  }
  for (auto& [rank, other] : others_) gone.push_back(std::move(other));
  others_ = std::move(wanted);
  for (const auto& other : gone) co_await other->peer.stop();
}

Task<Result<>> ClockWatch::ask(Other& other) {
  ClockReading reading = *std::exchange(other.reading, std::nullopt);
  const Until until{reactor_.now() + options_.call_timeout, &background_.cancel_source()};
  CO_TRY(const rpc::Peer::ClockOffset offset, co_await other.peer.ask_clock(until));
  reading.least = offset.least;
  reading.most = offset.most;
  other.reading = reading;
  co_return Result<>();
}

void ClockWatch::judge(Duration apart) {
  std::vector<ClockReading> readings;
  for (const auto& [rank, other] : others_)
    if (other->reading) readings.push_back(*other->reading);
  // Nobody says that a clock which was off is right by now.
  if (!verdict_ && readings.empty() && !was_set(off_at_, apart)) return;
  // One that was off has to be well within the bound, so that it does not come and go.
  const Duration apart_max = verdict_ ? kClockOffsetOfMost : kClockOffsetOfMost / 2;
  const bool was_right = verdict_.has_value();
  verdict_ = judge_clock(options_.own, readings, apart_max);
  if (!verdict_ && was_right) off_at_ = apart;
  const auto near = static_cast<std::size_t>(
      std::ranges::count_if(readings, [](const ClockReading& other) { return is_near(other, kClockOffsetOfMost); }));
  // Its own is one of them.
  if (verdict_ && (others_.empty() || (near > 0 && 2 * (near + 1) > readings.size() + 1))) clock_.approve(apart);
}

}  // namespace cenote::engine
