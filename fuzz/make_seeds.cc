// Writes the seeds of the targets whose inputs an encoder makes, or compares them with those that are there:
//   fuzz_seeds FOLDER           writes FOLDER/<target>/<name>
//   fuzz_seeds --check FOLDER   ends with 1 and names the seeds that no longer are what an encoder writes
// A format that changes leaves its old seeds useless: no decoder gets past their first bytes. The check notices.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "acknowledge.h"
#include "acl.h"
#include "cenote/base/assert.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/engine/control_copy_file.h"
#include "cenote/engine/identity.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/lease_requests.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/protocol/pool_changes.h"
#include "cenote/rpc/handshake.h"
#include "control_records.h"
#include "entries.h"
#include "example_messages.h"
#include "inode.h"
#include "keys.h"
#include "layout.h"
#include "map_examples.h"
#include "records.h"
#include "replication/entry_note.h"
#include "replication/messages.h"
#include "replication/rebuild_messages.h"
#include "state_format.h"
#include "target_examples.h"
#include "values.h"

namespace {

using namespace cenote;
using namespace cenote::protocol_examples;

const Uuid kId = Uuid::from_random(0x1111'2222'3333'4444, 0x5555'6666'7777'8888);
const ObjectId kNumbered = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 3, 4);

/// Where seeds go, or what they are compared with.
class Seeds {
 public:
  Seeds(std::filesystem::path folder, bool check) : folder_(std::move(folder)), check_(check) {}

  /// A seed of `target`; targets with several decoders want its number in front.
  void add(const char* target, const char* name, std::uint8_t selector, ByteView encoded) {
    Bytes seed{std::byte{selector}};
    seed.insert(seed.end(), encoded.begin(), encoded.end());
    put(target, name, seed);
  }
  void add_text(const char* target, const char* name, std::uint8_t selector, std::string_view text) {
    add(target, name, selector, as_bytes(text));
  }
  void put(const char* target, const char* name, ByteView seed) {
    const std::filesystem::path path = folder_ / target / name;
    if (check_) {
      std::ifstream file(path, std::ios::binary);
      const std::string stored{std::istreambuf_iterator<char>(file), {}};
      if (stored == as_text(seed)) return;
      std::fprintf(stderr, "%s is not what an encoder writes: run fuzz_seeds fuzz/corpus\n", path.c_str());
      good_ = false;
      return;
    }
    std::filesystem::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    good_ = good_ && file.good();
  }
  bool good() const { return good_; }

 private:
  std::filesystem::path folder_;
  bool check_;
  bool good_ = true;
};

template <typename T>
Bytes encoded(const T& value) {
  Bytes out;
  encode(value, out);
  return out;
}

Bytes encoded_header(const rpc::Header& header) {
  Bytes out(rpc::kHeaderBytes);
  rpc::encode_header(header, std::span<std::byte, rpc::kHeaderBytes>(out));
  return out;
}

void rpc_seeds(Seeds& seeds) {
  constexpr const char* kTarget = "rpc_wire";
  rpc::Header request{.opcode = 33,
                      .target = 1,
                      .bulk_bytes = 4096,
                      .session = 7,
                      .sequence = 8,
                      .expiry = 9,
                      .trace_id = 10,
                      .map_version = 1};
  seeds.add(kTarget, "header_request", 0, encoded_header(request));
  rpc::Header reply{.opcode = 33, .flags = rpc::flag::kReply, .status = 3, .session = 7, .sequence = 8};
  seeds.add(kTarget, "header_error_reply", 0, encoded_header(reply));
  rpc::Header ping{.opcode = 2, .flags = rpc::flag::kControl, .session = 7, .sequence = 1};
  seeds.add(kTarget, "header_ping", 0, encoded_header(ping));
  rpc::Hello hello{.identity = kId, .name = "client", .session = rpc::SessionId(5), .incarnation = 6, .system = kId};
  hello.credential = to_bytes(as_bytes("secret"));
  seeds.add(kTarget, "hello", 1, encode(hello));
  seeds.add(kTarget, "welcome", 2, encode(rpc::Welcome{.session = rpc::SessionId(5), .resumed = true, .system = kId}));
  Bytes acknowledgement;
  rpc::Acknowledgement{.up_to = 17, .ended = {19, 20, 40}}.encode(acknowledgement);
  seeds.add(kTarget, "acknowledgement", 3, acknowledgement);
  seeds.add_text(kTarget, "addresses", 4, "node-1:7777,10.0.0.1,[::1]:80,[fe80::1%eth0]");
}

