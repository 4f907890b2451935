#include "lease_table.h"

#include <algorithm>

namespace cenote::engine {
namespace {

constexpr Duration kSweepPeriod = std::chrono::seconds(5);

}  // namespace

LeaseTable::LeaseTable(Reactor& reactor, Ask ask, Options options)
    : reactor_(reactor),
      ask_(std::move(ask)),
      options_(options),
      // Larger than any that was given before this start.
      last_generation_(static_cast<std::uint64_t>(reactor.wall_now().time_since_epoch().count())),
      scope_(reactor) {
  wait_out();
}

LeaseTable::~LeaseTable() { ASSERT(changes_.empty()); }

Task<> LeaseTable::stop() { co_await scope_.stop(); }

void LeaseTable::wait_out() {
  quiet_until_ = reactor_.now() + options_.term + options_.margin;
  created_.clear();
}

void LeaseTable::note_created(const Uuid& container) {
  if (reactor_.now() < quiet_until_) created_.insert(container);
}

// --- Clients and topics

LeaseTable::Client* LeaseTable::find_client(std::uint64_t session, std::uint64_t generation) {
  const auto found = clients_.find(session);
  if (found == clients_.end() || found->second->generation != generation) return nullptr;
  return found->second.get();
}

/// One whose time is over goes by nothing that it was given before.
LeaseTable::Client* LeaseTable::open_client(const LeaseClient& client) {
  const auto found = clients_.find(client.session);
  if (found != clients_.end()) {
    Client& known = *found->second;
    if (known.recalls > 0) return nullptr;  // its time gets no longer
    known.way = client;
    if (reactor_.now() < known.until) return &known;
    forget(known);
  }
  if (clients_.size() >= options_.clients_max) return nullptr;
  auto made = std::make_unique<Client>();
  made->way = client;
  made->generation = ++last_generation_;
  made->until = reactor_.now() + options_.term;
  return (clients_[client.session] = std::move(made)).get();
}

LeaseTable::Topic& LeaseTable::topic_of(const Uuid& container, const LeaseTopic& topic) {
  ObjectTopics& object = containers_[container][topic.object];
  if (topic.dkey) {
    Topic& found = object.dkeys[*topic.dkey];
    found.container = container;
    found.what = topic;
    return found;
  }
  if (object.whole == nullptr) object.whole = std::make_unique<Topic>();
  object.whole->container = container;
  object.whole->what = topic;
  return *object.whole;
}

void LeaseTable::drop_unused(Topic& topic) {
  if (!topic.unused()) return;
  const auto container = containers_.find(topic.container);
  const auto object = container->second.find(topic.what.object);
  if (topic.what.dkey) {
    const KeyBytes dkey = *topic.what.dkey;  // the key goes with the topic
    object->second.dkeys.erase(dkey);
  } else {
    object->second.whole.reset();
  }
  if (object->second.whole != nullptr || !object->second.dkeys.empty()) return;
  container->second.erase(object);
  if (container->second.empty()) containers_.erase(container);
}

void LeaseTable::drop(Client& client, LeaseToken token) {
  const auto found = client.leases.find(token);
  if (found == client.leases.end()) return;
  Topic& topic = *found->second;
  std::erase(topic.holders, Holder{&client, token});
  client.leases.erase(found);
  --leases_;
  drop_unused(topic);
}

void LeaseTable::forget(Client& client) {
  while (!client.leases.empty()) drop(client, client.leases.begin()->first);
  const std::uint64_t session = client.way.session;
  clients_.erase(session);
}

void LeaseTable::sweep() {
  const Instant now = reactor_.now();
  if (now < next_sweep_) return;
  next_sweep_ = now + kSweepPeriod;
  std::vector<Client*> over;
  for (const auto& [session, client] : clients_)
    if (client->recalls == 0 && client->until + options_.margin < now) over.push_back(client.get());
  for (Client* client : over) forget(*client);
}

// --- Giving

LeaseTable::Offer::Offer(LeaseTable& table, const Uuid& container, const LeaseTopic& topic, const LeaseClient& client,
                         LeaseToken token)
    : table_(table), session_(client.session), token_(token) {
  table.sweep();
  if (session_ == 0 || table.leases_ >= table.options_.leases_max || table.is_changing(container, topic)) return;
  Client* const known = table.open_client(client);
  if (known == nullptr || known->leases.contains(token)) return;
  Topic& place = table.topic_of(container, topic);
  place.holders.push_back({known, token});
  known->leases[token] = &place;
  ++table.leases_;
  registered_ = true;
}

LeaseTable::Offer::~Offer() {
  if (!registered_ || settled_) return;
  const auto found = table_.clients_.find(session_);
  if (found != table_.clients_.end()) table_.drop(*found->second, token_);
}

LeaseGrant LeaseTable::Offer::settle(Instant end) {
  Client* const client = registered_ ? table_.holder_of(session_, token_) : nullptr;
  const Instant now = table_.reactor_.now();
  const Instant until = std::min(now + table_.options_.term, end);
  if (client == nullptr || until <= now) {
    ++table_.counters_.refused;
    return {};
  }
  client->until = std::max(client->until, until);
  settled_ = true;
  ++table_.counters_.given;
  return {.generation = client->generation, .valid = until - now};
}

/// nullptr: the lease was taken away meanwhile, or a change is under way that will do so.
LeaseTable::Client* LeaseTable::holder_of(std::uint64_t session, LeaseToken token) {
  const auto found = clients_.find(session);
  if (found == clients_.end() || found->second->recalls > 0) return nullptr;
  const auto lease = found->second->leases.find(token);
  if (lease == found->second->leases.end() || is_changing(lease->second->container, lease->second->what))
    return nullptr;
  return found->second.get();
}

LeaseGrant LeaseTable::renew(const LeaseClient& client, const RenewLeasesRequest& request, Instant limit) {
  Client* const known = find_client(client.session, request.generation);
  if (known == nullptr) return {};
  known->way = client;
  if (request.ends) {
    forget(*known);
    return {};
  }
  for (const LeaseToken token : request.dropped) drop(*known, token);
  const Instant now = reactor_.now();
  const Instant until = std::min(now + options_.term, limit);
  if (known->recalls == 0 && now < known->until && until > now) {
    known->until = std::max(known->until, until);
    return {.generation = known->generation, .valid = until - now};
  }
  if (now >= known->until) return {};
  return {.generation = known->generation, .valid = std::min(known->until - now, options_.term)};
}

// --- Asking back

LeaseTable::Change::Change(LeaseTable& table, const UpdateRequest& update)
    : table_(table), container_(update.container) {
  touch(update);
}

LeaseTable::Change::Change(LeaseTable& table, const PunchRequest& punch) : table_(table), container_(punch.container) {
  touch(punch);
}

LeaseTable::Change::Change(LeaseTable& table, const CommitRequest& commit)
    : table_(table), container_(commit.container) {
  for (const UpdateRequest& update : commit.updates) touch(update);
  for (const PunchRequest& punch : commit.punches) touch(punch);
}

void LeaseTable::Change::touch(const UpdateRequest& update) { touched_.push_back({update.object, update.dkey}); }

void LeaseTable::Change::touch(const PunchRequest& punch) {
  const bool whole = punch.level == PunchLevel::kObject;
  touched_.push_back({punch.object, whole ? std::nullopt : std::optional<ByteView>(punch.dkey)});
}

bool LeaseTable::Change::touches(const Uuid& container, const LeaseTopic& topic) const {
  if (container_ && *container_ != container) return false;
  return all_ || std::ranges::any_of(touched_, [&](const Touched& touched) {
           if (touched.object != topic.object) return false;
           return !touched.dkey || !topic.dkey || equal(*touched.dkey, *topic.dkey);
         });
}

bool LeaseTable::is_changing(const Uuid& container, const LeaseTopic& topic) {
  for (Change* change = changes_.front(); change != nullptr; change = changes_.next(*change))
    if (change->touches(container, topic)) return true;
  return false;
}

std::vector<LeaseTable::Topic*> LeaseTable::topics_of(const Change& change) {
  std::vector<Topic*> found;
  const auto take_all = [&found](ObjectTopics& object) {
    if (object.whole != nullptr) found.push_back(object.whole.get());
    for (auto& [dkey, topic] : object.dkeys) found.push_back(&topic);
  };
  for (auto& [container, objects] : containers_) {
    if (change.container_ && *change.container_ != container) continue;
    if (change.all_) {
      for (auto& [id, object] : objects) take_all(object);
      continue;
    }
    for (const Change::Touched& touched : change.touched_) {
      const auto object = objects.find(touched.object);
      if (object == objects.end()) continue;
      if (!touched.dkey) {
        take_all(object->second);
        continue;
      }
      if (object->second.whole != nullptr) found.push_back(object->second.whole.get());
      const auto topic = object->second.dkeys.find(KeyBytes(*touched.dkey));
      if (topic != object->second.dkeys.end()) found.push_back(&topic->second);
    }
  }
  std::ranges::sort(found);
  const auto twice = std::ranges::unique(found);
  found.erase(twice.begin(), twice.end());
  return found;
}

LeaseTable::Recalls LeaseTable::recall(const std::vector<Topic*>& topics, std::uint64_t session) {
  Recalls waits;
  std::unordered_map<Client*, std::shared_ptr<Recall>> asked;
  const Instant now = reactor_.now();
  for (Topic* topic : topics) {
    for (const auto& [client, token] : topic->holders) {
      client->leases.erase(token);
      --leases_;
      if (client->way.session == session || client->until + options_.margin < now) continue;
      auto& recall = asked[client];
      if (recall == nullptr) {
        recall = std::make_shared<Recall>(reactor_);
        recall->way = client->way;
        recall->request.generation = client->generation;
        recall->limit = client->until + options_.margin;
      }
      recall->request.tokens.push_back(token);
      if (!recall->topics.empty() && recall->topics.back() == topic) continue;  // a client may have several of it
      recall->topics.push_back(topic);
      topic->recalls.push_back(recall);
    }
    topic->holders.clear();
    for (const auto& recall : topic->recalls) waits.push_back(recall);
    drop_unused(*topic);
  }
  for (auto& [client, recall] : asked) {
    ++client->recalls;
    counters_.recalled += recall->request.tokens.size();
    const bool runs = scope_.spawn(run(*this, recall));
    if (!runs) recall->ended.set();  // the target closes: nothing is changed any more
  }
  return waits;
}

/// Whoever does not answer is waited for until it goes by nothing any more, as its time is over.
Task<> LeaseTable::run(LeaseTable& table, std::shared_ptr<Recall> recall) {
  bool answered = true;
  RecallRequest part;
  part.generation = recall->request.generation;
  const auto& tokens = recall->request.tokens;
  for (std::size_t at = 0; answered && at < tokens.size(); at += kMaxLeasesPerMessage) {
    const std::size_t end = std::min(at + kMaxLeasesPerMessage, tokens.size());
    part.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                       tokens.begin() + static_cast<std::ptrdiff_t>(end));
    answered = co_await table.ask_(recall->way, part, Until{recall->limit, &table.scope_.cancel_source()});
  }
  if (!answered) static_cast<void>(co_await sleep_until(table.reactor_, recall->limit, table.scope_.cancel_source()));
  Client* const client = table.find_client(recall->way.session, recall->request.generation);
  if (client != nullptr && --client->recalls == 0 && !answered) {
    ++table.counters_.expired;
    table.forget(*client);
  }
  for (Topic* topic : recall->topics) {
    std::erase(topic->recalls, recall);
    table.drop_unused(*topic);
  }
  recall->ended.set();
}

