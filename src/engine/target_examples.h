#pragma once

#include "target_messages.h"

/// Messages with something in every field, for the tests of the codecs and the seeds of their fuzz target.
namespace cenote::engine::target_examples {

inline const Uuid kContainer = Uuid::from_random(0x1111'2222'3333'4444, 0x5555'6666'7777'8888);
inline const Uuid kPool = Uuid::from_random(9, 10);

inline AccountTerms terms(const Uuid& id, std::string name) {
  return {.id = id, .name = std::move(name), .limit = {1000, 10}, .soft_limit = {800, UINT64_MAX}};
}

/// One of every kind of call.
inline std::vector<TargetsRequest> requests() {
  std::vector<TargetsRequest> all;
  for (auto op = static_cast<std::uint8_t>(TargetsOp::kDescribe); op <= static_cast<std::uint8_t>(TargetsOp::kKeepCopy);
       ++op) {
    TargetsRequest& request = all.emplace_back();
    request.token = 77;
    request.number = 100u + op;
    request.op = static_cast<TargetsOp>(op);
    request.container = kContainer;
    request.id = Uuid::from_random(1, op);
    request.epoch = Epoch(0x18d0'0000'0000'0001);
    request.properties = {.checksums = false, .compression = object::Compression::kZstd, .encrypted = true};
    request.source = object::CloneSource{kPool, Epoch(5)};
    request.account = terms(kContainer, "container 'p/c'");
    request.pool_account = terms(kPool, "pool 'p'");
    request.hold_number = 99;
    request.bytes_per_second = 1 << 20;
    request.findings_known = {0, 7};
    request.revision = cluster::Revision(258);
  }
  return all;
}

inline object::TargetFinding finding() {
  object::TargetFinding finding;
  finding.finding = {.kind = store::FindingKind::kData,
                     .message = "data does not match its checksum",
                     .device = "targets/0",
                     .block = 17,
                     .blocks = 2,
                     .page = 4,
                     .tree = {},
                     .tree_name = {},
                     .lost = store::KeyRange{},
                     .repaired = true};
  finding.container = kContainer;
  finding.object = ObjectId(3, 4);
  finding.dkey = "d";
  finding.akey = "a";
  finding.epoch = Epoch(6);
  finding.first = 1;
  finding.records = 2;
  return finding;
}

inline TargetsReply reply() {
  TargetsReply reply;
  reply.about = {.encrypted = true, .capacity_bytes = 1 << 30, .target_bytes = {5, 6}};
  reply.epoch = Epoch(0x18d0'0000'0000'0001);
  reply.usage = {5, 6};
  reply.flattening = FlattenInfo{1, 2, 3, 4, 5, "target 0: no space"};
  reply.scrub.ended = true;
  ScrubbedTarget& target = reply.scrub.targets.emplace_back();
  target.report = {1, 2, 3, 4, 5, 6, 7, 8};
  target.found = 2;
  target.damages = 1;
  target.outcome = Code::kCancelled;
  target.error = "the user ended it";
  target.findings = {finding(), object::TargetFinding()};
  reply.scrub.targets.emplace_back();
  reply.containers = {{.id = kContainer, .source = object::CloneSource{kPool, Epoch(5)}, .last_rollback = kPool},
                      {.id = Uuid::from_random(9, 9), .kept = true}};
  reply.snapshots = {Epoch(3), Epoch(0x18d0'0000'0000'0001)};
  reply.moves = {{.index = 1, .version = 2, .bytes = 3, .objects = 4, .done = true, .obstacle = "no space"}, {}};
  return reply;
}

}  // namespace cenote::engine::target_examples