ListRequest list_request(const ObjectId& object) {
  return {.container = kId, .object = object, .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}, .limit = 100};
}

void message_seeds(Seeds& seeds) {
  constexpr const char* kTarget = "object_messages";
  seeds.add(kTarget, "update_request", 0, encoded(update_request()));
  seeds.add(kTarget, "update_reply", 1, encoded(UpdateReply{Epoch(6)}));
  seeds.add(kTarget, "fetch_request", 2, encoded(fetch_request()));
  seeds.add(kTarget, "fetch_reply", 3, encoded(fetch_reply()));
  seeds.add(kTarget, "punch_request", 4, encoded(punch_request()));
  ListRequest list = list_request(kObject);
  list.level = ListLevel::kAkeys;
  list.dkey = key("d");
  list.anchor = key("akey-17");
  list.prefix = key("akey-");
  seeds.add(kTarget, "list_request", 5, encoded(list));
  seeds.add(kTarget, "list_reply", 6, encoded(list_reply()));
  const QueryRequest query{.container = kId, .object = kObject, .epoch = Epoch(1), .dkey = key("d"), .akey = key("a")};
  seeds.add(kTarget, "query_request", 7, encoded(query));
  const QueryReply answer{.exists = true, .dkey = key("d"), .record_bytes = 8, .records = 99};
  seeds.add(kTarget, "query_reply", 8, encoded(answer));
  seeds.add(kTarget, "commit_request", 9, encoded(commit_request()));
  seeds.add(kTarget, "change_set", 9, encoded(change_set()));
  seeds.add(kTarget, "begin_request", 10, encoded(BeginRequest{kId}));
  seeds.add(kTarget, "pool_view_request", 11, encoded(PoolViewRequest{kId}));
  seeds.add(kTarget, "pool_view", 12, encoded(pool_view()));
  const LeaseGrant grant{.generation = 5, .valid = kLeaseTerm};
  seeds.add(kTarget, "leased_fetch_request", 13, encoded(LeasedFetchRequest{.token = 3, .fetch = fetch_request()}));
  seeds.add(kTarget, "leased_fetch_reply", 14, encoded(LeasedFetchReply{.grant = grant, .fetched = fetch_reply()}));
  seeds.add(kTarget, "leased_query_request", 15, encoded(LeasedQueryRequest{.token = 4, .query = query}));
  seeds.add(kTarget, "leased_query_reply", 16, encoded(LeasedQueryReply{.grant = grant, .found = answer}));
  seeds.add(kTarget, "renew_leases", 17, encoded(RenewLeasesRequest{.generation = 5, .dropped = {1, 2}}));
  seeds.add(kTarget, "recall", 18, encoded(RecallRequest{.generation = 5, .tokens = {7}}));
}

void append_part(Bytes& out, ByteView part) {
  Encoder encoder(out);
  encoder.integer(static_cast<std::uint16_t>(part.size()));
  encoder.raw(part);
}

void client_seeds(Seeds& seeds) {
  constexpr const char* kTarget = "client_replies";
  Bytes fetch;
  append_part(fetch, encoded(fetch_request()));
  append_part(fetch, encoded(fetch_reply()));
  Encoder(fetch).raw(as_bytes("the payload 123"));
  seeds.add(kTarget, "fetch", 0, fetch);
  seeds.add(kTarget, "fetch_verified", 2, fetch);
  for (const bool numbers : {false, true}) {
    Bytes merge;
    append_part(merge, encoded(list_request(numbers ? kNumbered : kObject)));
    ListReply page;
    for (const char* name : {"00000001", "00000005", "10000000"}) page.keys.push_back({.key = key(name)});
    append_part(merge, encoded(page));
    page.anchor = key("10000000");
    append_part(merge, encoded(page));
    seeds.add(kTarget, numbers ? "merge_numbers" : "merge", 1, merge);
  }
}

