#include "store_workload.h"

#include <algorithm>
#include <cstring>

#include "aligned_buffer.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/store/store_check.h"

namespace cenote::store {
namespace {

constexpr std::string_view kNumberKey = "n";
constexpr std::string_view kExtentPrefix = "x";

/// An extent and what its data is made from, as the control tree holds it.
struct Reference {
  Extent extent;
  std::uint64_t pattern = 0;

  std::string encode() const {
    Bytes bytes;
    Encoder out(bytes);
    out.integer(extent.first.value());
    out.integer(extent.blocks);
    out.integer(pattern);
    return to_text(bytes);
  }
  static Reference decode(std::string_view text) {
    Decoder in(as_bytes(text));
    Reference reference;
    reference.extent.first = media::BlockNo(in.integer<std::uint64_t>());
    reference.extent.blocks = in.integer<std::uint32_t>();
    reference.pattern = in.integer<std::uint64_t>();
    return reference;
  }
};

/// The pattern of an extent whose data was never written.
constexpr std::uint64_t kNoData = 0;

void fill(MutableBytes data, std::uint64_t pattern) {
  for (std::size_t i = 0; i < data.size(); i += 8) store_le(data.data() + i, pattern + i);
}
bool is_filled(ByteView data, std::uint64_t pattern) {
  for (std::size_t i = 0; i < data.size(); i += 8) {
    if (load_le<std::uint64_t>(data.data() + i) != pattern + i) return false;
  }
  return true;
}

Task<Result<bool>> extent_is_whole(media::BlockDevice* device, Reference reference) {
  if (reference.pattern == kNoData) co_return true;
  AlignedBuffer data(std::size_t{reference.extent.blocks} * media::kBlockBytes);
  CO_CHECK_OK(co_await device->read(reference.extent.first, data.span()));
  co_return is_filled(data.span(), reference.pattern);
}

bool is_store_gone(const Error& error) {
  return error == Code::kFenced || error == Code::kStopped || error == Code::kDeviceDead;
}

}  // namespace

void History::apply(Contents& contents, Effect& effect) {
  if (effect.drop) contents.trees.erase(*effect.drop);
  if (effect.create) contents.trees[effect.create->first].id = effect.create->second;
  for (Effect::Entry& entry : effect.entries) {
    auto& entries = contents.trees.at(entry.tree).entries;
    if (entry.value) {
      entries[entry.key] = *entry.value;
    } else {
      entry.idle = entries.erase(entry.key) == 0;
    }
  }
}

void History::add(Effect effect) {
  apply(contents, effect);
  effects.push_back(std::move(effect));
}

std::uint64_t History::last_change(const std::string& tree, const std::string& key) const {
  const auto changes = [&](const Effect& effect) {
    return std::ranges::any_of(effect.entries, [&](const Effect::Entry& entry) {
      return !entry.idle && entry.tree == tree && entry.key == key;
    });
  };
  for (std::uint64_t count = effects.size(); count > 0; --count) {
    if (changes(effects[count - 1])) return count;
  }
  return 0;
}

void History::cut_to(std::uint64_t count) {
  effects.resize(count);
  acknowledged = count;
  contents = {};
  for (Effect& effect : effects) apply(contents, effect);
}

Workload::Workload(Store& store, History& history, WorkloadOptions options)
    : store_(store), history_(history), options_(options), random_(options.seed) {}

void Workload::wrong(std::string what) {
  if (problem_.empty()) problem_ = std::move(what);
}

std::string Workload::random_tree() {
  auto tree = history_.contents.trees.begin();
  std::advance(tree, below(history_.contents.trees.size()));
  if (tree->first == kControlTree) ++tree;
  return tree == history_.contents.trees.end() ? std::string() : tree->first;
}

std::string Workload::random_key() {
  const std::uint64_t number = below(options_.keys);
  // Some long keys, so that fences and prefixes matter.
  return fmt::format("{:05}{}", number, std::string(number % 7 == 0 ? number % 200 : 0, 'k'));
}

Task<> Workload::run() {
  Scope scope(store_.reactor());
  if (history_.contents.trees.empty()) {
    const auto first = co_await change();
    if (!first && !is_store_gone(first.error())) wrong(first.error().to_string());
    if (first && options_.full) static_cast<void>(co_await take_space());
  }
  for (std::uint32_t i = 0; i < options_.clients; ++i) scope.spawn(client());
  co_await scope.drain();
}

Task<> Workload::client() {
  while (steps_done_ < options_.steps && problem_.empty()) {
    ++steps_done_;
    const auto done = co_await step();
    if (done || done.error() == Code::kNoSpace) continue;
    if (!is_store_gone(done.error())) wrong(done.error().to_string());
    co_return;
  }
}

Task<Result<>> Workload::step() {
  if (below(options_.checkpoint_in) == 0) co_return co_await store_.checkpoint();
  switch (below(8)) {
    case 0:
      co_return co_await write_extent();
    case 1:
      co_return co_await read_extent();
    case 2:
      co_return co_await read_some();
    default:
      co_return co_await change();
  }
}

/// Every batch names its own number, as the last thing.
void Workload::number(Batch& batch, Effect& effect) {
  planned_ = history_.effects.size();
  const std::string text = std::to_string(planned_ + 1);
  const TreeId control = effect.create && effect.create->first == kControlTree
                             ? effect.create->second
                             : history_.contents.trees.at(std::string(kControlTree)).id;
  batch.put(control, as_bytes(kNumberKey), as_bytes(text));
  effect.entries.push_back({std::string(kControlTree), std::string(kNumberKey), text});
}

void Workload::plan_entry(Batch& batch, Effect& effect, const std::string& tree) {
  const TreeId id = history_.contents.trees.at(tree).id;
  const std::string key = random_key();
  if (below(3) == 0) {
    batch.erase(id, as_bytes(key));
    effect.entries.push_back({tree, key, std::nullopt});
  } else {
    const std::string value(below(options_.value_bytes + 1), static_cast<char>('a' + below(26)));
    batch.put(id, as_bytes(key), as_bytes(value));
    effect.entries.push_back({tree, key, value});
  }
}

void Workload::plan(Batch& batch, Effect& effect) {
  const std::size_t trees = history_.contents.trees.size();
  if (trees == 0 || (below(20) == 0 && trees < 6)) {
    const std::string name = trees == 0 ? std::string(kControlTree) : fmt::format("tree {}", history_.effects.size());
    effect.create = {name, store_.next_tree_id()};
    batch.create_tree(effect.create->second, name);
  }
  const std::string dropped = trees > 2 && below(30) == 0 ? random_tree() : std::string();
  if (!dropped.empty()) {
    batch.drop_tree(history_.contents.trees.at(dropped).id);
    effect.drop = dropped;
  }
  const std::uint64_t entries = 1 + below(12);
  for (std::uint64_t i = 0; i < entries && trees > 0; ++i) {
    const std::string tree = random_tree();
    if (!tree.empty() && tree != dropped) plan_entry(batch, effect, tree);
  }
  number(batch, effect);
}

Result<Lsn> Workload::apply(View& view, const Batch& batch, Effect effect, std::uint64_t* index) {
  TRY(const Lsn lsn, view.apply(batch));
  history_.add(std::move(effect));
  *index = history_.effects.size();
  return lsn;
}

Task<Result<>> Workload::wait_durable(Lsn lsn, std::uint64_t index) {
  if (below(4) == 0) co_return Result<>{};  // some never ask
  CO_CHECK_OK(co_await store_.durable(lsn));
  history_.acknowledged = std::max(history_.acknowledged, index);
  co_return Result<>{};
}

Task<Result<>> Workload::change() {
  std::uint64_t index = 0;
  const auto attempt = [this, &index](View& view) {
    Batch batch;
    Effect effect;
    plan(batch, effect);
    return apply(view, batch, std::move(effect), &index);
  };
  CO_TRY(const Lsn lsn, co_await store_.run(attempt));
  co_return co_await wait_durable(lsn, index);
}

/// Extents under keys that no client changes, with no data to compare.
Task<Result<>> Workload::take_space() {
  std::vector<Extent> extents;
  for (auto extent = store_.reserve(kGroupBlocks, SpaceClass::kForeground); extent;
       extent = store_.reserve(kGroupBlocks, SpaceClass::kForeground)) {
    extents.push_back(*extent);
  }
  for (int i = 0; i < 2 && !extents.empty(); ++i) {
    store_.cancel(extents.back());
    extents.pop_back();
  }
  std::uint64_t index = 0;
  const auto attempt = [&](View& view) {
    Batch batch;
    Effect effect;
    const TreeId control = history_.contents.trees.at(std::string(kControlTree)).id;
    for (const Extent& extent : extents) {
      const std::string key = fmt::format("{}space {}", kExtentPrefix, extent.first.value());
      const std::string value = Reference{extent, kNoData}.encode();
      batch.claim(extent);
      batch.put(control, as_bytes(key), as_bytes(value));
      effect.entries.push_back({std::string(kControlTree), key, value});
    }
    number(batch, effect);
    return apply(view, batch, std::move(effect), &index);
  };
  CO_TRY(const Lsn lsn, co_await store_.run(attempt));
  co_return co_await store_.durable(lsn);
}

/// Data first, then the batch that names it; what the key named before is released by the same batch.
Task<Result<>> Workload::write_extent() {
  CO_TRY(const Extent extent, store_.reserve(1 + static_cast<std::uint32_t>(below(20)), SpaceClass::kForeground));
  const Reference reference{extent, random_()};
  AlignedBuffer data(std::size_t{extent.blocks} * media::kBlockBytes);
  fill(data.span(), reference.pattern);
  media::BlockDevice& device = store_.data_device();
  const auto how = device.prefers_durable_writes() ? media::Durability::kDurable : media::Durability::kCached;
  CO_CHECK_OK(co_await device.write(extent.first, data.span(), how));
  if (below(10) == 0) {
    store_.cancel(extent);
    co_return Result<>{};
  }
  const std::string key = fmt::format("{}{}", kExtentPrefix, below(30));
  std::uint64_t index = 0;
  const auto attempt = [&](View& view) -> Result<Lsn> {
    Batch batch;
    Effect effect;
    const Contents::Tree& control = history_.contents.trees.at(std::string(kControlTree));
    batch.claim(extent);
    batch.put(control.id, as_bytes(key), as_bytes(reference.encode()));
    effect.entries.push_back({std::string(kControlTree), key, reference.encode()});
    const auto before = control.entries.find(key);
    if (before != control.entries.end()) batch.release(Reference::decode(before->second).extent);
    number(batch, effect);
    return apply(view, batch, std::move(effect), &index);
  };
  const auto applied = co_await store_.run(attempt);
  if (!applied && applied.error() == Code::kNoSpace) store_.cancel(extent);
  CO_CHECK_OK(applied);
  co_return co_await wait_durable(*applied, index);
}

/// What a guard protects stays readable although the extent is replaced and released meanwhile.
Task<Result<>> Workload::read_extent() {
  const ExtentGuard guard = store_.guard_extents();
  const auto& entries = history_.contents.trees.at(std::string(kControlTree)).entries;
  const auto found = entries.find(fmt::format("{}{}", kExtentPrefix, below(30)));
  if (found == entries.end()) co_return Result<>{};
  const Reference reference = Reference::decode(found->second);
  CO_TRY(const bool whole, co_await extent_is_whole(&store_.data_device(), reference));
  if (!whole) wrong(fmt::format("extent at block {} was reused while it was read", reference.extent.first.value()));
  co_return Result<>{};
}

/// `shown`: the batch whose doing the first answer is; whoever passes it on waits for `seen`.
Result<> Workload::compare_some(View& view, Lsn* seen, std::uint64_t* shown) {
  *shown = 0;
  const std::string name = random_tree();
  if (name.empty()) return {};
  const Contents::Tree& tree = history_.contents.trees.at(name);
  const std::string key = random_key();
  TRY(const auto value, view.get(tree.id, as_bytes(key)));
  const auto expected = tree.entries.find(key);
  const bool right = expected == tree.entries.end() ? !value : value && as_text(*value) == expected->second;
  *seen = view.seen();
  *shown = history_.last_change(name, key);
  if (!right) wrong(fmt::format("get of '{}' in '{}' is not what was put", key, name));
  Cursor cursor(view, tree.id);
  TRY(bool there, cursor.seek(as_bytes(key)));
  auto next = tree.entries.lower_bound(key);
  for (int i = 0; i < 5; ++i) {
    const bool same = there == (next != tree.entries.end()) &&
                      (!there || (as_text(cursor.key()) == next->first && as_text(cursor.value()) == next->second));
    if (!same) wrong(fmt::format("a cursor from '{}' in '{}' is not where it should be", key, name));
    if (!same || !there) return {};
    TRY(there, cursor.next());
    ++next;
  }
  return {};
}

Task<Result<>> Workload::read_some() {
  Lsn seen;
  std::uint64_t shown = 0;
  CO_CHECK_OK(co_await store_.run([&](View& view) { return compare_some(view, &seen, &shown); }));
  CO_CHECK_OK(co_await store_.durable(seen));
  history_.acknowledged = std::max(history_.acknowledged, shown);
  co_return Result<>{};
}

namespace {

/// The whole contents of a tree, a slice at a time.
Task<Result<std::map<std::string, std::string>>> read_tree(Store* store, TreeId tree) {
  std::map<std::string, std::string> entries;
  std::string from;
  for (bool more = true; more;) {
    std::vector<std::pair<std::string, std::string>> slice;
    const auto attempt = [&](View& view) -> Result<> {
      slice.clear();
      Cursor cursor(view, tree);
      TRY(more, cursor.seek(as_bytes(from)));
      while (more && slice.size() < 100) {
        slice.emplace_back(as_text(cursor.key()), as_text(cursor.value()));
        TRY(more, cursor.next());
      }
      return {};
    };
    CO_CHECK_OK(co_await store->run(attempt));
    if (!slice.empty()) from = slice.back().first + '\0';
    entries.insert(slice.begin(), slice.end());
  }
  co_return entries;
}

/// How many batches the store holds, by what the last one wrote.
Task<Result<std::uint64_t>> batches_held(Store* store) {
  const auto control = store->find_tree(kControlTree);
  if (!control) co_return 0;
  const auto attempt = [&](View& view) -> Result<std::uint64_t> {
    TRY(const auto value, view.get(*control, as_bytes(kNumberKey)));
    return value ? std::stoull(to_text(*value)) : 0;
  };
  co_return co_await store->run(attempt);
}

Task<Result<std::string>> compare_contents(Store* store, const Contents* contents) {
  for (const auto& [name, tree] : contents->trees) {
    if (store->find_tree(name) != tree.id) co_return fmt::format("tree '{}' is missing", name);
    CO_TRY(const auto entries, co_await read_tree(store, tree.id));
    if (entries != tree.entries) {
      co_return fmt::format("tree '{}' holds {} entries, not the {} of the model", name, entries.size(),
                            tree.entries.size());
    }
  }
  co_return std::string();
}

Task<Result<std::string>> verify_in_full(Store* store, History* history) {
  CO_TRY(const std::uint64_t held, co_await batches_held(store));
  if (held < history->acknowledged || held > history->effects.size()) {
    co_return fmt::format("the store holds {} batches, {} were acknowledged and {} applied", held,
                          history->acknowledged, history->effects.size());
  }
  history->cut_to(held);
  CO_TRY(const std::string wrong, co_await compare_contents(store, &history->contents));
  if (!wrong.empty()) co_return wrong;
  std::vector<Extent> owned;
  const auto control = history->contents.trees.find(std::string(kControlTree));
  if (control != history->contents.trees.end()) {
    for (const auto& [key, value] : control->second.entries) {
      if (!key.starts_with(kExtentPrefix)) continue;
      const Reference reference = Reference::decode(value);
      owned.push_back(reference.extent);
      CO_TRY(const bool whole, co_await extent_is_whole(&store->data_device(), reference));
      if (!whole)
        co_return fmt::format("the data of extent {} is not what was written", reference.extent.first.value());
    }
  }
  CO_CHECK_OK(co_await check_store(*store, std::move(owned)));
  co_return std::string();
}

}  // namespace

Task<std::string> verify_store(Store& store, History& history) {
  const auto outcome = co_await verify_in_full(&store, &history);
  co_return outcome ? *outcome : outcome.error().to_string();
}

}  // namespace cenote::store
