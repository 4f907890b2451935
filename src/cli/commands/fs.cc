#include <algorithm>
#include <ctime>
#include <filesystem>

#include "cenote/base/format.h"
#include "context.h"
#include "file_copy.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string path, target, acknowledged, snapshot;
  std::vector<std::string> paths;  ///< of a copy: the sources, and the target as the last one
  bool recursive = false, all = false, parents = false;
  std::uint32_t parallel = 16;
};

/// What `work(client, files)` answers: it returns a Task of it.
template <typename Work>
using Answer = cenote::detail::TaskValue<std::invoke_result_t<Work&, async::Client&, posix::FileSystem&>>::Type;

template <typename Work>
Task<Answer<Work>> run_with_files(async::Client* client, ContainerName name, std::string snapshot, Work* work) {
  CO_TRY(async::Container container, co_await client->open_container(name.pool, name.container));
  if (!snapshot.empty()) {
    CO_TRY(container, co_await container.at_snapshot(std::move(snapshot)));
  }
  CO_TRY(auto files, co_await posix::FileSystem::open(std::move(container)));
  auto answer = co_await (*work)(*client, *files);
  co_await files->close();
  co_return answer;
}

/// Opens the file system of a container, as it is or as it was in a snapshot, and runs `work(client, files)` on the
/// client's reactor.
template <typename Work>
Answer<Work> with_files(Context& context, const std::string& container, Work work, const std::string& snapshot = {}) {
  TRY(const ContainerName name, parse_container(container));
  TRY(Client * client, context.client());
  return client->run([&](async::Client& inner) { return run_with_files(&inner, name, snapshot, &work); });
}

Result<RemotePath> remote(std::string_view text) {
  auto parsed = parse_remote(text);
  if (!parsed) return failf(Code::kInvalidArgument, "'{}' is no path in a container: write POOL/CONTAINER:/PATH", text);
  return *std::move(parsed);
}

const char* type_name(posix::FileType type) {
  switch (type) {
    case posix::FileType::kFile:
      return "file";
    case posix::FileType::kDirectory:
      return "directory";
    case posix::FileType::kSymlink:
      return "link";
    case posix::FileType::kFifo:
      return "fifo";
    case posix::FileType::kSocket:
      return "socket";
    case posix::FileType::kCharacterDevice:
      return "character device";
    case posix::FileType::kBlockDevice:
      return "block device";
  }
  return "?";
}

std::string mode_text(const posix::Attributes& attributes) {
  std::string text = attributes.type == posix::FileType::kDirectory ? "d"
                     : attributes.type == posix::FileType::kSymlink ? "l"
                                                                    : "-";
  for (int shift = 6; shift >= 0; shift -= 3) {
    const std::uint32_t bits = attributes.mode >> shift;
    text += (bits & 4) != 0 ? 'r' : '-';
    text += (bits & 2) != 0 ? 'w' : '-';
    text += (bits & 1) != 0 ? 'x' : '-';
  }
  return text;
}

std::string time_text(WallTime time) {
  const auto seconds =
      static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  std::tm broken_down{};
  localtime_r(&seconds, &broken_down);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &broken_down);
  return {text, length};
}

Json json_of(const std::string& path, const posix::Attributes& attributes) {
  return {{"path", path},
          {"type", type_name(attributes.type)},
          {"mode", fmt::format("{:04o}", attributes.mode)},
          {"uid", attributes.uid},
          {"gid", attributes.gid},
          {"links", attributes.links},
          {"size", attributes.size},
          {"mtime_ns", attributes.mtime.time_since_epoch().count()},
          {"ctime_ns", attributes.ctime.time_since_epoch().count()},
          {"object", attributes.object.to_string()}};
}

