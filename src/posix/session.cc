#include "session.h"

#include <fmt/format.h>

#include <charconv>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kBeatsAkey = "beats";
constexpr char kDirectoryMark = 'd';
constexpr char kOpenMark = 'o';
constexpr Duration kBeat = std::chrono::seconds(10);
/// The records of what was freed long ago are harmless, so they are not taken back one by one.
constexpr std::size_t kMaxKnownDirectories = 65536;

std::string session_key(std::uint64_t number) { return fmt::format("{:016x}", number); }

ObjectId journal_object(std::uint64_t number, std::uint32_t redundancy) {
  return ObjectId::make(with_redundancy(ObjectClass::kS1, redundancy), KeyFlavour::kLexical, KeyFlavour::kLexical, 0,
                        number);
}

Task<Result<>> put_mark(async::Container container, ObjectId journal, std::string dkey, Until until) {
  CO_CHECK_OK(
      co_await container.update(value_update(journal, dkey, Session::kMarkAkey, 0, Precondition::kNone), {}, until));
  co_return Result<>();
}

/// nullopt: no such session.
Task<Result<std::optional<std::uint64_t>>> beats_of(async::Container container, std::uint64_t number, Until until) {
  FetchRequest fetch{
      .object = sessions_object(container.redundancy()), .dkey = to_bytes(as_bytes(session_key(number))), .akeys = {}};
  fetch.akeys.push_back({.akey = to_bytes(as_bytes(kBeatsAkey)), .ranges = {}, .max_bytes = sizeof(std::uint64_t)});
  Bytes value(sizeof(std::uint64_t));
  CO_TRY(const FetchReply reply, co_await container.fetch(std::move(fetch), {MutableBytes(value)}, until));
  if (!reply.akeys[0].exists) co_return std::optional<std::uint64_t>();
  co_return std::optional(load_le<std::uint64_t>(value.data()));
}

/// The number in the dkey of a session; nullopt: it is none.
std::optional<std::uint64_t> session_number(std::string_view key) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number, 16);
  if (error != std::errc() || end != key.data() + key.size()) return std::nullopt;
  return number;
}

}  // namespace

Session::Session(const async::Container& container)
    : records_(container), beginning_(container.client().reactor(), 1), scope_(container.client().reactor()) {}

Task<Result<std::uint64_t>> Session::enter(ObjectId directory, Until until) {
  Reactor& reactor = records_.container().client().reactor();
  if (number_ == 0 || reactor.now() >= alive_at_ + kBeat * 3) {
    CO_CHECK_OK(co_await beginning_.acquire(1, until));
    auto renewed = co_await renew(until);
    beginning_.release();
    CO_CHECK_OK(std::move(renewed));
  }
  if (directories_.contains(directory)) co_return number_;
  const std::uint64_t number = number_;
  CO_CHECK_OK(co_await put_mark(records_.container(), journal_object(number, records_.container().redundancy()),
                                kDirectoryMark + directory.to_string(), until));
  if (number != number_) co_return fail(Code::kTxRestart, "the session was taken for dead: try again");
  if (directories_.size() >= kMaxKnownDirectories) directories_.clear();
  directories_.insert(directory);
  co_return number;
}

/// Another call may have done it meanwhile.
Task<Result<>> Session::renew(Until until) {
  Reactor& reactor = records_.container().client().reactor();
  if (number_ != 0 && reactor.now() >= alive_at_ + kBeat * 3) {
    auto alive = co_await beat(until);
    if (!alive && number_ != 0) co_return alive;
  }
  if (number_ == 0) co_return co_await begin(until);
  co_return Result<>();
}

Task<Result<>> Session::begin(Until until) {
  async::Container& container = records_.container();
  const Instant begun = container.client().reactor().now();
  CO_TRY(const ObjectId journal,
         co_await container.allocate_object(with_redundancy(ObjectClass::kS1, container.redundancy()),
                                            KeyFlavour::kLexical, KeyFlavour::kLexical, until));
  const std::uint64_t number = journal.low();
  Bytes beats(sizeof(std::uint64_t));
  CO_CHECK_OK(co_await container.update(value_update(sessions_object(container.redundancy()), session_key(number),
                                                     kBeatsAkey, beats.size(), Precondition::kNone),
                                        {ByteView(beats)}, until));
  number_ = number;
  alive_at_ = begun;
  beats_ = 0;
  if (scope_.running() == 0) scope_.spawn(keep_beating(this));
  co_return Result<>();
}

