#include "cenote/rpc/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cenote::rpc {
namespace {

using ::testing::HasSubstr;

TEST(AddressTest, ReadsWhatPeopleWrite) {
  struct Case {
    const char* text;
    const char* host;
    std::uint16_t port;
  };
  const Case cases[] = {{"localhost", "localhost", kDefaultPort},
                        {"node-3.example.org:9", "node-3.example.org", 9},
                        {"10.0.0.1:7777", "10.0.0.1", 7777},
                        {"[::1]:65535", "::1", 65535},
                        {"[fe80::1%eth0]:1", "fe80::1%eth0", 1},
                        {"[::1]", "::1", kDefaultPort},
                        {"host_1:0", "host_1", 0}};
  for (const Case& c : cases) {
    const Result<Address> address = Address::parse(c.text);
    ASSERT_TRUE(address) << address.error().to_string();
    EXPECT_EQ(address->host, c.host);
    EXPECT_EQ(address->port, c.port);
    EXPECT_EQ(Address::parse(address->to_string()).value(), *address);
  }
}

TEST(AddressTest, SaysWhatIsWrong) {
  EXPECT_THAT(Address::parse("host:port").error().message(), HasSubstr("'port' is no port; write HOST:PORT"));
  EXPECT_THAT(Address::parse("host:70000").error().message(), HasSubstr("'70000' is no port"));
  EXPECT_THAT(Address::parse("host:").error().message(), HasSubstr("'' is no port"));
  EXPECT_THAT(Address::parse("::1").error().message(), HasSubstr("put an IPv6 address in brackets"));
  EXPECT_THAT(Address::parse("[::1").error().message(), HasSubstr("']' is missing"));
  EXPECT_THAT(Address::parse("[::1]7777").error().message(), HasSubstr("expected ':PORT' after ']'"));
  EXPECT_THAT(Address::parse("[10.0.0.1]:1").error().message(), HasSubstr("no IPv6 address"));
  EXPECT_THAT(Address::parse("").error().message(), HasSubstr("no host name"));
  EXPECT_THAT(Address::parse("a b:1").error().message(), HasSubstr("no host name"));
}

TEST(AddressTest, Lists) {
  EXPECT_EQ(parse_addresses("a:1,[::1]:2,c").value().size(), 3u);
  EXPECT_FALSE(parse_addresses("a:1,,c"));
  EXPECT_FALSE(parse_addresses(""));
}

TEST(AddressTest, NumericOnesResolveToThemselves) {
  EXPECT_EQ(resolve_blocking({"127.0.0.1", 5}).value(), (std::vector<Address>{{"127.0.0.1", 5}}));
  EXPECT_EQ(resolve_blocking({"localhost", 5}).value(), (std::vector<Address>{{"127.0.0.1", 5}, {"::1", 5}}));
}

}  // namespace
}  // namespace cenote::rpc
