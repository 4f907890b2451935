// A first program: keeps a counter, a picture and a list of names, durably.
//
//   hello DIRECTORY     a store of its own in this process
//   hello HOST:PORT     the same in a system that runs somewhere ('cenote dev' starts one)
//
// Built outside this tree:  c++ hello.cc $(pkg-config --cflags --libs cenote)

#include <cenote/cenote.hpp>
#include <cstdio>
#include <string>

namespace {

using cenote::Result;

/// Pool and container, made by whoever comes first.
Result<cenote::Container> open_container(cenote::Client& client) {
  auto container = client.open_container("hello", "world");
  if (container || container.error() != cenote::Code::kPoolNotFound) return container;
  if (auto made = client.create_pool({.label = "hello", .size_bytes = 0}); !made) return std::unexpected(made.error());
  cenote::CreateContainer request{.pool = "hello", .label = "world", .type = "", .properties = {}};
  if (auto made = client.create_container(request); !made) return std::unexpected(made.error());
  return client.open_container("hello", "world");
}

Result<> run(const std::string& where) {
  const bool remote = where.find(':') != std::string::npos;
  auto client = remote ? cenote::connect(where) : cenote::open(where, {.size_bytes = 64u << 20});
  if (!client) return std::unexpected(client.error());
  auto container = open_container(*client);
  if (!container) return std::unexpected(container.error());

  // Keys and values. What `put` returned from survives any crash.
  cenote::Kv kv = container->kv();
  auto before = kv.get("visits");
  if (!before) return std::unexpected(before.error());
  const int visits = *before ? std::stoi(std::string(cenote::as_text(**before))) + 1 : 1;
  if (auto put = kv.put("visits", std::to_string(visits)); !put) return put;

  // An array of bytes of any length, spread over the targets; what was never written reads as zeroes.
  auto object =
      container->allocate_object(cenote::ObjectClass::kSX, cenote::KeyFlavour::kUint64, cenote::KeyFlavour::kLexical);
  if (!object) return std::unexpected(object.error());
  cenote::Array picture = container->array(*object);
  const cenote::Bytes pixels(100'000, std::byte{0x7f});
  if (auto written = picture.write(4096, pixels); !written) return written;
  auto size = picture.size();
  if (!size) return std::unexpected(size.error());

  std::printf("picture of %llu bytes\nvisit %d\n", static_cast<unsigned long long>(*size), visits);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: hello DIRECTORY | HOST:PORT\n");
    return 2;
  }
  if (const auto done = run(argv[1]); !done) {
    std::fprintf(stderr, "hello: %s\n", done.error().message().c_str());
    return 1;
  }
  return 0;
}
