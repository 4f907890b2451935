#include "leases.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/protocol/opcodes.h"

namespace cenote::async {
namespace {

/// Several times within a term, so that one that is lost does not end them.
constexpr Duration kRenewPeriod = kLeaseTerm / 4;
/// Of the clocks of two machines within a term.
constexpr Duration kDrift = std::chrono::milliseconds(5);
/// For all engines together; then it ends without having told them.
constexpr Duration kFarewell = std::chrono::milliseconds(300);
constexpr std::size_t kDoubtsMax = 256;

bool overlap(const ObjectId& object, const std::optional<ByteView>& dkey, const LeaseKey& key) {
  if (object != key.object) return false;
  return !dkey || !key.dkey || equal(*dkey, *key.dkey);
}

std::uint64_t hash_of(const ObjectId& object) {
  std::byte bytes[16];
  store_le(bytes, object.high());
  store_le(bytes + 8, object.low());
  return hash64(bytes);
}

std::uint64_t hash_of(const ObjectId& object, ByteView dkey) { return hash64(dkey, hash_of(object)); }

/// Failures that say that nothing has happened, and nothing will.
bool is_sure(const Error& failure) {
  switch (failure.code()) {
    case Code::kConditionFailed:
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kTypeMismatch:
    case Code::kUnsupported:
    case Code::kTxRestart:
    case Code::kReadOnly:
    case Code::kNoSpace:
    case Code::kQuotaExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace

// --- A lease

Lease::State::~State() {
  if (leases == nullptr) return;
  auto& at = leases->places_.at(place);
  at.dropped.push_back(token);
  --at.leases;
  leases->remove(*this);
}

Instant Lease::until() const {
  const State& state = *state_;
  if (state.leases == nullptr) return Instant::min();
  return state.leases->places_.at(state.place).until;
}

bool Lease::holds() const { return state_->leases != nullptr && state_->leases->reactor_.now() < until(); }

Leases::~Leases() {
  for (auto& [token, state] : states_) state->leases = nullptr;
}

void Leases::insert(Lease::State& state) {
  states_.emplace(state.token, &state);
  state.in_objects = by_object_.emplace(hash_of(state.key.object), &state);
  state.in_parts = state.key.dkey ? by_dkey_.emplace(hash_of(state.key.object, *state.key.dkey), &state)
                                  : by_whole_.emplace(hash_of(state.key.object), &state);
}

void Leases::remove(Lease::State& state) {
  states_.erase(state.token);
  by_object_.erase(state.in_objects);
  (state.key.dkey ? by_dkey_ : by_whole_).erase(state.in_parts);
}

void Leases::end(Lease::State& state) {
  --places_.at(state.place).leases;
  remove(state);
  state.leases = nullptr;
}

void Leases::end_all_at(const Place& place) {
  std::vector<Lease::State*> over;
  for (auto& [token, state] : states_)
    if (state->place == place) over.push_back(state);
  for (Lease::State* state : over) end(*state);
}

// --- Reads that ask for one

Leases::Asking::Asking(Leases& leases, LeaseKey key)
    : leases_(leases), key_(std::move(key)), token_(++leases.last_token_), asked_(leases.reactor_.now()) {
  spoiled_ = leases.is_changing(key_) || leases.is_doubtful(key_);
  leases.askings_.push_back(*this);
}

std::optional<Lease> Leases::Asking::take(Place place, const LeaseGrant& grant) {
  if (grant.generation == 0) return std::nullopt;
  At& at = leases_.places_[place];
  if (at.generation != grant.generation) {
    // What it had given before is void.
    leases_.end_all_at(place);
    at = {.generation = grant.generation, .until = {}, .leases = 0, .dropped = {}};
  }
  at.until = std::max(at.until, asked_ + grant.valid - kDrift);
  if (spoiled_ || at.until <= leases_.reactor_.now()) {
    at.dropped.push_back(token_);
    return std::nullopt;
  }
  ++at.leases;
  auto state = std::make_shared<Lease::State>(leases_, key_, place, token_);
  leases_.insert(*state);
  if (!leases_.renewing_) leases_.renewing_ = leases_.scope_.spawn(renew(leases_));
  return Lease(std::move(state));
}

// --- Own changes

Leases::Changing::Changing(Leases& leases, const UpdateRequest& update)
    : leases_(leases), container_(update.container) {
  touch(update);
  begin();
}

Leases::Changing::Changing(Leases& leases, const PunchRequest& punch) : leases_(leases), container_(punch.container) {
  touch(punch);
  begin();
}

Leases::Changing::Changing(Leases& leases, const CommitRequest& commit)
    : leases_(leases), container_(commit.container) {
  for (const UpdateRequest& update : commit.updates) touch(update);
  for (const PunchRequest& punch : commit.punches) touch(punch);
  begin();
}

void Leases::Changing::touch(const PunchRequest& punch) {
  const bool whole = punch.level == PunchLevel::kObject;
  touched_.push_back({punch.object, whole ? std::nullopt : std::optional(punch.dkey.view())});
}

bool Leases::Changing::touches(const LeaseKey& key) const {
  return key.container == container_ && std::ranges::any_of(touched_, [&key](const Touched& touched) {
           return overlap(touched.object, touched.dkey, key);
         });
}

void Leases::Changing::begin() {
  leases_.changes_.push_back(*this);
  for (Asking* asking = leases_.askings_.front(); asking != nullptr; asking = leases_.askings_.next(*asking))
    asking->spoiled_ = asking->spoiled_ || touches(asking->key_);
  if (leases_.states_.empty()) return;
  std::vector<Lease::State*> over;
  const auto collect = [&](const Index& index, std::uint64_t hash) {
    const auto [begin, end] = index.equal_range(hash);
    for (auto it = begin; it != end; ++it)
      if (touches(it->second->key)) over.push_back(it->second);
  };
  for (const Touched& touched : touched_) {
    if (touched.dkey) collect(leases_.by_dkey_, hash_of(touched.object, *touched.dkey));
    // Of one that is touched as a whole all there are, else those of all of it.
    collect(touched.dkey ? leases_.by_whole_ : leases_.by_object_, hash_of(touched.object));
    for (Lease::State* state : over) leases_.end(*state);
    over.clear();
  }
}

void Leases::Changing::ended(const Result<rpc::Reply>& reply, Until until) {
  if (!reply && !is_sure(reply.error())) doubtful_until_ = until.deadline + 2 * rpc::kClockOffsetMax;
}

Leases::Changing::~Changing() {
  if (!doubtful_until_) return;
  Doubt doubt{.container = container_, .touched = {}, .until = *doubtful_until_};
  for (const Touched& touched : touched_)
    doubt.touched.emplace_back(touched.object, touched.dkey ? std::optional(KeyBytes(*touched.dkey)) : std::nullopt);
  leases_.doubts_.push_back(std::move(doubt));
}

bool Leases::is_changing(const LeaseKey& key) {
  for (Changing* change = changes_.front(); change != nullptr; change = changes_.next(*change))
    if (change->touches(key)) return true;
  return false;
}

/// Of too many doubts nobody looks at the details.
bool Leases::is_doubtful(const LeaseKey& key) {
  const Instant now = reactor_.now();
  std::erase_if(doubts_, [now](const Doubt& doubt) { return doubt.until < now; });
  if (doubts_.size() > kDoubtsMax) return true;
  return std::ranges::any_of(doubts_, [&key](const Doubt& doubt) {
    return doubt.container == key.container && std::ranges::any_of(doubt.touched, [&key](const auto& touched) {
             return overlap(touched.first, touched.second ? std::optional(touched.second->view()) : std::nullopt, key);
           });
  });
}

// --- Keeping them

Task<rpc::Response> Leases::handle(rpc::Request& request) {
  if (request.opcode() != static_cast<rpc::Opcode>(Opcode::kRecallLeases))
    co_return Error(Code::kUnknownOpcode, "this client answers recalls of leases only");
  auto recall = decode_recall_request(request.body());
  if (!recall) co_return std::move(recall).error();
  for (const LeaseToken token : recall->tokens) {
    const auto found = states_.find(token);
    if (found == states_.end()) {
      // The answer that gives it may be on its way still.
      for (Asking* asking = askings_.front(); asking != nullptr; asking = askings_.next(*asking))
        asking->spoiled_ = asking->spoiled_ || asking->token_ == token;
      continue;
    }
    end(*found->second);
  }
  co_return rpc::Response();
}

Task<> Leases::renew(Leases& leases) {
  CancelSource& cancel = leases.scope_.cancel_source();
  while (co_await sleep_for(leases.reactor_, kRenewPeriod, cancel)) {
    std::vector<Place> places;
    const Instant now = leases.reactor_.now();
    for (auto it = leases.places_.begin(); it != leases.places_.end();) {
      const bool over = it->second.leases == 0 && (it->second.dropped.empty() || it->second.until < now);
      if (!over) places.push_back(it->first);
      it = over ? leases.places_.erase(it) : std::next(it);
    }
    if (places.empty()) break;
    for (const Place& place : places) leases.scope_.spawn(renew_one(leases, place));
  }
  leases.renewing_ = false;
}

Task<> Leases::renew_one(Leases& leases, Place place) {
  const auto found = leases.places_.find(place);
  if (found == leases.places_.end()) co_return;
  RenewLeasesRequest request{.generation = found->second.generation, .ends = false, .dropped = {}};
  auto& dropped = found->second.dropped;
  const std::size_t count = std::min(dropped.size(), kMaxLeasesPerMessage);
  request.dropped.assign(dropped.end() - static_cast<std::ptrdiff_t>(count), dropped.end());
  dropped.resize(dropped.size() - count);
  Bytes body;
  encode(request, body);
  const Instant asked = leases.reactor_.now();
  const auto reply = co_await place.peer->call(
      static_cast<rpc::Opcode>(Opcode::kRenewLeases), body,
      {.until = {asked + kLeaseTerm, &leases.scope_.cancel_source()}, .target = place.target});
  if (!reply) co_return;  // it ends by itself
  const auto grant = decode_renew_leases_reply(reply->body);
  const auto now_at = leases.places_.find(place);
  if (!grant || now_at == leases.places_.end() || now_at->second.generation != request.generation) co_return;
  if (grant->generation != request.generation) {
    leases.end_all_at(place);
    co_return;
  }
  now_at->second.until = std::max(now_at->second.until, asked + grant->valid - kDrift);
}

Task<> Leases::close() {
  std::vector<Lease::State*> left;
  for (auto& [token, state] : states_) left.push_back(state);
  for (Lease::State* state : left) end(*state);
  const Instant now = reactor_.now();
  for (const auto& [place, at] : std::exchange(places_, {})) {
    if (at.until <= now || !place.peer->connected()) continue;
    Bytes body;
    encode(RenewLeasesRequest{.generation = at.generation, .ends = true, .dropped = {}}, body);
    static_cast<void>(co_await place.peer->call(static_cast<rpc::Opcode>(Opcode::kRenewLeases), body,
                                                {.until = Until::at(now + kFarewell), .target = place.target}));
  }
}

}  // namespace cenote::async
