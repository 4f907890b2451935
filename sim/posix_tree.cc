#include "posix_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cenote/base/codec.h"
#include "cenote/posix/check.h"
#include "cenote/runtime/random.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;
using posix::FileType;

// Objects of the layout itself (docs/formats/posix.md): superblock, root directory, sessions.
constexpr std::array<ObjectId, 3> kFixedObjects = {
    ObjectId(0x0001'1100'0000'0000, 0), ObjectId(0x0001'1100'0000'0000, 1), ObjectId(0x0001'1100'0000'0000, 3)};
// Set in the user part of the objects that a file has beside its own.
constexpr std::uint32_t kBesideBits = (1u << 31) | (1u << 30);
// Keeps a run short: most of a file is a hole anyway.
constexpr std::uint64_t kMaxFileBytes = 2'300'000;
// After its deadline a request may still take effect for as long as clocks differ and devices are slow.
constexpr Duration kAfterlife = 8s;

/// Answers after which nobody knows whether the operation took effect.
bool leaves_doubt(Code code) {
  return code == Code::kDeadlineExceeded || code == Code::kConnectionLost || code == Code::kUnreachable ||
         code == Code::kRequestExpired;
}

Error wrong(std::string text) { return Error(Code::kCorrupt, std::move(text)); }

Code code_of(const Result<>& result) { return result ? Code::kOk : result.error().code(); }

template <typename T>
Result<> without_value(const Result<T>& result) {
  if (result) return {};
  return fail(result.error());
}

}  // namespace

// ---- what happens ----

/// Like a program that ends, or like one that is killed.
Task<> PosixTree::leave() {
  if (files_) co_await files_->close(run_.chance(1, 2) ? Until::at(client_.node().now()) : patience());
  files_.reset();
  container_.reset();
  co_await client_.close();
}

Task<> PosixTree::end() { co_await leave(); }

Task<> PosixTree::outlive_the_dead() { co_await client_.node().sleep_for(4 * 60s); }

Task<Result<>> PosixTree::reconnect() {
  co_await leave();
  const Until until = patience();
  CO_CHECK_OK(co_await client_.connect(until));
  CO_TRY(container_, co_await open_test_container(client_, "posix", until));
  for (;;) {
    auto opened = co_await posix::FileSystem::open(*container_, until);
    // The first one makes it, which may be cut short like everything else.
    if (!opened && leaves_doubt(opened.error().code()) && client_.node().now() < until.deadline) continue;
    CO_TRY(files_, std::move(opened));
    co_return Result<>();
  }
}

Task<Result<>> PosixTree::work(std::uint64_t operations) {
  CO_CHECK_OK(co_await reconnect());
  CO_TRY(const auto root, co_await files_->stat("/", true, patience()));
  model_.root()->mode = root.mode;
  model_.root()->object = root.object;
  for (; operations > 0 && !run_.failed(); --operations) {
    run_.count("operations");
    CO_CHECK_OK(co_await one_operation());
    if (run_.chance(1, 60)) CO_CHECK_OK(co_await verify());
    if (run_.chance(1, 100)) CO_CHECK_OK(co_await reconnect());
  }
  co_return Result<>();
}

Task<Result<>> PosixTree::one_operation() {
  const std::uint64_t dice = run_.below(100);
  if (dice < 12) co_return co_await make_directory();
  if (dice < 18) co_return co_await make_symlink();
  if (dice < 32) co_return co_await create();
  if (dice < 47) co_return co_await write();
  if (dice < 53) co_return co_await truncate();
  if (dice < 60) co_return co_await read();
  if (dice < 76) co_return co_await rename();
  if (dice < 82) co_return co_await unlink();
  if (dice < 88) co_return co_await remove_directory();
  if (dice < 92) co_return co_await stat();
  if (dice < 95) co_return co_await set_mode();
  if (dice < 98) co_return co_await set_xattr();
  co_return co_await read_link();
}

std::string PosixTree::any_path() {
  static constexpr std::array<std::string_view, 6> kNames{"a", "b", "c", "long name with spaces", "e", "f"};
  const std::vector<std::string> paths = model_.paths();
  std::string path = paths[run_.below(paths.size())];
  if (run_.chance(1, 2)) return path;
  if (path == "/") path.clear();
  if (run_.chance(1, 10)) path += "/..";
  if (run_.chance(1, 20)) path += "/./";
  return path + "/" + std::string(kNames[run_.below(kNames.size())]);
}

std::string PosixTree::file_path() {
  std::vector<std::string> files;
  for (std::string& path : model_.paths()) {
    const auto place = model_.resolve(path, true);
    if (place && place->node && place->node->type == FileType::kFile) files.push_back(std::move(path));
  }
  if (files.empty() || run_.chance(1, 20)) return any_path();
  return files[run_.below(files.size())];
}

std::uint64_t PosixTree::any_offset() {
  switch (run_.below(4)) {
    case 0:
      return 0;
    case 1:
      return run_.below(10000);
    case 2:
      return posix::kChunkBytes * (1 + run_.below(2)) - run_.below(300);
    default:
      return run_.below(kMaxFileBytes);
  }
}

Bytes PosixTree::any_data() {
  static constexpr std::array<std::size_t, 6> kMost{10, 500, 4096, 5000, 20000, 300000};
  Random random(++patterns_);
  Bytes data(1 + run_.below(kMost[run_.below(kMost.size())]));
  for (std::byte& byte : data) byte = static_cast<std::byte>(1 + random.below(255));
  return data;
}

Until PosixTree::hurried() {
  if (!run_.chance(1, 5)) return patience();
  static constexpr std::array<Duration, 3> kHurries{1ms, 4ms, 30ms};
  return Until::at(client_.node().now() + run_.random_duration(kHurries[run_.below(kHurries.size())]));
}

Result<PosixTree::Verdict> PosixTree::judge(const std::string& what, const Result<>& actual, const Result<>& expected) {
  run_.note(fmt::format("{}: {}", what, actual ? "ok" : actual.error().to_string()));
  if (!actual && leaves_doubt(actual.error().code())) {
    run_.count("cut_short");
    // It would have been refused in any case.
    return expected ? Verdict::kUncertain : Verdict::kRefused;
  }
  if (code_of(actual) == code_of(expected)) return actual ? Verdict::kDone : Verdict::kRefused;
  return cenote::fail(wrong(fmt::format("{}: expected {}, got {}", what, code_name(code_of(expected)),
                                        actual ? "ok" : actual.error().to_string())));
}

Task<Result<>> PosixTree::settle() {
  co_await client_.node().sleep_for(kAfterlife);
  if (run_.chance(1, 2)) co_return co_await reconnect();
  co_return Result<>();
}

Task<Result<std::optional<posix::Attributes>>> PosixTree::look(std::string path) {
  auto found = co_await files_->stat(std::move(path), false, patience());
  if (found) co_return std::optional(*found);
  if (found.error() == Code::kNotFound) co_return std::optional<posix::Attributes>();
  co_return cenote::fail(std::move(found).error());
}

// ---- names ----

Task<Result<>> PosixTree::adopt_new_entry(std::string path, PosixModel::Place place, std::shared_ptr<ModelNode> node,
                                          bool certain) {
  // Through the place itself: the path may lead through links.
  if (!certain) CO_CHECK_OK(co_await settle());
  auto made = co_await files_->stat(path, node->type == FileType::kFile, patience());
  if (!made && made.error() == Code::kNotFound && !certain) co_return Result<>();
  if (!made) co_return cenote::fail(made.error().with_context(fmt::format("'{}' after it was made", path)));
  if (made->type != node->type)
    co_return cenote::fail(wrong(fmt::format("'{}' is of another type than it was made", path)));
  node->object = made->object;
  model_.add(place, std::move(node));
  co_return Result<>();
}

Task<Result<>> PosixTree::make_directory() {
  const std::string path = any_path();
  const auto place = model_.check_make(path);
  const auto made = co_await files_->mkdir(path, {.mode = 0750}, hurried());
  CO_TRY(const Verdict verdict, judge(fmt::format("mkdir {}", path), made, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  const std::uint32_t inherited = place->directory->mode & 02000;
  auto node = std::make_shared<ModelNode>(ModelNode{.type = FileType::kDirectory, .mode = 0750 | inherited});
  co_return co_await adopt_new_entry(path, *place, std::move(node), verdict == Verdict::kDone);
}

Task<Result<>> PosixTree::make_symlink() {
  const std::string path = any_path();
  std::string target = any_path();
  if (run_.chance(1, 3)) target = "../" + target.substr(1) + "x";
  if (run_.chance(1, 3) && target.size() > 1) target = target.substr(1);
  const auto place = model_.check_make(path);
  const auto made = co_await files_->symlink(target, path, {}, hurried());
  CO_TRY(const Verdict verdict, judge(fmt::format("symlink {} -> {}", path, target), made, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  auto node = std::make_shared<ModelNode>(ModelNode{.type = FileType::kSymlink, .mode = 0777, .target = target});
  co_return co_await adopt_new_entry(path, *place, std::move(node), verdict == Verdict::kDone);
}

Task<Result<>> PosixTree::create() {
  const std::string path = any_path();
  const bool exclusive = run_.chance(1, 3);
  const bool truncates = run_.chance(1, 3);
  const auto place = model_.check_create(path, exclusive);
  auto made = co_await files_->create(path, {.mode = 0640, .exclusive = exclusive, .truncate = truncates}, hurried());
  if (made) CO_CHECK_OK(co_await made->close(patience()));
  CO_TRY(const Verdict verdict, judge(fmt::format("create {}{}", path, truncates ? ", truncate" : ""),
                                      without_value(made), without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  if (!place->node) {
    auto node = std::make_shared<ModelNode>(ModelNode{.type = FileType::kFile, .mode = 0640});
    co_return co_await adopt_new_entry(path, *place, std::move(node), verdict == Verdict::kDone);
  }
  if (!truncates) co_return Result<>();
  if (verdict == Verdict::kUncertain) co_return co_await adopt_data(path, place->node, {});
  place->node->data.clear();
  co_return Result<>();
}

Task<Result<>> PosixTree::rename() {
  const std::string from = any_path();
  const std::string to = any_path();
  const auto plan = model_.check_rename(from, to);
  const auto renamed = co_await files_->rename(from, to, hurried());
  CO_TRY(const Verdict verdict, judge(fmt::format("rename {} to {}", from, to), renamed, without_value(plan)));
  if (verdict == Verdict::kRefused || plan->nothing) co_return Result<>();
  if (verdict == Verdict::kUncertain) {
    CO_CHECK_OK(co_await settle());
    // Only one end is looked at: the other one stays as it was left, for a later operation to meet. And not through the
    // path that was given, which may lead through what has moved.
    const bool look_at_target = run_.chance(2, 3);
    CO_TRY(const auto found, co_await look(model_.path_of(look_at_target ? plan->to : plan->from)));
    const bool holds_it = found && found->object == plan->from.node->object;
    run_.note(fmt::format("the rename {} happened", holds_it == look_at_target ? "has" : "has not"));
    if (holds_it != look_at_target) co_return Result<>();
  }
  model_.move(*plan);
  co_return Result<>();
}

Task<Result<>> PosixTree::unlink() {
  const std::string path = any_path();
  const auto place = model_.check_unlink(path);
  auto unlinked = co_await files_->unlink(path, hurried());
  co_return co_await adopt_removal("unlink", path, std::move(unlinked), place);
}

Task<Result<>> PosixTree::remove_directory() {
  const std::string path = any_path();
  const auto place = model_.check_rmdir(path);
  auto removed = co_await files_->rmdir(path, hurried());
  co_return co_await adopt_removal("rmdir", path, std::move(removed), place);
}

Task<Result<>> PosixTree::adopt_removal(std::string_view how, std::string path, Result<> removed,
                                        Result<PosixModel::Place> place) {
  CO_TRY(const Verdict verdict, judge(fmt::format("{} {}", how, path), removed, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  if (verdict == Verdict::kUncertain) {
    CO_CHECK_OK(co_await settle());
    CO_TRY(const auto found, co_await look(path));
    if (found) co_return Result<>();
  }
  model_.remove(*place);
  co_return Result<>();
}

// ---- data ----

Task<Result<>> PosixTree::write() {
  const std::string path = file_path();
  const std::uint64_t offset = any_offset();
  Bytes data = any_data();
  const auto place = model_.check_file(path);
  const Until until = hurried();
  auto file = co_await files_->open_file(path, until);
  Result<> written = without_value(file);
  if (file) written = co_await file->write(offset, data, until);
  if (file) {
    auto closed = co_await file->close(until);
    if (written) written = std::move(closed);
  }
  CO_TRY(const Verdict verdict,
         judge(fmt::format("write {} [{}, {})", path, offset, offset + data.size()), written, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  Bytes wanted = place->node->data;
  if (wanted.size() < offset + data.size()) wanted.resize(offset + data.size());
  std::ranges::copy(data, wanted.begin() + static_cast<std::ptrdiff_t>(offset));
  if (verdict == Verdict::kUncertain) co_return co_await adopt_data(path, place->node, std::move(wanted));
  place->node->data = std::move(wanted);
  co_return Result<>();
}

Task<Result<>> PosixTree::truncate() {
  const std::string path = file_path();
  const auto place = model_.check_file(path);
  std::uint64_t size = any_offset();
  if (place && !place->node->data.empty() && run_.chance(1, 2)) size = run_.below(place->node->data.size());
  const Until until = hurried();
  auto file = co_await files_->open_file(path, until);
  Result<> cut = without_value(file);
  if (file) cut = co_await file->truncate(size, until);
  if (file) {
    auto closed = co_await file->close(until);
    if (cut) cut = std::move(closed);
  }
  CO_TRY(const Verdict verdict, judge(fmt::format("truncate {} to {}", path, size), cut, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  Bytes wanted = place->node->data;
  wanted.resize(size);
  if (verdict == Verdict::kUncertain) co_return co_await adopt_data(path, place->node, std::move(wanted));
  place->node->data = std::move(wanted);
  co_return Result<>();
}

Task<Result<Bytes>> PosixTree::read_whole(std::string path) {
  CO_TRY(posix::File file, co_await files_->open_file(path, patience()));
  CO_TRY(const std::uint64_t size, co_await file.size(patience()));
  Bytes data(size);
  CO_TRY(const std::uint64_t read, co_await file.read(0, data, patience()));
  CO_CHECK_OK(co_await file.close(patience()));
  if (read != size) {
    co_return cenote::fail(wrong(fmt::format("'{}' has {} bytes and a read of all got {}", path, size, read)));
  }
  co_return data;
}

Task<Result<>> PosixTree::adopt_data(std::string path, std::shared_ptr<ModelNode> node, Bytes wanted) {
  CO_CHECK_OK(co_await settle());
  CO_TRY(Bytes actual, co_await read_whole(path));
  const Bytes& before = node->data;
  const auto [least, most] = std::minmax(before.size(), wanted.size());
  if (actual.size() < least || actual.size() > most) {
    co_return cenote::fail(wrong(fmt::format("'{}' had {} bytes, was to get {}, and has {}", path, before.size(),
                                             wanted.size(), actual.size())));
  }
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const std::byte old_byte = i < before.size() ? before[i] : std::byte{0};
    const std::byte new_byte = i < wanted.size() ? wanted[i] : std::byte{0};
    if (actual[i] == old_byte || actual[i] == new_byte) continue;
    co_return cenote::fail(wrong(fmt::format("'{}': byte {} is neither the old nor the new one", path, i)));
  }
  node->data = std::move(actual);
  co_return Result<>();
}

Task<Result<>> PosixTree::read() {
  const std::string path = file_path();
  const auto place = model_.check_file(path);
  auto file = co_await files_->open_file(path, patience());
  CO_TRY(const Verdict verdict, judge(fmt::format("open {}", path), without_value(file), without_value(place)));
  if (verdict != Verdict::kDone) co_return Result<>();
  const Bytes& data = place->node->data;
  const std::uint64_t offset = run_.chance(1, 2) ? any_offset() : run_.below(data.size() + 1);
  Bytes into(run_.below(400'000), std::byte{0xee});
  CO_TRY(const std::uint64_t read, co_await file->read(offset, into, patience()));
  CO_CHECK_OK(co_await file->close(patience()));
  const std::uint64_t expected = offset >= data.size() ? 0 : std::min(into.size(), data.size() - offset);
  if (read != expected) {
    co_return cenote::fail(wrong(fmt::format("read of {} bytes at {} of '{}' with {}: got {}, expected {}", into.size(),
                                             offset, path, data.size(), read, expected)));
  }
  if (!equal(ByteView(into).first(read), ByteView(data).subspan(std::min<std::size_t>(offset, data.size()), read))) {
    co_return cenote::fail(wrong(fmt::format("read of {} bytes at {} of '{}': other data", read, offset, path)));
  }
  co_return Result<>();
}

// ---- attributes ----

Task<Result<>> PosixTree::stat() {
  const std::string path = any_path();
  const bool follow = run_.chance(1, 2);
  const auto place = model_.existing(path, follow);
  const auto attributes = co_await files_->stat(path, follow, patience());
  CO_TRY(const Verdict verdict, judge(fmt::format("stat {}", path), without_value(attributes), without_value(place)));
  if (verdict != Verdict::kDone) co_return Result<>();
  if (attributes->object == place->node->object) co_return Result<>();
  co_return cenote::fail(wrong(fmt::format("'{}' is another object than before", path)));
}

Task<Result<>> PosixTree::set_mode() {
  const std::string path = any_path();
  const auto mode = static_cast<std::uint32_t>(run_.below(07777 + 1));
  const auto place = model_.existing(path, true);
  const auto changed = co_await files_->set_attributes(path, {.mode = mode}, hurried());
  CO_TRY(const Verdict verdict, judge(fmt::format("chmod {} {:o}", path, mode), changed, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  if (verdict == Verdict::kUncertain) {
    CO_CHECK_OK(co_await settle());
    CO_TRY(const auto found, co_await files_->stat(path, true, patience()));
    if (found.mode != mode) co_return Result<>();
  }
  place->node->mode = mode;
  co_return Result<>();
}

Task<Result<>> PosixTree::set_xattr() {
  const std::string path = any_path();
  const std::string name = run_.chance(1, 2) ? "user.one" : "user.two";
  const Bytes value = any_data();
  if (value.size() > 60000) co_return Result<>();
  const auto place = model_.existing(path, true);
  const auto set = co_await set_xattr_at(path, name, value, hurried());
  CO_TRY(const Verdict verdict, judge(fmt::format("setxattr {} {}", path, name), set, without_value(place)));
  if (verdict == Verdict::kRefused) co_return Result<>();
  if (verdict == Verdict::kUncertain) {
    CO_CHECK_OK(co_await settle());
    const auto found = co_await get_xattr_at(path, name, patience());
    if (!found && found.error() != Code::kNotFound) co_return cenote::fail(found.error());
    if (!found || !equal(*found, value)) co_return Result<>();
  }
  place->node->xattrs[name] = value;
  co_return Result<>();
}

Task<Result<>> PosixTree::set_xattr_at(std::string path, std::string name, Bytes value, Until until) {
  CO_TRY(const posix::Found found, co_await files_->find(std::move(path), true, until));
  co_return co_await files_->set_xattr(found.node, std::move(name), std::move(value), {}, until);
}

Task<Result<Bytes>> PosixTree::get_xattr_at(std::string path, std::string name, Until until) {
  CO_TRY(const posix::Found found, co_await files_->find(std::move(path), true, until));
  co_return co_await files_->get_xattr(found.node, std::move(name), until);
}

Task<Result<>> PosixTree::read_link() {
  const std::string path = any_path();
  const auto place = model_.existing(path, false);
  Result<> expected = without_value(place);
  if (place && place->node->type != FileType::kSymlink) expected = cenote::fail(Code::kInvalidArgument);
  const auto target = co_await files_->readlink(path, patience());
  CO_TRY(const Verdict verdict, judge(fmt::format("readlink {}", path), without_value(target), expected));
  if (verdict != Verdict::kDone || *target == place->node->target) co_return Result<>();
  co_return cenote::fail(wrong(fmt::format("'{}' leads to '{}', not to '{}'", path, *target, place->node->target)));
}

// ---- the whole ----

Task<Result<>> PosixTree::verify() {
  run_.count("verifications");
  run_.note("verify");
  CO_CHECK_OK(co_await verify_node("/", model_.root()));
  co_return co_await verify_directory("/", model_.root());
}

Task<Result<std::vector<posix::DirectoryEntry>>> PosixTree::list(std::string path) {
  std::vector<posix::DirectoryEntry> entries;
  std::string after;
  for (;;) {
    CO_TRY(const auto page, co_await files_->read_directory(path, after, patience()));
    if (page.empty()) co_return entries;
    entries.insert(entries.end(), page.begin(), page.end());
    after = page.back().name;
  }
}

Task<Result<>> PosixTree::verify_directory(std::string path, std::shared_ptr<ModelNode> directory) {
  CO_TRY(const auto listed, co_await list(path));
  auto expected = directory->entries.begin();
  for (const posix::DirectoryEntry& entry : listed) {
    if (expected == directory->entries.end() || expected->first != entry.name) {
      co_return cenote::fail(
          wrong(fmt::format("'{}' lists '{}', expected {}", path, entry.name,
                            expected == directory->entries.end() ? "nothing more" : "'" + expected->first + "'")));
    }
    if (entry.object != expected->second->object || entry.type != expected->second->type) {
      co_return cenote::fail(wrong(fmt::format("'{}' lists '{}' with another object", path, entry.name)));
    }
    ++expected;
  }
  if (expected != directory->entries.end()) {
    co_return cenote::fail(wrong(fmt::format("'{}' does not list '{}'", path, expected->first)));
  }
  const std::string prefix = path == "/" ? "/" : path + "/";
  const auto entries = directory->entries;
  for (const auto& [name, node] : entries) {
    CO_CHECK_OK(co_await verify_node(prefix + name, node));
    if (node->type == FileType::kDirectory) CO_CHECK_OK(co_await verify_directory(prefix + name, node));
  }
  co_return Result<>();
}

Task<Result<>> PosixTree::verify_node(std::string path, std::shared_ptr<ModelNode> node) {
  CO_TRY(const auto attributes, co_await files_->stat(path, false, patience()));
  const std::uint64_t size = node->type == FileType::kFile ? node->data.size() : node->target.size();
  if (attributes.object != node->object || attributes.type != node->type || attributes.mode != node->mode ||
      attributes.size != size) {
    co_return cenote::fail(wrong(fmt::format(
        "'{}': object {}, mode {:o}, {} bytes; expected object {}, mode {:o}, {} bytes", path,
        attributes.object.to_string(), attributes.mode, attributes.size, node->object.to_string(), node->mode, size)));
  }
  if (node->type == FileType::kFile) {
    CO_TRY(const Bytes data, co_await read_whole(path));
    if (!equal(data, node->data)) {
      const auto differs = std::ranges::mismatch(data, node->data).in1 - data.begin();
      co_return cenote::fail(wrong(fmt::format("'{}': byte {} of {} differs", path, differs, data.size())));
    }
  }
  if (node->type == FileType::kSymlink) co_return Result<>();  // attributes of a link's own are out of reach
  CO_TRY(const posix::Found found, co_await files_->find(path, false, patience()));
  CO_TRY(const auto names, co_await files_->list_xattrs(found.node, patience()));
  if (names.size() < node->xattrs.size())
    co_return cenote::fail(wrong(fmt::format("'{}' has lost an attribute", path)));
  for (const auto& [name, value] : node->xattrs) {
    CO_TRY(const Bytes kept, co_await get_xattr_at(path, name, patience()));
    if (!equal(kept, value)) co_return cenote::fail(wrong(fmt::format("'{}': attribute {} differs", path, name)));
  }
  co_return Result<>();
}

Task<Result<>> PosixTree::check() {
  CO_TRY(const auto report, co_await posix::check_files(*container_, {}, patience()));
  if (report.findings.empty()) co_return Result<>();
  const posix::Finding& first = report.findings.front();
  co_return cenote::fail(
      wrong(fmt::format("a check found {} at '{}': {}", posix::finding_name(first.kind), first.path, first.detail)));
}

Task<Result<std::set<ObjectId>>> PosixTree::stored_objects() {
  std::set<ObjectId> objects;
  ListRequest request;
  request.level = ListLevel::kObjects;
  do {
    CO_TRY(ListReply page, co_await container_->list(request, patience()));
    for (const ListedKey& listed : page.keys) {
      objects.emplace(load_be<std::uint64_t>(listed.key.data()), load_be<std::uint64_t>(listed.key.data() + 8));
    }
    request.anchor = std::move(page.anchor);
  } while (!request.anchor.empty());
  co_return objects;
}

Task<Result<>> PosixTree::check_leaks() {
  co_await outlive_the_dead();
  std::set<ObjectId> reachable(kFixedObjects.begin(), kFixedObjects.end());
  for (const std::string& path : model_.paths()) {
    const auto place = model_.existing(path, false);
    reachable.insert(place->node->object);
  }
  CO_TRY(const auto stored, co_await stored_objects());
  const std::uint64_t session = files_->session_number();
  for (ObjectId object : stored) {
    // What belongs to another object has its number, whatever its class.
    const bool known = object.low() == session || std::ranges::any_of(reachable, [&object](const ObjectId& candidate) {
                         return candidate.low() == object.low() &&
                                (static_cast<std::uint32_t>(candidate.high() ^ object.high()) & ~kBesideBits) == 0;
                       });
    if (!known)
      co_return cenote::fail(wrong(fmt::format("object {} is stored and nothing leads to it", object.to_string())));
  }
  co_return Result<>();
}

Task<Result<>> PosixTree::remove_all() {
  std::vector<std::string> paths = model_.paths();
  std::ranges::reverse(paths);
  for (const std::string& path : paths) {
    if (path == "/") continue;
    const auto place = model_.existing(path, false);
    const bool directory = place->node->type == FileType::kDirectory;
    if (directory) {
      CO_CHECK_OK(co_await files_->rmdir(path, patience()));
    } else {
      CO_CHECK_OK(co_await files_->unlink(path, patience()));
    }
    model_.remove(*place);
  }
  co_return co_await check_leaks();
}

}  // namespace cenote::sim