Task<> Session::keep_beating(Session* self) {
  Reactor& reactor = self->records_.container().client().reactor();
  for (;;) {
    const Instant next = reactor.now() + kBeat;
    const bool slept = static_cast<bool>(co_await sleep_until(reactor, next, self->scope_.cancel_source()));
    if (!slept || self->scope_.stopping()) co_return;
    if (self->number_ == 0) continue;
    // One that does not come through is made up for by the next.
    (void)co_await self->beat({.deadline = next + kBeat, .cancel = &self->scope_.cancel_source()});
  }
}

/// Others may have taken this session for dead: then it is over, and what was kept open without a name is gone.
Task<Result<>> Session::beat(Until until) {
  async::Container& container = records_.container();
  const Instant begun = container.client().reactor().now();
  const std::uint64_t number = number_;
  Bytes value(sizeof(std::uint64_t));
  store_le(value.data(), ++beats_);
  auto beaten = co_await container.update(value_update(sessions_object(container.redundancy()), session_key(number),
                                                       kBeatsAkey, value.size(), Precondition::kPresent),
                                          {ByteView(value)}, until);
  if (beaten && number_ == number) alive_at_ = begun;
  if (!beaten && beaten.error() == Code::kConditionFailed && number_ == number) {
    number_ = 0;
    directories_.clear();
  }
  if (!beaten) co_return fail(std::move(beaten).error());
  co_return Result<>();
}

Task<Result<>> Session::put_open(Records records, std::uint64_t session, ObjectId object, Until until) {
  async::Container& container = records.container();
  co_return co_await put_mark(container, journal_object(session, container.redundancy()),
                              kOpenMark + object.to_string(), until);
}

Place Session::directory_mark(std::uint64_t session, const ObjectId& directory, std::uint32_t redundancy) {
  return {journal_object(session, redundancy), kDirectoryMark + directory.to_string()};
}

Task<Result<>> Session::put_directory(Records records, std::uint64_t session, ObjectId directory, Until until) {
  Place mark = directory_mark(session, directory, records.container().redundancy());
  co_return co_await put_mark(records.container(), mark.object, std::move(mark.dkey), until);
}

bool Session::is_mark(std::string_view dkey) {
  return (dkey.starts_with(kDirectoryMark) || dkey.starts_with(kOpenMark)) && ObjectId::parse(dkey.substr(1));
}

Task<Result<>> Session::forget_open(ObjectId object, Until until) {
  co_return co_await records_.remove(
      {journal_object(number_, records_.container().redundancy()), kOpenMark + object.to_string()}, until);
}

Task<> Session::close(Until until) {
  co_await scope_.stop();
  if (number_ == 0 || leaves_behind_) co_return;
  // What fails here is found by others, who find that there is nothing to do.
  (void)co_await erase(records_, number_, until);
}

Task<Result<bool>> Session::is_known(Records records, std::uint64_t session, Until until) {
  CO_TRY(const auto beats, co_await beats_of(records.container(), session, until));
  co_return beats.has_value();
}

Task<Result<std::vector<Session::Other>>> Session::list(Records records, Until until) {
  std::vector<Other> sessions;
  async::Container& container = records.container();
  const ObjectId index = sessions_object(container.redundancy());
  std::string after;
  for (;;) {
    CO_TRY(const Records::Page page, co_await records.list(index, {}, after, kMaxListEntries, until));
    for (const std::string& key : page.dkeys) {
      const auto number = session_number(key);
      if (!number) continue;
      CO_TRY(const auto beats, co_await beats_of(container, *number, until));
      if (beats) sessions.push_back({*number, *beats});
    }
    if (page.at_end || page.dkeys.empty()) co_return sessions;
    after = page.dkeys.back();
  }
}

Task<Result<Session::Journal>> Session::read(Records records, std::uint64_t session, Until until) {
  Journal journal;
  const ObjectId object = journal_object(session, records.container().redundancy());
  std::string after;
  for (;;) {
    CO_TRY(const Records::Page page, co_await records.list(object, {}, after, kMaxListEntries, until));
    for (const std::string& key : page.dkeys) {
      const auto named = ObjectId::parse(std::string_view(key).substr(1));
      if (!named) continue;
      if (key.front() == kDirectoryMark) journal.directories.push_back(*named);
      if (key.front() == kOpenMark) journal.open_files.push_back(*named);
    }
    if (page.at_end || page.dkeys.empty()) co_return journal;
    after = page.dkeys.back();
  }
}

Task<Result<>> Session::erase(Records records, std::uint64_t session, Until until) {
  const std::uint32_t redundancy = records.container().redundancy();
  // The name last: as long as it is there, somebody will come back to this.
  CO_CHECK_OK(co_await records.punch_object(journal_object(session, redundancy), until));
  co_return co_await records.remove({sessions_object(redundancy), session_key(session)}, until);
}

}  // namespace cenote::posix
