#pragma once

#include "cenote/protocol/pool_requests.h"
#include "cenote/protocol/transaction_requests.h"

/// Messages with something in every field, for the tests of the codecs and the seeds of their fuzz targets. The fetch
/// reply answers the fetch request with 15 bytes of payload.
namespace cenote::protocol_examples {

inline const Uuid kContainer = Uuid::from_random(0x1111'2222'3333'4444, 0x5555'6666'7777'8888);
inline const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 3, 4);

inline KeyBytes key(std::string_view text) { return KeyBytes(as_bytes(text)); }

inline UpdateRequest update_request() {
  UpdateRequest request{.container = kContainer,
                        .object = kObject,
                        .dkey = key("directory"),
                        .dkey_condition = Precondition::kPresent,
                        .akeys = {},
                        .id = {.session = 9, .sequence = 10, .expiry = WallTime(Duration(11)), .acknowledged = 8}};
  request.akeys.push_back({.akey = key("a single value whose key is long"),
                           .condition = Precondition::kAbsent,
                           .ranges = {},
                           .bytes = 5000,
                           .checksums = {1, 2}});
  request.akeys.push_back({.akey = key("array"),
                           .kind = ValueKind::kArray,
                           .record_bytes = 8,
                           .ranges = {{0, 1}, {5, 2}, {131071, 3}},
                           .bytes = 48,
                           .checksums = {3, 4, 5, 6}});
  return request;
}

inline FetchRequest fetch_request() {
  FetchRequest request{.container = kContainer, .object = kObject, .dkey = key("d"), .epoch = Epoch(77), .akeys = {}};
  request.akeys.push_back({.akey = key("value"), .condition = Precondition::kPresent, .ranges = {}, .max_bytes = 16});
  request.akeys.push_back(
      {.akey = key("array"), .kind = ValueKind::kArray, .ranges = {{1, 2}, {7, 9}}, .max_bytes = 11});
  return request;
}

inline FetchReply fetch_reply() {
  FetchReply reply{.epoch = Epoch(5), .akeys = {}};
  reply.akeys.push_back({.exists = true, .bytes = 8, .range_bytes = {}, .holes = {}, .checksums = {9}});
  reply.akeys.push_back({.exists = true,
                         .record_bytes = 1,
                         .bytes = 7,
                         .range_bytes = {2, 5},
                         .holes = {{8, 2}, {12, 4}},
                         .checksums = {1, 2}});
  return reply;
}

inline PunchRequest punch_request() {
  return {.container = kContainer,
          .object = kObject,
          .level = PunchLevel::kRange,
          .condition = Precondition::kPresent,
          .dkey = key("d"),
          .akeys = {key("a")},
          .ranges = {{0, 1}, {9, UINT64_MAX - 9}},
          .id = {.session = 1, .sequence = 2, .expiry = WallTime(Duration(3)), .acknowledged = 1}};
}

inline CommitRequest commit_request() {
  CommitRequest request;
  request.container = kContainer;
  request.snapshot = Epoch(77);
  request.id = {.session = 9, .sequence = 10, .expiry = WallTime(Duration(11)), .acknowledged = 8};
  request.reads.push_back({.object = kObject, .dkey = key("d"), .akey = key("value"), .ranges = {}});
  request.reads.push_back({.object = kObject, .dkey = key("d"), .akey = key("array"), .ranges = {{1, 2}, {9, 9}}});
  ListRequest list{.container = kContainer, .object = kObject, .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}};
  request.lists.push_back({.request = list, .digest = 0x1234});
  request.queries.push_back(
      {.request = {.container = kContainer, .object = kObject, .dkey = key("d"), .akey = key("array")},
       .reply = {.exists = true, .dkey = key("d"), .record_bytes = 8, .records = 99}});
  PunchRequest punch{.container = kContainer,
                     .object = kObject,
                     .level = PunchLevel::kRange,
                     .dkey = key("directory"),
                     .akeys = {key("array")},
                     .ranges = {{1, 4}, {7, 100}},
                     .id = {}};
  request.punches.push_back(punch);
  punch.level = PunchLevel::kAkey;
  punch.akeys = {key("a"), key("b")};
  punch.ranges = {};
  request.punches.push_back(punch);
  UpdateRequest update = update_request();
  update.id = {};
  update.dkey_condition = Precondition::kNone;
  for (AkeyUpdate& akey : update.akeys) akey.condition = Precondition::kNone;
  request.updates.push_back(update);
  update.dkey = key("another directory");
  request.updates.push_back(update);
  return request;
}

/// A file in a directory of the same target, and an old one that goes.
inline CommitRequest change_set() {
  CommitRequest request;
  request.container = kContainer;
  request.id = {.session = 9, .sequence = 11, .expiry = WallTime(Duration(12)), .acknowledged = 8};
  request.punches.push_back({.container = kContainer,
                             .object = kObject,
                             .level = PunchLevel::kDkey,
                             .condition = Precondition::kPresent,
                             .dkey = key("old file"),
                             .akeys = {},
                             .ranges = {},
                             .id = {}});
  UpdateRequest entry{
      .container = kContainer, .object = kObject, .dkey = key("file"), .dkey_condition = Precondition::kAbsent};
  entry.akeys.push_back({.akey = key("entry"), .ranges = {}, .bytes = 40, .checksums = {3}});
  request.updates.push_back(entry);
  entry.dkey = key("directory");
  entry.dkey_condition = Precondition::kNone;
  entry.akeys[0].akey = key("times");
  entry.akeys[0].condition = Precondition::kPresent;
  request.updates.push_back(entry);
  return request;
}

inline PoolView pool_view() {
  return {.map = to_bytes(as_bytes("a map")),
          .engines = {{.rank = 3, .addresses = {"a:1", "b:2"}}, {.rank = 7, .addresses = {}}}};
}

inline ListReply list_reply() {
  ListReply reply;
  reply.keys.push_back({.key = key("x"), .kind = ValueKind::kArray, .record_bytes = 8});
  reply.keys.push_back({.key = key("a key longer than what fits inline")});
  reply.extents.push_back({.range = {1, 2}, .epoch = Epoch(3), .stored_bytes = 4});
  reply.anchor = key("next");
  return reply;
}

}  // namespace cenote::protocol_examples
