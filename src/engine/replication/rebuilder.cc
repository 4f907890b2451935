#include "rebuilder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/runtime/cross_core.h"
#include "gather.h"
#include "group_filter.h"

namespace cenote::engine {
namespace {

/// After a failure; twice as long after each further one, as long as nothing was copied between.
constexpr Duration kRetryPause = std::chrono::milliseconds(500), kLongestRetryPause = std::chrono::seconds(2);
/// The same obstacle is told to the log so often.
constexpr Duration kTellAgain = std::chrono::minutes(1);
/// How often is looked whether the version is active.
constexpr Duration kActivationPause = std::chrono::milliseconds(20);
/// While there are requests, a page is followed by a pause as long as it took, so that copying takes half of what the
/// target can do at most.
constexpr Duration kLongestPause = std::chrono::milliseconds(100);
constexpr Duration kPatience = std::chrono::seconds(10);
/// How often is noted how far a copy is: so much is read and sent again after a crash.
constexpr std::size_t kPagesPerNote = 16;

}  // namespace

struct Rebuilder::Job {
  Job(Uuid id, std::shared_ptr<const PoolServing> by, Reactor& reactor)
      : pool(id), serving(std::move(by)), ended(reactor) {}

  const Uuid pool;
  const std::shared_ptr<const PoolServing> serving;
  bool moving = false;  ///< else nothing is to come, and something may be to go
  cluster::TargetId self;
  std::vector<cluster::TargetId> sources;  ///< all that are complete, but this one
  CancelSource over;
  Event ended;
  bool may_have = false;    ///< it was a member before, or has begun to copy
  CopyProgress counted;     ///< of the tree that is copied: what the status has of it
  std::uint64_t noted = 0;  ///< how often it was noted how far it is
  std::uint64_t requests_seen = 0;
  bool holds_merging = false;

  /// All trees say by themselves that they are incomplete.
  void release_merging(object::ObjectStore& objects) {
    if (std::exchange(holds_merging, false)) objects.release_merging();
  }

  const PoolLayoutPtr& layout() const { return serving->layout(); }
  Until soon(Reactor& reactor) { return {reactor.now() + kPatience, &over}; }
};

/// A container's own tree. `container` is one that clients know: the tree's, or a clone of it, where it is only kept
/// for its clones.
struct Rebuilder::Tree {
  Uuid id;
  Uuid container;
  cluster::PlacementSeed seed;
};

struct Rebuilder::Page {
  media::Buffer room;
  std::uint32_t bytes = 0;
  PageAnswer answer;
};

/// One tree from one source, through two pages.
struct Rebuilder::Copying {
  const Tree& tree;
  cluster::TargetId source;
  object::HistoryCover cover;
  Epoch have;  ///< up to which the target may have data already
  std::array<Page, 2> pages;
  std::size_t puts;
  std::uint64_t missing;  ///< of the stubs of the page that was put last