void print_copy(Context& context, const CopyStatistics& statistics, Duration elapsed) {
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-9);
  if (!context.quiet) {
    context.out.line(
        fmt::format("{} files, {} directories, {} links, {} in {:.1f} s ({}/s){}", statistics.files,
                    statistics.directories, statistics.links, human_bytes(statistics.bytes), seconds,
                    human_bytes(static_cast<std::uint64_t>(static_cast<double>(statistics.bytes) / seconds)),
                    statistics.skipped > 0 ? fmt::format(", {} devices or sockets left out", statistics.skipped) : ""));
  }
  context.out.document({{"files", statistics.files},
                        {"directories", statistics.directories},
                        {"links", statistics.links},
                        {"bytes", statistics.bytes},
                        {"skipped", statistics.skipped},
                        {"seconds", seconds}});
}

/// A directory as target takes the source's last name, as cp does.
Task<Result<std::string>> place_in(posix::FileSystem& files, std::string target, std::string source, bool tree) {
  auto present = co_await files.stat(target);
  if (present && present->type == posix::FileType::kDirectory && !tree) {
    if (!target.ends_with('/')) target += '/';
    target += std::filesystem::path(source).filename().string();
  }
  co_return target;
}

/// Without the parts of a path that go nowhere.
std::string plain(const std::string& path) {
  std::string text = std::filesystem::path("/" + path).lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

/// Of a path: the name under which it goes below a directory.
Result<std::string> last_name(const std::string& path) {
  std::string text = std::filesystem::path(path).lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  std::string name = std::filesystem::path(text).filename().string();
  if (!name.empty() && name != "." && name != "..") return name;
  return failf(Code::kInvalidArgument,
               "'{}' has no name that it could get in the target: copy it alone, or by its name", path);
}

/// What a copy is asked to do.
struct Copy {
  std::vector<std::string> sources;
  std::vector<std::string> names;  ///< of the sources below the target, when there are several
  std::string target;
  std::optional<RemotePath> into;  ///< the target, when that is the container's side
  std::string snapshot;            ///< to copy out of; empty: the present
  CopyOptions options;
  bool show_progress = false;

  bool several() const { return sources.size() > 1; }
};

/// Two sources of one name would leave only one of them, without a word.
Result<> name_sources(Copy& copy) {
  for (const std::string& source : copy.sources) {
    const auto there = parse_remote(source);
    TRY(std::string name, last_name(there ? there->path : source));
    const auto same = std::ranges::find(copy.names, name);
    if (same != copy.names.end()) {
      return failf(Code::kInvalidArgument, "'{}' and '{}' would both become '{}' in '{}': copy one of them alone",
                   copy.sources[static_cast<std::size_t>(same - copy.names.begin())], source, name, copy.target);
    }
    copy.names.push_back(std::move(name));
  }
  return {};
}

Result<Copy> plan_copy(const Context& context, const Arguments& arguments) {
  Copy copy{.sources = arguments.paths,
            .names = {},
            .target = arguments.paths.back(),
            .into = parse_remote(arguments.paths.back()),
            .snapshot = arguments.snapshot,
            .options = {.recursive = arguments.recursive,
                        .parallel = arguments.parallel,
                        .acknowledged_file = arguments.acknowledged},
            .show_progress = !context.quiet && !context.out.json()};
  copy.sources.pop_back();
  if (copy.into && !copy.snapshot.empty()) {
    return failf(Code::kReadOnly,
                 "a snapshot never changes: --snapshot is for copies out of a container, not into '{}'", copy.target);
  }
  for (const std::string& source : copy.sources) {
    if (parse_remote(source).has_value() != copy.into.has_value()) continue;
    return failf(Code::kInvalidArgument, "one of '{}' and '{}' must be POOL/CONTAINER:/PATH and the other a local path",
                 source, copy.target);
  }
  if (copy.several()) CHECK_OK(name_sources(copy));
  return copy;
}

Error no_directory_for_many(const std::string& target) {
  return Error(Code::kNotADirectory, fmt::format("'{}' is no directory: several sources need one as target", target));
}

std::string below(std::string directory, const std::string& name) {
  if (!directory.ends_with('/')) directory += '/';
  return directory + name;
}

void add(CopyStatistics& total, const CopyStatistics& more) {
  total.files += more.files;
  total.directories += more.directories;
  total.links += more.links;
  total.bytes += more.bytes;
  total.skipped += more.skipped;
}

Task<Result<CopyStatistics>> copy_all_in(Reactor& reactor, posix::FileSystem& files, const Copy& copy) {
  CopyStatistics total;
  if (copy.several()) {
    CO_TRY(const posix::Attributes target, co_await files.stat(copy.into->path));
    if (target.type != posix::FileType::kDirectory) co_return fail(no_directory_for_many(copy.target));
  }
  for (std::size_t i = 0; i < copy.sources.size(); ++i) {
    Progress progress("copying", 0, copy.show_progress);
    std::string place;
    if (copy.several()) {
      place = below(copy.into->path, copy.names[i]);
    } else {
      std::error_code ignored;
      const bool tree = std::filesystem::is_directory(copy.sources[i], ignored);
      CO_TRY(place, co_await place_in(files, copy.into->path, copy.sources[i], tree));
    }
    CO_TRY(const CopyStatistics done,
           co_await copy_in(reactor, files, copy.sources[i], std::move(place), copy.options, progress));
    add(total, done);
  }
  co_return total;
}

Task<Result<CopyStatistics>> copy_one_out(Reactor& reactor, posix::FileSystem& files, const Copy& copy,
                                          std::string from, std::size_t index) {
  Progress progress("copying", 0, copy.show_progress);
  std::string place = copy.target;
  if (copy.several()) {
    CO_TRY(const posix::Attributes source, co_await files.stat(from));
    // A file takes its name below a directory by itself.
    if (source.type == posix::FileType::kDirectory) place = below(std::move(place), copy.names[index]);
  }
  co_return co_await copy_out(reactor, files, std::move(from), std::move(place), copy.options, progress);
}

/// Sources may lie in different containers.
Result<CopyStatistics> copy_all_out(Context& context, const Copy& copy) {
  std::error_code ignored;
  if (copy.several() && !std::filesystem::is_directory(copy.target, ignored)) {
    if (std::filesystem::exists(copy.target, ignored)) return fail(no_directory_for_many(copy.target));
    return failf(Code::kNotFound, "no directory '{}': several sources need one as target", copy.target);
  }
  CopyStatistics total;
  for (std::size_t i = 0; i < copy.sources.size(); ++i) {
    TRY(const RemotePath from, remote(copy.sources[i]));
    const auto work = [&](async::Client& client, posix::FileSystem& files) {
      return copy_one_out(client.reactor(), files, copy, copy.several() ? plain(from.path) : from.path, i);
    };
    TRY(const CopyStatistics done, with_files(context, from.container, work, copy.snapshot));
    add(total, done);
  }
  return total;
}

Result<> copy(Context& context, const Arguments& arguments) {
  TRY(const Copy copy, plan_copy(context, arguments));
  const auto work = [&](async::Client& client, posix::FileSystem& files) {
    return copy_all_in(client.reactor(), files, copy);
  };
  const auto started = std::chrono::steady_clock::now();
  TRY(const CopyStatistics statistics,
      copy.into ? with_files(context, copy.into->container, work) : copy_all_out(context, copy));
  print_copy(context, statistics, std::chrono::steady_clock::now() - started);
  return {};
}

using Rows = std::vector<std::pair<std::string, posix::Attributes>>;

/// What `ls` shows: the entries of a directory, or the one file.
Task<Result<Rows>> rows_of(posix::FileSystem& files, std::string path) {
  Rows rows;
  CO_TRY(const posix::Attributes self, co_await files.stat(path));
  if (self.type != posix::FileType::kDirectory) {
    rows.emplace_back(path, self);
    co_return rows;
  }
  std::string after;
  for (;;) {
    CO_TRY(const auto page, co_await files.read_directory(path, after));
    if (page.empty()) co_return rows;
    after = page.back().name;
    for (const posix::DirectoryEntry& entry : page) {
      std::string inner = path;
      inner.append("/").append(entry.name);
      CO_TRY(const posix::Attributes attributes, co_await files.stat(std::move(inner), false));
      rows.emplace_back(entry.name, attributes);
    }
  }
}

Result<> list(Context& context, const Arguments& arguments) {
  TRY(const RemotePath where, remote(arguments.path));
  const auto work = [&](async::Client&, posix::FileSystem& files) { return rows_of(files, where.path); };
  TRY(const Rows rows, with_files(context, where.container, work, arguments.snapshot));
  Json entries = Json::array();
  for (const auto& [name, attributes] : rows) {
    context.out.line(arguments.all ? fmt::format("{} {:>6} {:>6} {:>12}  {}  {}", mode_text(attributes), attributes.uid,
                                                 attributes.gid, attributes.size, time_text(attributes.mtime), name)
                                   : name);
    entries.push_back(json_of(name, attributes));
  }
  context.out.document({{"entries", std::move(entries)}});
  return {};
}

Result<> stat(Context& context, const Arguments& arguments) {
  TRY(const RemotePath where, remote(arguments.path));
  const auto work = [&](async::Client&, posix::FileSystem& files) { return files.stat(where.path, false); };
  TRY(const posix::Attributes attributes, with_files(context, where.container, work, arguments.snapshot));
  context.out.line(
      fmt::format("  path: {}\n  type: {}\n  size: {} ({})\n  mode: {:04o} ({})  uid: {}  gid: {}  links: {}\n  "
                  "modified: {}\n  object: {}",
                  where.path, type_name(attributes.type), attributes.size, human_bytes(attributes.size),
                  attributes.mode, mode_text(attributes), attributes.uid, attributes.gid, attributes.links,
                  time_text(attributes.mtime), attributes.object.to_string()));
  context.out.document(json_of(where.path, attributes));
  return {};
}

Task<Result<>> print_file(Context& context, posix::FileSystem& files, std::string path) {
  CO_TRY(posix::File file, co_await files.open_file(std::move(path)));
  Bytes buffer(4u << 20);
  for (std::uint64_t offset = 0;;) {
    CO_TRY(const std::uint64_t got, co_await file.read(offset, buffer));
    CO_CHECK_OK(context.out.raw(as_text(ByteView(buffer).first(got))));
    offset += got;
    if (got < buffer.size()) co_return Result<>();
  }
}

Result<> cat(Context& context, const Arguments& arguments) {
  TRY(const RemotePath where, remote(arguments.path));
  const auto work = [&](async::Client&, posix::FileSystem& files) { return print_file(context, files, where.path); };
  return with_files(context, where.container, work, arguments.snapshot);
}

Task<Result<>> make_directories(posix::FileSystem& files, std::string path, bool parents) {
  for (std::size_t end = path.find('/', 1); parents && end != std::string::npos; end = path.find('/', end + 1)) {
    auto made = co_await files.mkdir(path.substr(0, end), {.mode = 0755});
    if (!made && made.error() != Code::kExists) co_return fail(std::move(made).error());
  }
  auto made = co_await files.mkdir(path, {.mode = 0755});
  if (!made && !(parents && made.error() == Code::kExists)) co_return fail(std::move(made).error());
  co_return Result<>();
}

Result<> make_directory(Context& context, const Arguments& arguments) {
  TRY(const RemotePath where, remote(arguments.path));
  const auto work = [&](async::Client&, posix::FileSystem& files) {
    return make_directories(files, where.path, arguments.parents);
  };
  CHECK_OK(with_files(context, where.container, work));
  context.out.document({{"created", where.path}});
  return {};
}

/// Removes a tree bottom up.
Task<Result<std::uint64_t>> remove_tree(posix::FileSystem& files, std::string path) {
  std::uint64_t removed = 0;
  CO_TRY(const posix::Attributes attributes, co_await files.stat(path, false));
  if (attributes.type != posix::FileType::kDirectory) {
    CO_CHECK_OK(co_await files.unlink(path));
    co_return 1;
  }
  for (;;) {
    CO_TRY(const auto page, co_await files.read_directory(path, ""));
    if (page.empty()) break;
    for (const posix::DirectoryEntry& entry : page) {
      CO_TRY(const std::uint64_t inside, co_await remove_tree(files, path + "/" + entry.name));
      removed += inside;
    }
  }
  if (path != "/") {
    CO_CHECK_OK(co_await files.rmdir(path));
    ++removed;
  }
  co_return removed;
}

Task<Result<std::uint64_t>> remove_one(posix::FileSystem& files, std::string path) {
  CO_CHECK_OK(co_await files.unlink(std::move(path)));
  co_return 1;
}

Result<> remove(Context& context, const Arguments& arguments) {
  TRY(const RemotePath where, remote(arguments.path));
  const auto work = [&](async::Client&, posix::FileSystem& files) {
    return arguments.recursive ? remove_tree(files, where.path) : remove_one(files, where.path);
  };
  TRY(const std::uint64_t removed, with_files(context, where.container, work));
  context.out.document({{"removed", removed}});
  return {};
}

Task<Result<>> rename_to(posix::FileSystem& files, std::string from, std::string to) {
  const auto same = [](const std::string& path) {
    return failf(Code::kInvalidArgument, "source and target are the same: '{}'", path);
  };
  // A directory as target would take the source's name below itself.
  if (plain(from) == plain(to)) co_return same(from);
  CO_TRY(std::string place, co_await place_in(files, std::move(to), from, false));
  if (plain(from) == plain(place)) co_return same(from);
  co_return co_await files.rename(std::move(from), std::move(place));
}

Result<> move(Context& context, const Arguments& arguments) {
  TRY(const RemotePath from, remote(arguments.path));
  TRY(const RemotePath to, remote(arguments.target));
  if (from.container != to.container) {
    return failf(Code::kInvalidArgument, "'{}' and '{}' are in two containers: copy, then remove", arguments.path,
                 arguments.target);
  }
  const auto work = [&](async::Client&, posix::FileSystem& files) { return rename_to(files, from.path, to.path); };
  CHECK_OK(with_files(context, from.container, work));
  context.out.document({{"from", from.path}, {"to", to.path}});
  return {};
}

Task<Result<CopyStatistics>> measure(posix::FileSystem& files, std::string path) {
  CopyStatistics total;
  CO_TRY(const posix::Attributes attributes, co_await files.stat(path, false));
  if (attributes.type == posix::FileType::kFile) ++total.files;
  if (attributes.type == posix::FileType::kSymlink) ++total.links;
  total.bytes = attributes.size;
  if (attributes.type != posix::FileType::kDirectory) co_return total;
  ++total.directories;
  std::string after;
  for (;;) {
    CO_TRY(const auto page, co_await files.read_directory(path, after));
    if (page.empty()) co_return total;
    after = page.back().name;
    for (const posix::DirectoryEntry& entry : page) {
      CO_TRY(const CopyStatistics inside, co_await measure(files, path + "/" + entry.name));
      total.files += inside.files;
      total.directories += inside.directories;
      total.links += inside.links;
      total.bytes += inside.bytes;
    }
  }
}

Result<> disk_usage(Context& context, const Arguments& arguments) {
  TRY(const RemotePath where, remote(arguments.path));
  const auto work = [&](async::Client&, posix::FileSystem& files) { return measure(files, where.path); };
  TRY(const CopyStatistics total, with_files(context, where.container, work, arguments.snapshot));
  context.out.line(fmt::format("{}  {} files, {} directories, {} links  {}", human_bytes(total.bytes), total.files,
                               total.directories, total.links, where.path));
  context.out.document({{"path", where.path},
                        {"bytes", total.bytes},
                        {"files", total.files},
                        {"directories", total.directories},
                        {"links", total.links}});
  return {};
}

}  // namespace