Task<Result<>> LeaseTable::Change::enter(std::uint64_t session, Until until) {
  table_.changes_.push_back(*this);
  while (table_.is_quiet(container_)) {
    if (until.deadline <= table_.quiet_until_)
      co_return fail(Code::kDeadlineExceeded, "clients may still go by what an earlier leader has told them");
    const Until rest = until.no_later_than(table_.quiet_until_);
    Event never(table_.reactor_);
    const auto waited = co_await never.wait(rest);
    if (!waited && waited.error() != Code::kDeadlineExceeded) co_return waited;
  }
  co_return co_await ask(session, until);
}

Task<Result<>> LeaseTable::Change::ask(std::uint64_t session, Until until) {
  if (table_.containers_.empty()) co_return Result<>();
  const Recalls waits = table_.recall(table_.topics_of(*this), session);
  for (const auto& recall : waits) CO_CHECK_OK(co_await recall->ended.wait(until));
  co_return Result<>();
}

Task<Result<>> LeaseTable::recall_all(std::optional<Uuid> container, Until until) {
  Change change(*this, container);
  changes_.push_back(change);
  co_return co_await change.ask(0, until);
}

void LeaseTable::check_invariants() const {
  std::size_t of_clients = 0;
  for (const auto& [session, client] : clients_) {
    of_clients += client->leases.size();
    for (const auto& [token, topic] : client->leases)
      ASSERT(std::ranges::find(topic->holders, Holder{client.get(), token}) != topic->holders.end());
  }
  std::size_t of_topics = 0;
  const auto count = [&of_topics](const Topic& topic) {
    ASSERT(!topic.unused());
    of_topics += topic.holders.size();
  };
  for (const auto& [container, objects] : containers_) {
    for (const auto& [id, object] : objects) {
      if (object.whole != nullptr) count(*object.whole);
      for (const auto& [dkey, topic] : object.dkeys) count(topic);
    }
  }
  ASSERT(of_clients == leases_ && of_topics == leases_);
}

}  // namespace cenote::engine
