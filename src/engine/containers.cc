#include "containers.h"

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_id.h"

namespace cenote::engine {
namespace {

using cluster::Revision;
using cluster::Transaction;
using State = ContainerRecord::State;

constexpr std::size_t kMaxPropertyNameBytes = 128;
constexpr std::string_view kUserPrefix = "user.";
constexpr const char* kChecksum = "checksum";
constexpr const char* kCompression = "compression";
constexpr const char* kEncryption = "encryption";
constexpr const char* kEncryptionOn = "aes-256-gcm";
static_assert(kMaxPropertyBytes <= cluster::kMaxStateValueBytes);
// Pool, record, label, membership and every property, each put and most of them compared, fit one transaction; so do
// all erasures of a destruction.
static_assert(kMaxProperties + 8 <= cluster::kMaxTransactionOperations);

Result<> validate_property(const std::string& name, const std::string& value) {
  if (name.size() > kMaxPropertyNameBytes) {
    return failf(Code::kOutOfRange, "the property name '{}' has {} bytes; at most {} are allowed",
                 printable(as_bytes(name)), name.size(), kMaxPropertyNameBytes);
  }
  if (value.size() > kMaxPropertyBytes) {
    return failf(Code::kOutOfRange, "property '{}' has {} bytes; at most {} are allowed", printable(as_bytes(name)),
                 value.size(), kMaxPropertyBytes);
  }
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (name.find_first_not_of(kAllowed) != std::string::npos) {
    return failf(Code::kInvalidArgument, "the property name '{}' may hold letters, digits, '.', '_' and '-' only",
                 printable(as_bytes(name)));
  }
  if (name == kChecksum) {
    if (value == "crc32c" || value == "off") return {};
    return failf(Code::kInvalidArgument, "property '{}' is '{}': it may be 'crc32c' or 'off'", kChecksum,
                 printable(as_bytes(value)));
  }
  if (name == kCompression) {
    if (object::parse_compression(value)) return {};
    return failf(Code::kInvalidArgument, "property '{}' is '{}': it may be 'none', 'lz4' (fast) or 'zstd' (dense)",
                 kCompression, printable(as_bytes(value)));
  }
  if (name == kEncryption) {
    if (value == kEncryptionOn || value == "off") return {};
    return failf(Code::kInvalidArgument, "property '{}' is '{}': it may be '{}' or 'off'", kEncryption,
                 printable(as_bytes(value)), kEncryptionOn);
  }
  if (is_quota(name)) {
    CHECK_OK(parse_quota(name, value));
    return {};
  }
  if (name.starts_with(kUserPrefix) && name.size() > kUserPrefix.size()) return {};
  return failf(
      Code::kInvalidArgument,
      "there is no property '{}': '{}', '{}', '{}', '{}', '{}', '{}', '{}', or a name of yours that begins with "
      "'{}'",
      printable(as_bytes(name)), kChecksum, kCompression, kEncryption, kQuotaProperty, kSoftQuotaProperty,
      kObjectQuotaProperty, kSoftObjectQuotaProperty, kUserPrefix);
}

object::ContainerProperties stored_properties(const std::map<std::string, std::string>& properties) {
  object::ContainerProperties stored;
  const auto checksum = properties.find(kChecksum);
  stored.checksums = checksum == properties.end() || checksum->second != "off";
  if (const auto compression = properties.find(kCompression); compression != properties.end())
    stored.compression = object::parse_compression(compression->second).value_or(object::Compression::kNone);
  const auto encryption = properties.find(kEncryption);
  stored.encrypted = encryption != properties.end() && encryption->second == kEncryptionOn;
  return stored;
}

}  // namespace

Result<> validate_container(const CreateContainer& request) {
  CHECK_OK(validate_label("container", request.label));
  if (!request.type.empty() && request.type != "kv" && request.type != "posix") {
    return failf(Code::kInvalidArgument, "there is no container type '{}': 'kv', 'posix', or none",
                 printable(as_bytes(request.type)));
  }
  if (request.properties.size() > kMaxProperties) {
    return failf(Code::kOutOfRange, "{} properties: at most {} are allowed", request.properties.size(), kMaxProperties);
  }
  for (const auto& [name, value] : request.properties) CHECK_OK(validate_property(name, value));
  return {};
}

Task<Result<ContainerInfo>> Containers::create(CreateContainer request, Uuid id) {
  CO_CHECK_OK(validate_container(request));
  request.properties.try_emplace(kChecksum, "crc32c");
  if (targets_.encrypted()) request.properties.try_emplace(kEncryption, kEncryptionOn);
  if (stored_properties(request.properties).encrypted && !targets_.encrypted()) {
    co_return failf(Code::kInvalidArgument,
                    "container '{}' cannot be encrypted: the server has no key (--encryption-key-file or "
                    "--encryption-key-command)",
                    request.label);
  }
  co_return co_await create(std::move(request), std::nullopt, id);
}

Task<Result<std::optional<ContainerInfo>>> Containers::find_clone(CloneContainer request, Uuid id) {
  CO_TRY(auto found, co_await store_.container(id));
  const bool made =
      found && found->record.state == State::kReady && found->record.clone_of && found->record.label == request.label;
  if (!made) co_return std::nullopt;
  CO_TRY(ContainerInfo info, co_await this->info(std::move(found->record)));
  co_return std::optional(std::move(info));
}

Task<Result<ContainerInfo>> Containers::clone(CloneContainer request, CloneOf of, Uuid id) {
  CO_TRY(const auto source, co_await store_.container(of.container));
  if (!source) co_return failf(Code::kContainerNotFound, "no container {}", of.container.to_string());
  CreateContainer wanted{request.pool, request.label, source->record.type, {}};
  CO_TRY(wanted.properties, co_await properties(of.container));
  // Limits are for what the one that has them holds; a clone begins with none of its own.
  std::erase_if(wanted.properties, [](const auto& property) { return is_quota(property.first); });
  co_return co_await create(std::move(wanted), of, id);
}

Task<Result<ContainerInfo>> Containers::create(CreateContainer request, std::optional<CloneOf> of, Uuid id) {
  CO_CHECK_OK(co_await settle_destruction(id));
  CO_TRY(auto begun,
         co_await without_conflict<Versioned<ContainerRecord>>([&] { return begin_create(request, of, id); }));
  const ContainerRecord record = begun.record;
  if (record.state == State::kCreating) {
    auto finished = co_await finish_create(std::move(begun));
    if (!finished) {
      // A target that cannot take it (no space, fenced) must not leave half a container behind. What this undo cannot
      // do now the next start does; the first failure is the one to tell.
      static_cast<void>(co_await destroy_record(id));
      co_return fail(finished.error().with_context(fmt::format("creating container '{}'", record.label)));
    }
  }
  co_return co_await info(record);
}

/// What an earlier try of this request made, and could not undo at every target, goes before it is made anew.
Task<Result<>> Containers::settle_destruction(Uuid container) {
  CO_TRY(const auto found, co_await store_.container(container));
  if (!found || found->record.state != State::kDestroying) co_return Result<>();
  co_return co_await destroy_record(container);
}

Task<Result<Versioned<ContainerRecord>>> Containers::begin_create(CreateContainer request, std::optional<CloneOf> of,
                                                                  Uuid id) {
  CO_TRY(auto pool, co_await store_.find_pool(request.pool));
  CO_TRY(auto existing, co_await store_.container(id));
  if (existing && existing->record.state != State::kDestroying && existing->record.label == request.label &&
      existing->record.pool == pool.record.id) {
    co_return *std::move(existing);
  }
  const std::string label_key = container_label_key(pool.record.id, request.label);
  CO_TRY(const auto label, co_await store_.coordinator().get(label_key));
  if (existing || label) {
    co_return failf(Code::kExists, "pool '{}' has a container '{}' already", pool.record.label, request.label);
  }
  ContainerRecord record{
      .id = id, .pool = pool.record.id, .label = request.label, .type = request.type, .clone_of = of};
  record.placement_seed = hash64(id.bytes());
  ++pool.record.containers;
  Transaction change;
  change.require(pool_key(record.pool), pool.revision).put(pool_key(record.pool), encode(pool.record));
  change.require(label_key, Revision(0)).put(label_key, id.to_string());
  change.put(member_key(record.pool, id), "");
  for (const auto& [name, value] : request.properties) change.put(property_prefix(id) + name, value);
  if (of) {
    CO_TRY(const auto source, co_await store_.container(of->container));
    if (!source || source->record.state != State::kReady || source->record.pool != record.pool)
      co_return failf(Code::kContainerNotFound, "no container {} in pool '{}'", of->container.to_string(),
                      pool.record.label);
    record.placement_seed = source->record.placement_seed;
    CO_TRY(const auto numbers, co_await store_.number(oid_key(of->container)));
    const std::string source_at = container_key(of->container);
    // Written again unchanged, so that a destruction of the source at the same time is a conflict.
    change.require(source_at, source->revision).put(source_at, encode(source->record));
    change.require(oid_key(of->container), numbers.revision);
    if (numbers.record != 0) change.put(oid_key(id), std::to_string(numbers.record));
  }
  change.require(container_key(id), Revision(0)).put(container_key(id), encode(record));
  CO_TRY(const Revision revision, co_await store_.coordinator().commit(std::move(change)));
  co_return Versioned<ContainerRecord>{record, revision};
}

Task<Result<>> Containers::finish_create(Versioned<ContainerRecord> container) {
  const Uuid id = container.record.id;
  CO_TRY(Terms terms, co_await this->terms(container.record));
  CO_CHECK_OK(co_await targets_.create(id, terms.properties, terms.source, std::move(terms.account)));
  container.record.state = State::kReady;
  Transaction change;
  change.require(container_key(id), container.revision).put(container_key(id), encode(container.record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

Task<Result<Containers::Terms>> Containers::terms(ContainerRecord record) {
  CO_TRY(const auto set, co_await properties(record.id));
  Terms terms{.properties = stored_properties(set), .source = std::nullopt, .account = {}};
  if (const auto& of = record.clone_of) terms.source = {of->container, of->epoch};
  CO_TRY(terms.account, co_await account(std::move(record)));
  co_return terms;
}

Task<Result<std::vector<Uuid>>> Containers::ids(Uuid pool) {
  CO_TRY(const auto members, co_await store_.members(pool));
  std::vector<Uuid> ready;
  for (const Uuid& id : members) {
    CO_TRY(const auto container, co_await store_.container(id));
    if (container && container->record.state == State::kReady) ready.push_back(id);
  }
  co_return ready;
}

Task<Result<std::vector<ContainerInfo>>> Containers::list(std::string pool) {
  CO_TRY(const auto owner, co_await store_.find_pool(std::move(pool)));
  CO_TRY(const auto ids, co_await store_.members(owner.record.id));
  std::vector<ContainerInfo> infos;
  for (const Uuid& id : ids) {
    CO_TRY(auto container, co_await store_.container(id));
    if (!container || container->record.state != State::kReady) continue;
    CO_TRY(auto entry, co_await info(std::move(container->record)));
    infos.push_back(std::move(entry));
  }
  co_return infos;
}

Task<Result<ContainerInfo>> Containers::query(std::string pool, std::string container) {
  CO_TRY(auto owner, co_await store_.find_pool(std::move(pool)));
  CO_TRY(auto found, co_await store_.find_container(owner.record, container));
  if (found.record.state != State::kReady) {
    co_return failf(Code::kContainerNotFound, "container '{}' is being created: try again", container);
  }
  co_return co_await info(std::move(found.record));
}

Task<Result<>> Containers::destroy(std::string pool, std::string container) {
  CO_TRY(auto owner, co_await store_.find_pool(std::move(pool)));
  CO_TRY(const auto found, co_await store_.find_container(std::move(owner.record), std::move(container)));
  co_return co_await destroy_record(found.record.id);
}

Task<Result<>> Containers::destroy_record(Uuid container) {
  CO_CHECK_OK(co_await without_conflict<void>([&] { return begin_destroy(container); }));
  // The tombstone is durable: from here on a crash leads to the same end.
  CO_CHECK_OK(co_await targets_.destroy(container));
  // The targets have forgotten the snapshots with the container, and nobody finds them without it.
  CO_CHECK_OK(co_await store_.erase_all(snapshot_prefix(container)));
  CO_CHECK_OK(co_await store_.erase_all(rollback_key(container)));
  co_return co_await without_conflict<void>([&] { return finish_destroy(container); });
}

Task<Result<>> Containers::begin_destroy(Uuid container) {
  CO_TRY(auto found, co_await store_.container(container));
  if (found) targets_.note_pool(container, found->record.pool);
  if (!found || found->record.state == State::kDestroying) co_return Result<>();
  ContainerRecord record = std::move(found->record);
  CO_TRY(auto pool, co_await store_.pool(record.pool));
  if (!pool) co_return failf(Code::kCorrupt, "container '{}' belongs to a pool that does not exist", record.label);
  --pool->record.containers;
  record.state = State::kDestroying;
  Transaction change;
  change.require(pool_key(record.pool), pool->revision).put(pool_key(record.pool), encode(pool->record));
  change.require(container_key(container), found->revision).put(container_key(container), encode(record));
  change.erase(container_label_key(record.pool, record.label));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

Task<Result<>> Containers::finish_destroy(Uuid container) {
  CO_TRY(const auto found, co_await store_.container(container));
  if (!found) co_return Result<>();
  CO_TRY(const auto set, co_await properties(container));
  Transaction change;
  change.require(container_key(container), found->revision).erase(container_key(container));
  change.erase(member_key(found->record.pool, container)).erase(oid_key(container));
  for (const auto& [name, value] : set) change.erase(property_prefix(container) + name);
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  accounts_.forget_container(container);
  co_return Result<>();
}

Task<Result<ContainerInfo>> Containers::set_properties(std::string pool, std::string container,
                                                       std::map<std::string, std::string> properties) {
  for (const auto& [name, value] : properties) {
    CO_CHECK_OK(validate_property(name, value));
    if (name == kChecksum || name == kCompression || name == kEncryption) {
      co_return failf(Code::kInvalidArgument, "property '{}' is fixed when a container is created", name);
    }
  }
  CO_CHECK_OK(co_await without_conflict<void>([&] { return put_properties(pool, container, properties); }));
  co_return co_await query(std::move(pool), std::move(container));
}

Task<Result<>> Containers::put_properties(std::string pool, std::string container,
                                          std::map<std::string, std::string> properties) {
  CO_TRY(auto owner, co_await store_.find_pool(std::move(pool)));
  CO_TRY(const auto found, co_await store_.find_container(std::move(owner.record), std::move(container)));
  CO_TRY(auto all, co_await this->properties(found.record.id));
  for (const auto& [name, value] : properties) all.insert_or_assign(name, value);
  if (all.size() > kMaxProperties) {
    co_return failf(Code::kOutOfRange, "container '{}' would have {} properties; at most {} are allowed",
                    found.record.label, all.size(), kMaxProperties);
  }
  Transaction change;
  // Written again unchanged, so that a destruction, or another change of properties, at the same time is a conflict.
  change.require(container_key(found.record.id), found.revision)
      .put(container_key(found.record.id), encode(found.record));
  for (const auto& [name, value] : properties) change.put(property_prefix(found.record.id) + name, value);
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  // Whoever holds the account goes by its new limits from here on; who does not is told.
  CO_TRY(auto account, co_await this->account(found.record));
  co_return co_await targets_.limits_changed(std::move(account));
}

Task<Result<>> Containers::check_flattening(Uuid container) {
  CO_TRY(const object::Usage added, co_await targets_.measure_flattening(container));
  CO_TRY(const auto found, co_await store_.container(container));
  if (!found) co_return failf(Code::kContainerNotFound, "no container {}", container.to_string());
  CO_TRY(const auto account, co_await this->account(found->record));
  auto fits = account->check_room(added);
  if (!fits) {
    co_return fail(
        fits.error().with_context(fmt::format("flattening '{}' would be more than it may hold", found->record.label)));
  }
  co_return Result<>();
}

Task<Result<>> Containers::begin_flattening(Uuid container) {
  CO_CHECK_OK(co_await without_conflict<void>([&] { return put_flattening(container, true); }));
  // A target that cannot is asked again.
  static_cast<void>(co_await targets_.start_flattening(container));
  co_return Result<>();
}

Task<Result<>> Containers::end_flattening(Uuid container) {
  co_return co_await without_conflict<void>([&] { return put_flattening(container, false); });
}

Task<Result<>> Containers::put_flattening(Uuid container, bool begin) {
  CO_TRY(auto found, co_await store_.container(container));
  const bool there = found && found->record.state == State::kReady;
  if (!there && begin) co_return failf(Code::kContainerNotFound, "no container {}", container.to_string());
  if (!there || !found->record.clone_of || (begin && found->record.flattening)) co_return Result<>();
  found->record.flattening = begin;
  if (!begin) found->record.clone_of.reset();
  Transaction change;
  change.require(container_key(container), found->revision).put(container_key(container), encode(found->record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

Task<Result<OpenContainer>> Containers::open(Uuid container) {
  CO_TRY(const auto found, co_await store_.container(container));
  if (!found || found->record.state != State::kReady) {
    co_return failf(Code::kContainerNotFound, "no container {}", container.to_string());
  }
  co_return OpenContainer{found->record.pool, cluster::PlacementSeed(found->record.placement_seed),
                          found->record.type == "posix"};
}

Task<Result<OidLease>> Containers::lease_oids(Uuid container) {
  co_return co_await without_conflict<OidLease>([&] { return try_lease(container); });
}

Task<Result<OidLease>> Containers::try_lease(Uuid container) {
  CO_CHECK_OK(co_await open(container));
  CO_TRY(const auto next, co_await store_.number(oid_key(container)));
  const std::uint64_t first = std::max<std::uint64_t>(next.record, kFirstLeasedObject);
  if (first > UINT64_MAX - kOidLeaseCount) {
    co_return failf(Code::kResourceExhausted, "container {} has used up its object numbers", container.to_string());
  }
  Transaction change;
  change.require(oid_key(container), next.revision).put(oid_key(container), std::to_string(first + kOidLeaseCount));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return OidLease{first, kOidLeaseCount};
}

// What fails at one is no reason to leave the others as they are.
Task<Result<>> Containers::resume() {
  CO_TRY(const auto records, co_await store_.containers());
  Result<> outcome;
  for (const ContainerRecord& record : records) {
    auto resumed = co_await resume(record);
    if (!resumed && outcome) outcome = std::move(resumed);
  }
  co_return outcome;
}

Task<Result<>> Containers::resume(ContainerRecord record) {
  targets_.note_pool(record.id, record.pool);
  if (record.state == State::kReady) {
    CO_TRY(auto account, co_await this->account(record));
    co_return co_await targets_.charge_to(record.id, std::move(account));
  }
  if (record.state == State::kCreating) {
    CO_TRY(auto container, co_await store_.container(record.id));
    // Nobody was told of it, so both ends are right: the one that was wished for if it is possible, else none.
    Result<> finished = fail(Code::kNotFound);
    const bool is_there = container.has_value();
    if (is_there) finished = co_await finish_create(*std::move(container));
    if (finished) co_return finished;
    // That it was not told of is what a copy says that may be older than that.
    CO_TRY(const bool keeps_unknown, co_await store_.keeps_unknown());
    if (keeps_unknown && is_there) co_return finished;
  }
  co_return co_await destroy_record(record.id);
}

Task<Result<std::map<std::string, std::string>>> Containers::properties(Uuid container) {
  const std::string prefix = property_prefix(container);
  CO_TRY(const auto entries, co_await cluster::range_all(store_.coordinator(), prefix));
  std::map<std::string, std::string> properties;
  for (const auto& entry : entries) properties.emplace(entry.key.substr(prefix.size()), entry.value);
  co_return properties;
}

Task<Result<SpaceAccounts::Account>> Containers::account(ContainerRecord record) {
  CO_TRY(const auto pool, co_await store_.pool(record.pool));
  if (!pool) co_return failf(Code::kCorrupt, "container '{}' belongs to a pool that does not exist", record.label);
  CO_TRY(const auto set, co_await properties(record.id));
  co_return accounts_.of(pool->record, record, set);
}

Task<Result<ContainerInfo>> Containers::info(ContainerRecord record) {
  ContainerInfo info{record.id, record.pool, record.label, record.type, {}, 0, record.clone_of};
  CO_TRY(info.properties, co_await properties(record.id));
  CO_TRY(const object::Usage used, co_await targets_.used(record.id));
  info.used_bytes = used.bytes;
  info.used_objects = used.objects;
  info.placement_seed = record.placement_seed;
  CO_TRY(const auto pool, co_await store_.pool(record.pool));
  if (pool) info.redundancy = pool->record.redundancy;
  if (record.flattening) {
    CO_TRY(const auto progress, co_await targets_.flattening(record.id));
    info.flattening = progress.value_or(FlattenInfo());
  }
  co_return info;
}

}  // namespace cenote::engine