void add_fs(CLI::App& app, Context& context) {
  CLI::App* fs = add_noun(app, "fs", "Files and directories of a container of type 'posix'",
                          "A path in a container is written POOL/CONTAINER:/PATH, like scratch/home:/notes.txt. A "
                          "local path that looks like one\n"
                          "is written with ./ before it.");
  const auto arguments = std::make_shared<Arguments>();
  const auto bind = [&](CLI::App* verb, Result<> (*run)(Context&, const Arguments&)) {
    verb->callback([=, &context] { context.action = [=, &context] { return run(context, *arguments); }; });
  };
  const auto add_path = [&](CLI::App* verb) {
    verb->add_option("POOL/CONTAINER:/PATH", arguments->path, "path in the container")->required();
  };

  CLI::App* verb = add_verb(
      *fs, "cp", "Copy files in or out; a file copied in is durable before it counts",
      "  cenote fs cp notes.txt scratch/home:/notes.txt\n"
      "  cenote fs cp -r ~/photos scratch/home:/photos\n"
      "  cenote fs cp -r scratch/home:/photos ./restored\n"
      "  cenote fs cp -r notes.txt ~/photos scratch/home:/       # several, below a directory: /notes.txt, /photos\n"
      "A directory alone becomes TARGET. If TARGET is a directory already, the contents are merged into it, not put "
      "below\n"
      "it: files of the same name are overwritten, all others stay. Several sources need a directory as TARGET, and "
      "each\n"
      "goes below it under its own name. The first failure ends a copy; what was copied until then stays.");
  verb->add_option("SOURCE... TARGET", arguments->paths,
                   "local paths and a POOL/CONTAINER:/PATH to copy them to, or the other way round")
      ->required()
      ->expected(2, CLI::detail::expected_max_vector_size);
  verb->add_flag("-r,--recursive", arguments->recursive, "copy directories with everything in them");
  verb->add_option("--parallel", arguments->parallel, "files copied at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb->add_option("--acknowledged", arguments->acknowledged,
                   "append the name of each file copied in to this local file once it is durable");
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, copy);

  verb = add_verb(*fs, "ls", "List a directory",
                  "  cenote fs ls scratch/home:/\n  cenote fs ls -l scratch/home:/photos\n"
                  "  cenote container snapshot create scratch/home evening\n"
                  "  cenote fs ls scratch/home:/ --snapshot evening");
  add_path(verb);
  verb->add_flag("-l,--long", arguments->all, "mode, owner, size and time too");
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, list);

  verb = add_verb(*fs, "stat", "Show what a path is", "  cenote fs stat scratch/home:/notes.txt");
  add_path(verb);
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, stat);

  verb = add_verb(*fs, "cat", "Print a file", "  cenote fs cat scratch/home:/notes.txt");
  add_path(verb);
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, cat);

  verb = add_verb(*fs, "mkdir", "Create a directory",
                  "  cenote fs mkdir scratch/home:/letters\n  cenote fs mkdir -p scratch/home:/a/b/c");
  add_path(verb);
  verb->add_flag("-p,--parents", arguments->parents, "create missing parents; an existing directory is no error");
  bind(verb, make_directory);

  verb = add_verb(*fs, "rm", "Remove a file, or a tree",
                  "  cenote fs rm scratch/home:/notes.txt\n  cenote fs rm -r scratch/home:/photos");
  add_path(verb);
  verb->add_flag("-r,--recursive", arguments->recursive, "directories with everything in them");
  bind(verb, remove);

  verb = add_verb(*fs, "mv", "Rename a file or directory",
                  "  cenote fs mv scratch/home:/notes.txt scratch/home:/old-notes.txt");
  add_path(verb);
  verb->add_option("TARGET", arguments->target, "POOL/CONTAINER:/PATH in the same container")->required();
  bind(verb, move);

  verb = add_verb(*fs, "du", "Add up sizes below a path", "  cenote fs du scratch/home:/photos");
  add_path(verb);
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, disk_usage);

  add_fs_check(*fs, context);
  add_mount(*fs, context);
}

}  // namespace cenote::cli
