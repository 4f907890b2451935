// The main function of a fuzz target where there is no libFuzzer: runs every seed, then a fixed sequence of mutated
// seeds.
//   fuzz_NAME [--inputs N] [--seed S] FILE|FOLDER...
// The input at work stands in the file fuzz_NAME.input of the working folder; it is left behind when the target dies,
// and `fuzz_NAME fuzz_NAME.input` (or the libFuzzer program of the same name) then fails again.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kInputBytesMax = std::size_t{1} << 20;

struct Arguments {
  std::uint64_t inputs = 0;
  std::uint64_t seed = 1;
  std::vector<std::filesystem::path> paths;
};

bool parse_number(const char* text, std::uint64_t& number) {
  const std::string_view digits(text);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
}

bool parse_arguments(int count, char** values, Arguments& arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string_view name = values[i];
    if (name == "--inputs" || name == "--seed") {
      std::uint64_t& number = name == "--seed" ? arguments.seed : arguments.inputs;
      if (i + 1 == count || !parse_number(values[i + 1], number)) return false;
      ++i;
    } else {
      arguments.paths.emplace_back(name);
    }
  }
  return !arguments.paths.empty();
}

Input read_input(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every file given, and every file of every folder given, by name: the order must not depend on the file system.
std::vector<Input> load_seeds(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::filesystem::path> files;
  for (const auto& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<Input> seeds;
  for (const auto& file : files) seeds.push_back(read_input(file));
  return seeds;
}

class Mutator {
 public:
  Mutator(std::uint64_t seed, const std::vector<Input>& seeds) : random_(seed), seeds_(seeds) {}

  Input next() {
    Input input = seeds_[below(seeds_.size())];
    const std::size_t changes = 1 + below(6);
    for (std::size_t i = 0; i < changes; ++i) change(input);
    input.resize(std::min(input.size(), kInputBytesMax));
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void change(Input& input) {
    switch (below(7)) {
      case 0:
        flip_bit(input);
        break;
      case 1:
        set_byte(input);
        break;
      case 2:
        set_number(input);
        break;
      case 3:
        input.resize(below(input.size() + 1));
        break;
      case 4:
        insert(input);
        break;
      case 5:
        erase(input);
        break;
      default:
        splice(input);
        break;
    }
  }
  void flip_bit(Input& input) {
    if (input.empty()) return;
    const std::size_t bit = below(input.size() * 8);
    input[bit / 8] = static_cast<std::uint8_t>(input[bit / 8] ^ (1u << (bit % 8)));
  }
  void set_byte(Input& input) {
    if (!input.empty()) input[below(input.size())] = static_cast<std::uint8_t>(random_());
  }
  // Lengths and counts at their edges are what decoders trip over.
  void set_number(Input& input) {
    static constexpr std::array<std::uint64_t, 9> kEdges = {0,      1,          0x7f,       0xff,      0x7fff,
                                                            0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX};
    const std::uint64_t number = kEdges[below(kEdges.size())] + below(3) - 1;
    const std::size_t bytes = std::size_t{1} << below(4);
    if (input.size() < bytes) return;
    const std::size_t at = below(input.size() - bytes + 1);
    for (std::size_t i = 0; i < bytes; ++i) input[at + i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  void insert(Input& input) {
    const auto at = input.begin() + static_cast<std::ptrdiff_t>(below(input.size() + 1));
    input.insert(at, 1 + below(16), static_cast<std::uint8_t>(random_()));
  }
  void erase(Input& input) {
    const std::size_t from = below(input.size());
    const std::size_t count = std::min(input.size() - from, 1 + below(16));
    const auto at = input.begin() + static_cast<std::ptrdiff_t>(from);
    input.erase(at, at + static_cast<std::ptrdiff_t>(count));
  }
  void splice(Input& input) {
    const Input& other = seeds_[below(seeds_.size())];
    const std::size_t from = below(other.size());
    input.resize(below(input.size() + 1));
    input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
  }

  std::mt19937_64 random_;
  const std::vector<Input>& seeds_;
};

class Runner {
 public:
  explicit Runner(std::string kept)
      : kept_(std::move(kept)), file_(::open(kept_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {}
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() { ::close(file_); }

  // False when the input cannot be kept.
  bool run(const Input& input) {
    // One file, overwritten in place: making it anew each time costs a flush on some file systems.
    const auto size = static_cast<ssize_t>(input.size());
    if (::ftruncate(file_, size) != 0 || ::pwrite(file_, input.data(), input.size(), 0) != size) return false;
    // A block of exactly this size, so that the address sanitizer sees the first byte read past the end.
    const Input exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    return true;
  }
  void forget() const { ::unlink(kept_.c_str()); }

 private:
  std::string kept_;
  int file_;
};

}  // namespace

int main(int count, char** values) {
  Arguments arguments;
  if (!parse_arguments(count, values, arguments)) {
    std::fprintf(stderr, "usage: %s [--inputs N] [--seed S] FILE|FOLDER...\n", values[0]);
    return 2;
  }
  const std::vector<Input> seeds = load_seeds(arguments.paths);
  if (seeds.empty()) {
    std::fprintf(stderr, "%s: no seeds\n", values[0]);
    return 2;
  }
  const std::string kept = std::filesystem::path(values[0]).filename().string() + ".input";
  std::printf("seed %llu; if this fails, the input is %s\n", static_cast<unsigned long long>(arguments.seed),
              std::filesystem::absolute(kept).c_str());
  std::fflush(stdout);

  Runner runner(kept);
  bool kept_all = true;
  for (const Input& seed : seeds) kept_all = runner.run(seed) && kept_all;
  Mutator mutator(arguments.seed, seeds);
  for (std::uint64_t i = 0; i < arguments.inputs; ++i) kept_all = runner.run(mutator.next()) && kept_all;
  if (!kept_all) {
    std::perror(kept.c_str());
    return 1;
  }
  runner.forget();
  std::printf("%zu seeds and %llu mutations passed\n", seeds.size(), static_cast<unsigned long long>(arguments.inputs));
  return 0;
}