  Page& full() { return pages[puts % 2]; }
  const Page& full() const { return pages[puts % 2]; }
  Page& empty() { return pages[(puts + 1) % 2]; }
};

Rebuilder::Rebuilder(GroupMember& member, ContainerCache& containers, EngineLinks& links, EngineServices& services,
                     Reactor& reactor, Logger logger)
    : member_(member),
      containers_(containers),
      links_(links),
      services_(services),
      reactor_(reactor),
      logger_(std::move(logger)),
      scope_(reactor) {}

Rebuilder::~Rebuilder() { ASSERT(jobs_.empty()); }

Task<> Rebuilder::stop() {
  for (auto& [pool, job] : jobs_) job->over.cancel();
  co_await scope_.stop();
  jobs_.clear();
}

Task<> Rebuilder::end(Uuid pool) {
  const auto found = jobs_.find(pool);
  if (found == jobs_.end()) co_return;
  const std::shared_ptr<Job> job = found->second;
  jobs_.erase(found);
  job->over.cancel();
  static_cast<void>(co_await job->ended.wait(Until::forever()));
}

std::vector<MoveStatus> Rebuilder::status() const {
  std::vector<MoveStatus> all;
  for (const auto& [pool, job] : jobs_) {
    const auto progress = progress_.find(pool);
    if (job->moving && progress != progress_.end()) all.push_back(progress->second);
  }
  return all;
}

void Rebuilder::follow(Uuid pool, std::shared_ptr<const PoolServing> serving) {
  ASSERT(!jobs_.contains(pool));
  const cluster::PoolMap* const map = serving->layout()->map();
  const auto self = member_.number_in(*serving->layout());
  if (map == nullptr || !self || scope_.stopping()) return;
  auto job = std::make_shared<Job>(pool, std::move(serving), reactor_);
  job->self = *self;
  job->moving = map->is_moving();
  job->may_have = map->target(*self).left != cluster::MapVersion(0);
  if (job->moving ? !map->is_wanted(map->target(*self)) : !cluster::PoolMap::is_complete(map->target(*self))) return;
  // Nothing was ever elsewhere than in the first version.
  if (!job->moving && map->settled() <= cluster::MapVersion(1)) return;
  for (std::uint32_t number = 0; number < job->layout()->target_count(); ++number) {
    const cluster::TargetId id(number);
    if (id != *self && cluster::PoolMap::is_complete(map->target(id))) job->sources.push_back(id);
  }
  progress_[pool] = {.pool = pool, .version = map->version(), .target = *self};
  // Nothing that hangs on data of others may happen in a tree before it is known which trees are not whole.
  if (job->moving) member_.objects().hold_merging();
  job->holds_merging = job->moving;
  jobs_.emplace(pool, job);
  const bool begun = scope_.spawn(run(*this, job));
  ASSERT(begun);
}

Task<> Rebuilder::run(Rebuilder& self, std::shared_ptr<Job> job) {
  Duration pause = kRetryPause;
  std::string told;
  for (Instant told_at{}; !job->over.cancelled();) {
    const std::uint64_t noted = job->noted;
    const auto done = co_await self.work(*job);
    if (job->over.cancelled() || done) break;
    self.progress_[job->pool].obstacle = done.error().message();
    // Where space is short the numbers in the message change all the time.
    const std::string_view kind = code_name(done.error().code());
    if (told != kind || self.reactor_.now() >= told_at + kTellAgain) {
      self.logger_.info("moving data waits", {{"pool", job->pool}, {"error", done.error()}});
      told = kind;
      told_at = self.reactor_.now();
    }
    pause = job->noted > noted ? kRetryPause : std::min(2 * pause, kLongestRetryPause);
    static_cast<void>(co_await sleep_for(self.reactor_, pause, job->over));
  }
  job->release_merging(self.member_.objects());
  job->ended.set();
}

Task<Result<>> Rebuilder::work(Job& job) {
  CO_CHECK_OK(co_await await_activation(job));
  CO_TRY(const std::vector<Tree> trees, co_await find_trees(job));
  if (!job.moving) {
    // What was begun while data moved, and is committed later, would be left over here.
    CO_CHECK_OK(co_await member_.settle_older(job.layout(), job.soon(reactor_)));
    for (const Tree& tree : trees) CO_CHECK_OK(co_await tidy(job, tree));
    co_return Result<>();
  }
  for (const Tree& tree : trees) {
    CO_TRY(const Bytes noted, co_await member_.objects().history_progress(tree.id));
    job.may_have = job.may_have || !noted.empty();
    CO_CHECK_OK(co_await member_.objects().begin_history(tree.id, noted));
  }
  job.release_merging(member_.objects());
  if (!trees.empty()) CO_CHECK_OK(co_await await_settled(job, trees.front().container));
  for (const Tree& tree : trees) CO_CHECK_OK(co_await copy_tree(job, tree));
  if (!trees.empty())
    for (const cluster::TargetId source : job.sources)
      CO_CHECK_OK(co_await copy_results(job, trees.front().container, source));
  // What this target prepared until now it checked against incomplete data.
  CO_TRY(const auto undecided, co_await member_.objects().undecided_entries());
  for (const object::UndecidedEntry& entry : undecided)
    CO_CHECK_OK(co_await member_.resolve(entry, job.soon(reactor_)));
  co_return co_await report(job);
}

Result<> Rebuilder::check_paused(const Job& job) {
  if (!job.serving->moves_paused()) return {};
  return fail(Code::kBusy, "the movement of data is paused");
}

Task<Result<>> Rebuilder::await_activation(Job& job) {
  while (!job.serving->active()) CO_CHECK_OK(co_await sleep_for(reactor_, kActivationPause, job.over));
  CO_CHECK_OK(check_paused(job));
  if (job.moving && job.serving->closed() == kEpochZero)
    co_return fail(Code::kUnsupported,
                   "this version of the pool's map was activated by an earlier Cenote, which did not say which changes "
                   "came before it: data moves with the next version");
  co_return Result<>();
}

/// All trees of the pool, each after those that it shows more of.
Task<Result<std::vector<Rebuilder::Tree>>> Rebuilder::find_trees(Job& job) {
  const Uuid pool = job.pool;
  CO_TRY(const auto containers, co_await call_on(reactor_, services_.control_reactor(),
                                                 [this, pool] { return services_.containers_of(pool); }));
  std::vector<Tree> trees;
  for (const Uuid& container : containers) {
    CO_TRY(const RoutedContainer* const routed,
           co_await containers_.look_up(container, job.layout()->version().value(), job.soon(reactor_)));
    const cluster::PlacementSeed seed = routed->seed;
    std::vector<Tree> chain{{.id = container, .container = container, .seed = seed}};
    while (chain.size() <= object::kMaxCloneDepth) {
      // One that is not there was destroyed a moment ago, or nobody has told this target of it: the next list tells.
      CO_TRY(const auto source, co_await member_.objects().tree_source(chain.back().id));
      if (!source) break;
      chain.push_back({.id = source->container, .container = container, .seed = seed});
    }
    std::ranges::reverse(chain);
    for (const Tree& tree : chain)
      if (std::ranges::find(trees, tree.id, &Tree::id) == trees.end()) trees.push_back(tree);
  }
  co_return trees;
}

Task<Result<rpc::Reply>> Rebuilder::ask(Job& job, cluster::TargetId source, Opcode opcode, ByteView body,
                                        MutableBytes into) {
  const cluster::TargetPlace place = job.layout()->place_of(source);
  EngineLinks::Message message{.opcode = opcode,
                               .target = place.index,
                               .version = job.layout()->version(),
                               .body = body,
                               .patience = EngineLinks::kLongPatience};
  if (!into.empty()) message.into = rpc::BulkSink(into);
  auto reply = co_await links_.call(place.engine, message, {kNoDeadline, &job.over});
  if (!reply) co_return fail(reply.error().with_context(fmt::format("engine {}", place.engine.value())));
  co_return reply;
}

/// All that are complete work on the version, and what was begun before it is decided.
Task<Result<>> Rebuilder::await_settled(Job& job, Uuid container) {
  Bytes body;
  encode(AwaitSettledMessage{container}, body);
  for (const cluster::TargetId source : job.sources)
    CO_CHECK_OK(co_await ask(job, source, Opcode::kAwaitSettled, body, {}));
  co_return co_await member_.settle_older(job.layout(), job.soon(reactor_));
}

Task<Result<>> Rebuilder::copy_tree(Job& job, const Tree& tree) {
  CO_TRY(CopyProgress progress, co_await find_progress(job, tree));
  job.counted = progress;
  while (progress.sources < job.sources.size()) {
    auto copied = co_await copy_from(job, tree, job.sources[progress.sources], progress);
    // The walk of the source has come to nothing, as after a restart: on from where another can begin.
    if (!copied && copied.error() == Code::kLeaseExpired)
      copied = co_await copy_from(job, tree, job.sources[progress.sources], progress);
    CO_CHECK_OK(copied);
    ++progress.sources;
    progress.resume.clear();
    CO_CHECK_OK(co_await note(tree, progress));
    ++job.noted;
  }
  co_return Result<>();
}

/// What an earlier job of the same version has noted with the tree; whatever happened since, this target missed
/// nothing, as without it nothing was committed.
Task<Result<CopyProgress>> Rebuilder::find_progress(Job& job, const Tree& tree) {
  CO_TRY(const Bytes noted, co_await member_.objects().history_progress(tree.id));
  const auto known = decode_copy_progress(noted);
  if (known && known->version == job.layout()->version()) co_return *known;
  CopyProgress progress;
  progress.version = job.layout()->version();
  co_return progress;
}

Task<Result<>> Rebuilder::note(const Tree& tree, const CopyProgress& progress) {
  Bytes noted;
  encode(progress, noted);
  co_return co_await member_.objects().begin_history(tree.id, std::move(noted));
}

/// One page is read while the one before is put.
Task<Result<>> Rebuilder::copy_from(Job& job, const Tree& tree, cluster::TargetId source, CopyProgress& progress) {
  Copying copying{
      .tree = tree,
      .source = source,
      .cover = {.wanted = lacked_by(job.layout(), tree.seed, job.self, source), .upto = job.serving->closed()},
      .have = job.may_have ? job.serving->closed() : kEpochZero,
      .pages = {},
      .puts = 0,
      .missing = 0};
  for (Page& page : copying.pages) {
    CO_TRY(page.room, co_await member_.allocate(kPageRoomBytes, job.soon(reactor_)));
  }
  CO_CHECK_OK(co_await read_page(job, copying, copying.pages[0], progress.resume));
  for (;;) {
    const Instant began = reactor_.now();
    const bool last = copying.full().answer.next.empty();
    // A page that may have to be read again is not overtaken: the walk could end before.
    const bool ahead = !last && copying.full().answer.stubs == 0;
    auto outcomes = co_await gather(reactor_, ahead ? 2 : 1, [&](std::size_t index) {
      return index == 0 ? put_page(job, copying) : read_page(job, copying, copying.empty(), copying.full().answer.next);
    });
    CO_CHECK_OK(std::move(outcomes.front()));
    if (copying.missing > 0) {
      // It has not got what it might have had: this page with all its data. Who lacks so much is not asked again.
      if (2 * copying.missing > copying.full().answer.stubs) job.may_have = false;
      copying.have = kEpochZero;
      CO_CHECK_OK(co_await read_page(job, copying, copying.full(), copying.full().answer.again));
      copying.have = job.may_have ? job.serving->closed() : kEpochZero;
      continue;
    }
    const PageAnswer& put = copying.full().answer;
    progress.bytes += put.bytes;
    progress.objects += put.objects;
    progress.resume = put.resume;
    take_in(job, progress);
    if (last) co_return Result<>();
    if (ahead) {
      CO_CHECK_OK(std::move(outcomes.back()));
    } else {
      CO_CHECK_OK(co_await read_page(job, copying, copying.empty(), put.next));
    }
    if (++copying.puts % kPagesPerNote == 0) {
      CO_CHECK_OK(co_await note(tree, progress));
      ++job.noted;
    }
    CO_CHECK_OK(co_await give_way(job, began));
  }
}

/// For whoever asks how far it is.
void Rebuilder::take_in(Job& job, const CopyProgress& progress) {
  MoveStatus& status = progress_[job.pool];
  const std::uint64_t bytes = progress.bytes - std::exchange(job.counted.bytes, progress.bytes);
  const std::uint64_t objects = progress.objects - std::exchange(job.counted.objects, progress.objects);
  status.bytes += bytes;
  status.objects += objects;
  copied_.bytes += bytes;
  copied_.objects += objects;
  status.obstacle.clear();
}

Task<Result<>> Rebuilder::read_page(Job& job, const Copying& copying, Page& into, Bytes from) {
  Bytes body;
  encode(ReadHistoryMessage{.container = copying.tree.container,
                            .tree = copying.tree.id,
                            .asker = job.self,
                            .have = copying.have,
                            .from = std::move(from)},
         body);
  CO_TRY(const rpc::Reply reply, co_await ask(job, copying.source, Opcode::kReadHistory, body, into.room.span()));
  CO_TRY(into.answer, decode_page_answer(reply.body));
  into.bytes = reply.bulk_bytes;
  co_return Result<>();
}

Task<Result<>> Rebuilder::put_page(Job& job, Copying& copying) {
  const Page& page = copying.full();
  CO_TRY(copying.missing,
         co_await member_.objects().put_history(copying.tree.id, to_bytes(ByteView(page.room.span()).first(page.bytes)),
                                                job.soon(reactor_), copying.cover));
  co_return Result<>();
}

Task<Result<>> Rebuilder::copy_results(Job& job, Uuid container, cluster::TargetId source) {
  CO_TRY(const media::Buffer room, co_await member_.allocate(kPageRoomBytes, job.soon(reactor_)));
  Bytes from;
  do {
    Bytes body;
    encode(ReadResultsMessage{.container = container, .from = from}, body);
    CO_TRY(const rpc::Reply reply, co_await ask(job, source, Opcode::kReadResults, body, room.span()));
    CO_TRY(PageAnswer page, decode_page_answer(reply.body));
    CO_CHECK_OK(co_await member_.objects().put_results(to_bytes(ByteView(room.span()).first(reply.bulk_bytes)),
                                                       job.soon(reactor_)));
    from = std::move(page.next);
  } while (!from.empty());
  co_return Result<>();
}

/// Others have their turn, if there are any.
Task<Result<>> Rebuilder::give_way(Job& job, Instant began) {
  CO_CHECK_OK(check_paused(job));
  co_await reactor_.yield();
  const std::uint64_t requests = member_.objects().counters().requests();
  const bool busy = requests != job.requests_seen;
  job.requests_seen = requests;
  if (busy) CO_CHECK_OK(co_await sleep_for(reactor_, std::min(kLongestPause, reactor_.now() - began), job.over));
  co_return job.over.cancelled() ? fail(Code::kCancelled) : Result<>();
}

Task<Result<>> Rebuilder::report(Job& job) {
  const Uuid pool = job.pool;
  const cluster::MapVersion version = job.layout()->version();
  const cluster::TargetId self = job.self;
  const auto reported = co_await call_on(reactor_, services_.control_reactor(),
                                         [=, this] { return services_.report_moved(pool, version, self); });
  if (!reported) co_return fail(reported.error());
  MoveStatus& status = progress_[pool];
  status.obstacle.clear();
  status.done = true;
  logger_.info("all data of a pool is here",
               {{"pool", pool}, {"map_version", version}, {"bytes", status.bytes}, {"objects", status.objects}});
  co_return Result<>();
}

/// Nothing moves: what is here is complete, and what does not belong here is of no use any more.
Task<Result<>> Rebuilder::tidy(Job& job, const Tree& tree) {
  const auto ended = co_await member_.objects().end_history(tree.id);
  if (!ended && ended.error() == Code::kContainerNotFound) co_return Result<>();
  CO_CHECK_OK(ended);
  const object::HistoryFilter held = held_by(job.layout(), tree.seed, job.self);
  Bytes from;
  do {
    const Instant began = reactor_.now();
    auto next = co_await member_.objects().discard_history(tree.id, from, held, job.soon(reactor_));
    if (!next && next.error() == Code::kContainerNotFound) co_return Result<>();
    if (!next) co_return fail(std::move(next).error());
    from = *std::move(next);
    CO_CHECK_OK(co_await give_way(job, began));
  } while (!from.empty());
  co_return Result<>();
}

}  // namespace cenote::engine