void control_seeds(Seeds& seeds) {
  constexpr const char* kTarget = "control_messages";
  SystemInfo system{.system = kId,
                    .name = "lab",
                    .version = "0.1.0",
                    .map_version = 1,
                    .targets = {},
                    .data_address = "a:1",
                    .control_address = "b:2"};
  system.targets.push_back({.index = 0, .id = kId, .total_bytes = 1 << 30, .free_bytes = 5, .state = "up"});
  const PoolInfo pool{.id = kId, .label = "p", .size_bytes = 1 << 20, .used_bytes = 7, .containers = 2};
  const ContainerInfo container{
      .id = kId, .pool = kId, .label = "c", .type = "kv", .properties = {{"user.x", "\"\n"}}, .used_bytes = 9};
  const auto text = [&seeds](const char* name, std::string_view json) { seeds.put(kTarget, name, as_bytes(json)); };
  const SnapshotInfo snapshot{.name = "s", .epoch = Epoch(0x18d0'0000'0000'0001)};
  text("snapshot", to_json(snapshot));
  text("snapshots", to_json(std::vector<SnapshotInfo>{snapshot, snapshot}));
  text("create_snapshot", snapshot_request_to_json("s"));
  text("system", to_json(system));
  text("pool", to_json(pool));
  text("pools", to_json(std::vector{pool, pool}));
  text("create_pool", to_json(CreatePool{.label = "p", .size_bytes = 1 << 20}));
  text("container", to_json(container));
  text("containers", to_json(std::vector{container}));
  text("create_container",
       to_json(CreateContainer{.pool = "p", .label = "c", .type = "posix", .properties = {{"checksum", "off"}}}));
  text("change_engines", to_json(ChangeEngines{.operation = PoolOperation::kDrain, .engines = {2, 3}}));
  text("pause_moves", pause_request_to_json(true));
  text("pool_changed",
       to_json(PoolChanged{.pool = kId, .label = "p", .map_version = 4, .engines = {{2, kChangeBegun, "draining"}}}));
  PoolMoves moves{.pool = kId, .label = "p", .map_version = 4, .active_version = 3, .moving = true, .state = "moving"};
  moves.engines = {{.rank = 2, .state = "draining", .since = 4}};
  moves.targets = {{.rank = 1, .target = 1, .bytes = 30, .objects = 3, .done = false, .obstacle = "no space"}};
  moves.silent = {3};
  text("pool_moves", to_json(moves));
  text("properties", to_json(std::map<std::string, std::string>{{"user.a", "b"}}));
  text("object_id", kObject.to_string());
  text("object_class", "EC_8P2GX");
  text("label", "a.label:of_one-pool");
}

void replica_entry_seeds(Seeds& seeds) {
  using namespace cenote::object;
  constexpr const char* kTarget = "object_records";
  const EntryName entry{.leader = 3, .epoch = Epoch(11)};
  seeds.add(kTarget, "entry_key", 7, entry_key(entry, 2));
  const EntryHeader header{.state = EntryState::kPrepared,
                           .container = kId,
                           .request = {.session = 1, .sequence = 2, .expiry = WallTime(Duration(3)), .acknowledged = 1},
                           .added = {.bytes = 4096, .objects = 1},
                           .pieces = 1,
                           .note = to_bytes(as_bytes("members"))};
  seeds.add(kTarget, "entry_header", 8, encode_entry_header(header));
  const KeyBytes dkey = key("d"), akey = key("a");
  const std::vector<Touched> touched{Touched(Place{kObject, dkey.view()}), Touched(Place{kObject}),
                                     Touched(Place{kObject, dkey.view(), akey.view()}),
                                     Touched(Place{kObject, dkey.view(), akey.view(), {5, 9}})};
  store::Batch batch;
  batch.put(store::TreeId(4), as_bytes("key"), as_bytes("value"));
  batch.claim({media::BlockNo(512), 2});
  seeds.add(kTarget, "entry_changes", 9, encode_entry_changes(touched, batch.encoded()));
}

void object_seeds(Seeds& seeds) {
  using namespace cenote::object;
  constexpr const char* kTarget = "object_records";
  KeyPath path(kObject, as_bytes(std::string_view("d\0key", 5)));
  seeds.add(kTarget, "key_object", 0, path.object_entry(Epoch(3)));
  seeds.add(kTarget, "key_dkey", 0, path.dkey_entry(Epoch(4)));
  path.set_akey(as_bytes("akey"));
  seeds.add(kTarget, "key_akey", 0, path.akey_entry(Epoch(5)));
  seeds.add(kTarget, "key_single", 0, path.single(Epoch(6)));
  seeds.add(kTarget, "key_extent", 0, path.extent(2, 8192, Epoch(7)));
  seeds.add(kTarget, "key_wide_punch", 0, path.wide_punch(1 << 20, Epoch(8)));
  Bytes number(8, std::byte{7});
  KeyPath numbered(kNumbered, number);
  seeds.add(kTarget, "key_numbered", 0, numbered.dkey_entry(Epoch(9)));

  const auto value = [&seeds](const char* name, auto append_to) {
    ValueBytes out;
    append_to(out);
    seeds.add(kTarget, name, 1, out);
  };
  value("value_punch", [](ValueBytes& out) { append_punch(out); });
  value("value_hole", [](ValueBytes& out) { append_hole(300, out); });
  value("value_array", [](ValueBytes& out) {
    ArrayFlags flags;
    flags.add_class(1);
    flags.add_wide_punch();
    append_array(4096, flags, out);
  });
  const std::uint32_t checksums[] = {1, 2, 3};
  value("value_single", [&checksums](ValueBytes& out) {
    const store::Extent extents[] = {{media::BlockNo(5), 2}, {media::BlockNo(900'000), 1}};
    append_stored({.type = EntryType::kSingle, .bytes = 10'000, .checksums = checksums}, extents, out);
  });
  value("value_inline", [&checksums](ValueBytes& out) {
    append_inline({.type = EntryType::kExtent,
                   .bytes = 8,
                   .records = 2,
                   .record_bytes = 4,
                   .checksums = std::span(checksums).first(1)},
                  as_bytes("12345678"), out);
  });

  const StoredUnit units[] = {{5000, 8}, {300, 9}};
  value("value_packed", [&units](ValueBytes& out) {
    const store::Extent extents[] = {{media::BlockNo(5), 3}};
    append_stored({.type = EntryType::kSingle, .bytes = 40'000, .compression = Compression::kLz4, .units = units},
                  extents, out);
  });
  value("value_sealed", [&units](ValueBytes& out) {
    const store::Extent extents[] = {{media::BlockNo(5), 3}};
    const Bytes nonce(kSealNonceBytes, std::byte{6});
    append_stored(
        {.type = EntryType::kSingle, .bytes = 40'000, .compression = Compression::kLz4, .nonce = nonce, .units = units},
        extents, out);
  });
  value("value_packed_inline", [&units](ValueBytes& out) {
    const Bytes data(300, std::byte{1});
    append_inline({.type = EntryType::kSingle,
                   .bytes = 4096,
                   .compression = Compression::kZstd,
                   .units = std::span(units).last(1)},
                  data, out);
  });

  seeds.add(kTarget, "system_ceiling", 2, ceiling_key());
  seeds.add(kTarget, "system_container", 2, object::container_key(RecordKind::kContainer, kId));
  seeds.add(kTarget, "system_destroying", 2, destroying_key(store::TreeId(9)));
  seeds.add(kTarget, "system_snapshot", 2, snapshot_key(kId, Epoch(0x1234)));
  seeds.add(kTarget, "record_snapshot", 3, encode_snapshot());
  seeds.add(kTarget, "record_container_snapshots", 3, encode_container({{.checksums = true}, store::TreeId(77), true}));
  seeds.add(kTarget, "record_container_packed", 3,
            encode_container({{.checksums = true, .compression = Compression::kZstd}, store::TreeId(77), true}));
  seeds.add(kTarget, "record_container_encrypted", 3,
            encode_container({{.checksums = true, .encrypted = true}, store::TreeId(77), false, false, SealedKey()}));
  seeds.add(kTarget, "record_container_rollbacks", 3,
            encode_container({{.checksums = true}, store::TreeId(77), true, true}));
  seeds.add(
      kTarget, "record_rollback", 3,
      encode_rollback({.request = kId, .ranges = {{Epoch(0x1234), Epoch(0x2345)}, {Epoch(0x2345), Epoch(0x9999)}}}));
  seeds.add(kTarget, "record_container", 3, encode_container({{.checksums = true}, store::TreeId(77)}));
  seeds.add(kTarget, "record_number", 3, encode_number(1 << 20));
  seeds.add(kTarget, "record_destroying", 3, encode_destroying(path.single(Epoch(6))));
  seeds.add(kTarget, "request_key", 4, request_key(3, 4));
  seeds.add(kTarget, "request_result", 5, encode_request({Epoch(4), WallTime(Duration(5)), WallTime(Duration(6)), 7}));
}

void cluster_seeds(Seeds& seeds) {
  using namespace cenote::cluster;
  constexpr const char* kTarget = "cluster_state";
  seeds.add(kTarget, "value", 0, encode_value(Revision(258), "a value"));
  seeds.add(kTarget, "value_empty", 0, encode_value(Revision(1), ""));
  seeds.add(kTarget, "revision", 1, encode_revision(Revision(258)));

  seeds.add("pool_map", "documented", 0, encode_pool_map(map_examples::documented()));
  PoolMap map = map_examples::map_of(map_examples::racks_of_engines(2, 2, 2));
  seeds.add("pool_map", "racks", 0, encode_pool_map(map));
  ASSERT(map.add(std::vector{map_examples::engine("rack2/node", 9, 2)}).has_value());
  ASSERT(map.apply(MapOperation::kActivate, std::vector{TargetId(9)}).has_value());
  ASSERT(map.apply(MapOperation::kDrain, std::vector{TargetId(0)}).has_value());
  ASSERT(map.apply(MapOperation::kExclude, std::vector{TargetId(0), TargetId(3)}).has_value());
  seeds.add("pool_map", "moving", 0, encode_pool_map(map));
}

void engine_seeds(Seeds& seeds) {
  using namespace cenote::engine;
  constexpr const char* kTarget = "engine_state";
  Identity identity{.state = Identity::State::kReady, .system = kId, .engine = kId, .name = "lab"};
  identity.coordinator = engine::StoreIdentity{kId, "coordinator", 64 << 20, 8 << 20};
  identity.targets = {{kId, "targets/0", 1 << 30, 64 << 20}, {kId, "/dev/disk", 1 << 30, 64 << 20}};
  seeds.add_text(kTarget, "identity", 0, encode_identity(identity));
  // Around the limit of nesting; the checksum does not matter, what is deep is refused before.
  seeds.add_text(kTarget, "identity_deep", 0, "{\"magic\":" + std::string(200, '[') + std::string(200, ']') + "}");
  seeds.add_text(kTarget, "pool", 1, encode(PoolRecord{.id = kId, .label = "p", .size_bytes = 5, .containers = 2}));
  const engine::ContainerRecord container{
      .id = kId, .pool = kId, .label = "c", .type = "kv", .state = engine::ContainerRecord::State::kReady};
  seeds.add_text(kTarget, "container", 2, encode(container));
  seeds.add_text(kTarget, "snapshot", 5,
                 encode(SnapshotRecord{.container = kId, .name = "s", .id = kId, .epoch = Epoch(1)}));
  seeds.add_text(kTarget, "rollback", 7,
                 encode(RollbackRecord{.container = kId, .id = kId, .to = Epoch(1), .done = true}));
  seeds.add_text(kTarget, "snapshot_key", 6, engine::snapshot_key(kId, "s"));
  seeds.add_text(kTarget, "number", 3, "18446744073709551615");
  seeds.add_text(kTarget, "key", 4, member_key(kId, kId));
  seeds.add_text(kTarget, "recovered", 8, encode(RecoveryRecord{.count = 2, .keeps_unknown = true}));
  engine::ControlCopyEncoder copy({.system = kId, .engine = kId, .revision = cluster::Revision(258), .written = {}});
  copy.add({engine::container_key(kId), encode(container), cluster::Revision(7)});
  copy.add({engine::kSystemKey, encode(SystemIdentity{kId, "lab"}), cluster::Revision(1)});
  seeds.add(kTarget, "control_copy", 9, std::move(copy).finish());
}

void target_message_seeds(Seeds& seeds) {
  using namespace cenote::engine;
  constexpr const char* kTarget = "target_messages";
  for (const TargetsRequest& request : target_examples::requests()) {
    const auto op = static_cast<std::uint8_t>(request.op);
    Bytes body;
    encode(request, body);
    seeds.add(kTarget, fmt::format("request_{}", op).c_str(), 0, body);
    body.clear();
    encode(request.op, target_examples::reply(), body);
    if (!body.empty()) seeds.add(kTarget, fmt::format("reply_{}", op).c_str(), op, body);
  }
}

void entry_message_seeds(Seeds& seeds) {
  using namespace cenote::engine;
  constexpr const char* kTarget = "entry_messages";
  std::uint8_t selector = 0;
  const auto add = [&](const char* name, const auto& message) {
    Bytes body;
    encode(message, body);
    seeds.add(kTarget, name, selector++, body);
  };
  const RequestId request{.session = 3, .sequence = 4, .expiry = WallTime(Duration(5)), .acknowledged = 2};
  EntryNote note{.pool = kId, .begun = cluster::MapVersion(7), .leader = {.object = kObject}, .groups = {}};
  note.groups = {{cluster::TargetId(1), cluster::TargetId(2)}, {cluster::TargetId(3)}};
  const Bytes noted = *encode(note);
  const object::UndecidedEntry entry{.name = {130, Epoch(77)}, .container = kId, .request = request, .note = noted};
  PrepareMessage prepare{.name = {130, Epoch(77)},
                         .note = noted,
                         .member = object::Member::kIncomplete,
                         .decided = {{{130, Epoch(5)}, EntryEvent::kCommit}},
                         .request = {}};
  prepare.request.container = kId;
  prepare.request.id = request;
  PunchRequest& punch = prepare.request.punches.emplace_back();
  punch.container = kId;
  punch.object = kObject;
  punch.level = PunchLevel::kDkey;
  punch.dkey = as_bytes("d");
  add("prepare", prepare);
  --selector;
  prepare.member = object::Member::kChecking;
  prepare.request.punches[0].condition = Precondition::kPresent;
  add("prepare_checking", prepare);
  add("prepared", PrepareAnswer{.state = EntryState::kRefused,
                                .reason = Code::kUndecided,
                                .message = "why",
                                .clock = Epoch(8),
                                .other = entry});
  add("decide", DecideMessage{.container = kId, .decisions = prepare.decided});
  add("decided", DecideAnswer{.done = {{Code::kOk, EntryState::kCommitted}}});
  add("settle", SettleMessage{.entry = entry});
  add("settled", SettleAnswer{.outcome = EntryState::kCommitted});
  add("ask", AskMessage{.container = kId, .request = request});
  add("asked", AskAnswer{.result = UpdateReply{Epoch(5)}, .attempt = entry});
  add("read_history",
      ReadHistoryMessage{
          .container = kId, .tree = kId, .asker = cluster::TargetId(5), .from = to_bytes(as_bytes("p"))});
  add("read_results", ReadResultsMessage{.container = kId, .from = {}});
  add("page", PageAnswer{.next = to_bytes(as_bytes("p")), .bytes = 5, .objects = 1});
  add("await_settled", AwaitSettledMessage{kId});
  add("read_entry", ReadEntryMessage{.container = kId, .tree = kId, .key = to_bytes(as_bytes("k"))});
  seeds.add(kTarget, "note", selector, noted);
}

void posix_seeds(Seeds& seeds) {
  using namespace cenote::posix;
  constexpr const char* kTarget = "posix_formats";
  Inode inode{.object = kObject, .mode = 0644, .uid = 1000, .gid = 100, .mtime = WallTime(Duration(5))};
  seeds.add(kTarget, "entry_file", 0, encode_entry(Entry::of(inode)));
  inode.has_companion = inode.has_xattrs = inode.is_wide = true;
  inode.links = 2;
  seeds.add(kTarget, "entry_reference", 0, encode_entry(Entry::reference(inode)));
  seeds.add(kTarget, "inode_linked", 0, encode_entry(Entry::of(inode)));
  inode.is_wide = false;
  inode.type = FileType::kSymlink;
  inode.target = "../there";
  seeds.add(kTarget, "entry_symlink", 0, encode_entry(Entry::of(inode)));
  seeds.add(kTarget, "inode_directory", 0,
            encode_entry(Entry::of({.type = FileType::kDirectory, .object = kObject, .parent = kNumbered})));
  seeds.add(kTarget, "where", 3, encode_where({kObject, "name"}));
  seeds.add(kTarget, "removed", 4, to_bytes(as_bytes(posix::Place::removed(kObject, 5, kObject).dkey)));
  seeds.add(kTarget, "superblock", 1,
            posix::encode_superblock({.root = root_object(0), .created = WallTime(Duration(7))}));
  seeds.add(kTarget, "acl", 5,
            encode_acl({{AclTag::kOwner, 6},
                        {AclTag::kUser, 6, 1000},
                        {AclTag::kGroup, 4},
                        {AclTag::kMask, 6},
                        {AclTag::kOther, 0}}));
  seeds.add_text(kTarget, "path", 2, "/a/./b//../c.txt/");
  seeds.add_text(kTarget, "name", 2, "name");
}

void cli_seeds(Seeds& seeds) {
  constexpr const char* kTarget = "cli_input";
  seeds.add_text(kTarget, "settings", 0,
                 "# comment\n[client]\nserver = \"a:1,b:2\"\ntimeout = '5s'\n\n[server]\ntargets = 3\n"
                 "cache = \"1.5GiB\"\npin-cpus = true\n");
  seeds.add_text(kTarget, "settings_dotted", 0,
                 "client.server = \"\"\"\na\"\"\"\nserver = { targets = 0x10, data = 'x' }\n");
  seeds.add_text(kTarget, "size", 1, "1.5GiB");
  seeds.add_text(kTarget, "duration", 1, "250ms");
  seeds.add_text(kTarget, "container", 2, "pool/container");
  seeds.add_text(kTarget, "remote_path", 2, "pool/container:/dir/file");
}

}  // namespace

int main(int count, char** values) {
  const bool check = count == 3 && std::string_view(values[1]) == "--check";
  const bool option = count >= 2 && values[count - 1][0] == '-';  // a typing error, not the folder's name
  if ((count != 2 && !check) || option) {
    std::fprintf(stderr, "usage: %s [--check] FOLDER\n", values[0]);
    return 2;
  }
  Seeds seeds(values[count - 1], check);
  rpc_seeds(seeds);
  message_seeds(seeds);
  client_seeds(seeds);
  control_seeds(seeds);
  object_seeds(seeds);
  replica_entry_seeds(seeds);
  cluster_seeds(seeds);
  engine_seeds(seeds);
  target_message_seeds(seeds);
  entry_message_seeds(seeds);
  posix_seeds(seeds);
  cli_seeds(seeds);
  return seeds.good() ? 0 : 1;
}
