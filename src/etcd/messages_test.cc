#include "messages.h"

#include <gtest/gtest.h>

#include "base64.h"
#include "cenote/runtime/random.h"

namespace cenote::etcd {
namespace {

using cluster::Revision;
using cluster::WatchEvent;

TEST(Base64, IsThatOfItsStandard) {
  const std::pair<const char*, const char*> pairs[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : pairs) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(from_base64(to_base64(all)), all);
}

TEST(Base64, EveryOtherTextIsNone) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zh==", "Zm9=", "Zm9v\n", "Zm-v", "=Zg=", "Zg==Zg=="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Messages, ThePrefixEndsBehindAllItsKeys) {
  EXPECT_EQ(end_of_prefix("a"), "b");
  EXPECT_EQ(end_of_prefix("a/"), "a0");
  EXPECT_EQ(end_of_prefix("a\xff\xff"), "b");
  EXPECT_EQ(end_of_prefix("a\x7f"), "a\x80");
}

// As an etcd 3.4 answered.
constexpr const char* kRange =
    R"({"header":{"cluster_id":"12101053776118486841","member_id":"15985099378392235387","revision":"7","raft_term":"2"},)"
    R"("kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"5","version":"4","value":"YmFy","lease":"77"},)"
    R"({"key":"Zm9w","create_revision":"6","mod_revision":"6","version":"1"}],"count":"2"})";

TEST(Messages, ReadsARange) {
  const auto answer = parse_answer(kRange);
  ASSERT_TRUE(answer);
  EXPECT_EQ(header_of(*answer).cluster, 12101053776118486841u);
  EXPECT_EQ(header_of(*answer).revision, Revision(7));
  const auto entries = entries_of(*answer);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ(entries->front().key, "foo");
  EXPECT_EQ(entries->front().value, "bar");
  EXPECT_EQ(entries->front().modified, Revision(5));
  EXPECT_EQ(entries->front().lease, cluster::LeaseId(77));
  EXPECT_EQ(entries->back().value, "");
  EXPECT_EQ(entries->back().lease, cluster::kNoLease);
}

TEST(Messages, ReadsWhatAWatchSays) {
  const auto created = parse_watch_message(R"({"result":{"header":{"cluster_id":"1","revision":"6"},"created":true}})");
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->created && created->events.empty() && !created->cancelled);
  const auto events = parse_watch_message(
      R"({"result":{"header":{"cluster_id":"1","revision":"9"},"fragment":true,"events":[)"
      R"({"kv":{"key":"Zm9v","create_revision":"2","mod_revision":"8","version":"1","value":"YmFy"}},)"
      R"({"type":"DELETE","kv":{"key":"Zm9v","mod_revision":"9"}}]}})");
  ASSERT_TRUE(events) << events.error().to_string();
  EXPECT_TRUE(events->more);
  EXPECT_EQ(events->events, (std::vector<WatchEvent>{{"foo", "bar", Revision(8)}, {"foo", std::nullopt, Revision(9)}}));
  const auto forgotten =
      parse_watch_message(R"({"result":{"header":{"cluster_id":"1"},"canceled":true,"compact_revision":"4"}})");
  ASSERT_TRUE(forgotten);
  EXPECT_EQ(forgotten->compacted, Revision(4));
  const auto ended = parse_watch_message(
      R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}})");
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->error, "etcdserver: no leader");
}

TEST(Messages, TellsWhatMayHaveTakenEffectFromWhatDidNot) {
  struct Case {
    long http;
    const char* body;
    Code code;
    bool again, may_count;
  };
  const Case cases[] = {
      {404, R"({"message":"etcdserver: requested lease not found","code":5})", Code::kLeaseExpired, false, false},
      {412, R"({"message":"etcdserver: lease already exists","code":9})", Code::kExists, false, false},
      {400, R"({"message":"etcdserver: mvcc: required revision has been compacted","code":11})", Code::kCompacted,
       false, false},
      {400, R"({"message":"etcdserver: request is too large","code":3})", Code::kInvalidArgument, false, false},
      {429, R"({"message":"etcdserver: mvcc: database space exceeded","code":8})", Code::kNoSpace, false, false},
      {429, R"({"message":"etcdserver: too many requests","code":8})", Code::kBusy, true, false},
      {503, R"({"message":"etcdserver: request timed out, possibly due to previous leader failure","code":14})",
       Code::kUnreachable, true, true},
      {500, R"({"message":"something new","code":2})", Code::kConnectionLost, true, true},
      {404, "Not Found\n", Code::kProtocolError, false, false},
      {502, "<html>a proxy</html>", Code::kConnectionLost, true, true},
  };
  for (const Case& each : cases) {
    const Refusal refusal = refusal_of(each.http, each.body);
    EXPECT_EQ(refusal.error.code(), each.code) << each.body;
    EXPECT_EQ(refusal.again, each.again) << each.body;
    EXPECT_EQ(refusal.may_count, each.may_count) << each.body;
  }
}

// Whatever comes is read or refused.
TEST(Messages, GarbageIsAnError) {
  for (const char* text : {"", "{", "[]", "7", "null", R"({"kvs":7})", R"({"kvs":[7]})", R"({"kvs":[{"key":7}]})",
                           R"({"kvs":[{"key":"Zg==","mod_revision":"-1"}]})",
                           R"({"kvs":[{"key":"!!!!","mod_revision":"1"}]})", R"({"kvs":[{"mod_revision":"1"}]})"}) {
    const auto answer = parse_answer(text);
    if (answer) EXPECT_EQ(entries_of(*answer).error().code(), Code::kProtocolError) << text;
  }
  for (
      const char* text :
      {R"({"result":{"events":7}})", R"({"result":{"events":[7]}})",
       R"({"result":{"events":[{"type":"NEW","kv":{"key":"Zg==","mod_revision":"1"}}]}})",
       R"({"result":{"events":[{"kv":{"key":"Zg==","mod_revision":"2"}},{"kv":{"key":"Zg==","mod_revision":"1"}}]}})"}) {
    EXPECT_EQ(parse_watch_message(text).error().code(), Code::kProtocolError) << text;
  }
  Random random(42);
  for (int i = 0; i < 2000; ++i) {
    std::string text = kRange;
    for (int flips = 0; flips < 3; ++flips) text[random.below(text.size())] = static_cast<char>(random.next());
    if (const auto answer = parse_answer(text)) static_cast<void>(entries_of(*answer));
    static_cast<void>(parse_watch_message(text));
    static_cast<void>(refusal_of(500, text));
  }
}

}  // namespace
}  // namespace cenote::etcd
