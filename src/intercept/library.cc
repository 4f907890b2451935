#include "library.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "cenote/posix/status.h"

namespace cenote::intercept {
namespace {

constexpr Duration kConnecting = std::chrono::seconds(2);
// A system that did not answer is asked again after this time; until then all goes to the kernel.
constexpr Duration kRefusedFor = std::chrono::seconds(10);
constexpr Duration kTellEvery = std::chrono::milliseconds(500);
constexpr Duration kGoodbye = std::chrono::seconds(2);
constexpr std::size_t kKnownMax = 4096;

// A round trip on a machine takes about so many polls. Where processors are few, they are left to who answers.
constexpr int kPolls = 60, kPollsWhereFew = 8;
constexpr unsigned kManyProcessors = 4;

/// Of codes that say that servers kept silent until the deadline: the kernel's mount would wait as long again.
bool is_silence(Code code) {
  return code == Code::kDeadlineExceeded || code == Code::kUnreachable || code == Code::kConnectionLost ||
         code == Code::kSessionExpired || code == Code::kRequestExpired || code == Code::kNotReady;
}

Answer failed(const Error& error) { return is_silence(error.code()) ? Answer::failed(ETIMEDOUT) : Answer(); }

Answer told(const posix::Attributes& attributes) {
  Answer answer = Answer::done();
  answer.status = posix::stat_of(attributes);
  return answer;
}

}  // namespace

bool Walker::may_search(const posix::Attributes& directory) const {
  if (may_all) return true;
  // It may have an access list, which the kernel has to look at.
  if (directory.has_xattrs) return false;
  if (directory.uid == user) return (directory.mode & S_IXUSR) != 0;
  if (std::ranges::find(groups, directory.gid) != groups.end()) return (directory.mode & S_IXGRP) != 0;
  return (directory.mode & S_IXOTH) != 0;
}

/// While a coroutine works with it.
class Library::InUse {
 public:
  explicit InUse(Known& known) : known_(known) { ++known_.in_use; }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;
  ~InUse() { --known_.in_use; }

 private:
  Known& known_;
};

std::unique_ptr<Library> Library::start() {
  auto reactor = UringReactor::create({.queue_entries = 64});
  if (!reactor) return nullptr;
  try {
    return std::unique_ptr<Library>(new Library(*std::move(reactor)));
  } catch (const std::system_error&) {
    return nullptr;  // no thread
  }
}

Library::Library(std::unique_ptr<UringReactor> reactor)
    : reactor_(std::move(reactor)),
      transport_(*reactor_),
      scope_(*reactor_),
      polls_(std::thread::hardware_concurrency() >= kManyProcessors ? kPolls : kPollsWhereFew),
      thread_([this] {
        is_inside = true;
        reactor_->run();
      }) {}

Library::~Library() {
  struct Stop final : Mail {
    Library* library;
    explicit Stop(Library* l) : library(l) {}
    static Task<> run(Library* self) {
      co_await stop_task(self);
      // What waits for all others is one of them.
      while (self->scope_.running() > 1) co_await self->reactor_->yield();
      self->reactor_->stop();
    }
    void deliver() override {
      const bool started = library->scope_.spawn(run(library));
      ASSERT(started);
    }
  } stop(this);
  reactor_->post(stop);
  thread_.join();
}

template <typename MakeTask>
Answer Library::run(const Guard& guard, MakeTask make_task) {
  HandedOver<MakeTask, Answer> call(scope_, make_task);
  reactor_->post(call);
  call.wait(guard, polls_);
  return std::move(call.answer());
}

// NOLINTBEGIN(cppcoreguidelines-avoid-capturing-lambda-coroutines): plain functions that make a task
Answer Library::attach(const Guard& guard, dev_t device, posix::MountIdentity identity) {
  return run(guard, [&] { return attach_task(this, device, std::move(identity)); });
}
Answer Library::introduce(const Guard& guard, Target target, Bytes identity) {
  return run(guard, [&] { return introduce_task(this, target, std::move(identity)); });
}
Answer Library::read(const Guard& guard, Target target, std::uint64_t offset, MutableBytes into) {
  return run(guard, [&] { return read_task(this, target, offset, into); });
}
Answer Library::write(const Guard& guard, Target target, std::uint64_t offset, ByteView from) {
  return run(guard, [&] { return write_task(this, target, offset, from); });
}
Answer Library::status(const Guard& guard, Target target) {
  return run(guard, [&] { return status_task(this, target); });
}
Answer Library::look_up(const Guard& guard, Route route) {
  return run(guard, [&] { return look_up_task(this, std::move(route)); });
}
Answer Library::tell_times(const Guard& guard, Target target) {
  return run(guard, [&] { return tell_task(this, target); });
}
Answer Library::tell_all_times(const Guard& guard) {
  return run(guard, [&] { return tell_all_task(this, kGoodbye); });
}
void Library::say_goodbye(const Guard& guard) {
  run(guard, [&] { return goodbye_task(this); });
}
// NOLINTEND(cppcoreguidelines-avoid-capturing-lambda-coroutines)

void Library::Parking::deliver() {
  const std::uint32_t mine = parked.load() + 1;
  parked.store(mine);
  parked.notify_all();
  for (std::uint32_t done = released.load(); done != mine; done = released.load()) released.wait(done);
}

void Library::park() {
  const std::uint32_t before = parking_.parked.load();
  reactor_->post(parking_);
  parking_.parked.wait(before);
}

void Library::resume() {
  parking_.released.store(parking_.parked.load());
  parking_.released.notify_all();
}

Until Library::until(const Mounted& mounted) const { return Until::at(reactor_->now() + mounted.timeout()); }

Library::Mounted* Library::ready(dev_t device, Answer::Kind& kind) {
  const auto found = mounts_.find(device);
  if (found == mounts_.end()) {
    kind = Answer::Kind::kNeedsMount;
    return nullptr;
  }
  Mounted& mounted = found->second;
  if (mounted.state == Mounted::State::kReady) return &mounted;
  const bool again = mounted.state == Mounted::State::kRefused && reactor_->now() >= mounted.refused_until;
  kind = again ? Answer::Kind::kNeedsMount : Answer::Kind::kKernel;
  return nullptr;
}

Library::Known* Library::find(Target target, Answer::Kind& kind) {
  Mounted* mounted = ready(target.device, kind);
  if (mounted == nullptr) return nullptr;
  const auto found = mounted->known.find(target.number);
  if (found != mounted->known.end()) return found->second.get();
  kind = Answer::Kind::kNeedsNode;
  return nullptr;
}

void Library::remember(Mounted& mounted, posix::Node node) {
  if (mounted.known.size() >= kKnownMax) sweep(mounted);
  const ino_t number = node.number();
  auto [place, is_new] = mounted.known.try_emplace(number);
  if (!is_new) return;
  std::optional<posix::File> file;
  if (node.type() == posix::FileType::kFile) {
    if (auto opened = mounted.files->open_file(node)) file = *std::move(opened);
  }
  place->second = std::make_unique<Known>(std::move(node), std::move(file));
}

void Library::sweep(Mounted& mounted) {
  std::erase_if(mounted.known, [&](const auto& entry) {
    Known& known = *entry.second;
    if (known.in_use > 0 || known.is_written) return false;
    if (known.file) scope_.spawn(close_later(this, *std::move(known.file), mounted.timeout()));
    return true;
  });
}

Task<> Library::close_later(Library* self, posix::File file, Duration timeout) {
  // What is not told of reads is lost, and nothing else.
  static_cast<void>(co_await file.close(Until::at(self->reactor_->now() + timeout)));
}

Task<> Library::sync_later(Library* self, posix::File file, Duration timeout) {
  static_cast<void>(co_await file.sync(Until::at(self->reactor_->now() + timeout)));
}

Task<Result<>> Library::connect(Library* self, Mounted* mounted) {
  const posix::MountIdentity& identity = mounted->identity;
  const Until until = Until::at(self->reactor_->now() + kConnecting);
  CO_TRY(auto addresses, rpc::parse_addresses(identity.servers));
  CO_TRY(mounted->client,
         co_await async::Client::connect(
             *self->reactor_, self->transport_, std::move(addresses),
             {.timeout = kConnecting, .call_timeout = mounted->timeout(), .name = "cenote-intercept"}));
  CO_TRY(async::Container container,
         co_await mounted->client->open_container(identity.pool, identity.container, until));
  if (!identity.snapshot.empty()) {
    CO_TRY(container, co_await container.at_snapshot(identity.snapshot, until));
  }
  CO_TRY(mounted->files, co_await posix::FileSystem::open(std::move(container), until, posix::Upkeep::kNone));
  co_return Result<>();
}

Task<Answer> Library::attach_task(Library* self, dev_t device, posix::MountIdentity identity) {
  const auto found = self->mounts_.find(device);
  // Another thread does so at this moment, or has done so.
  if (found != self->mounts_.end() && found->second.state != Mounted::State::kRefused)
    co_return found->second.state == Mounted::State::kReady ? Answer::done() : Answer();
  Mounted& mounted = self->mounts_[device];
  mounted.state = Mounted::State::kAttaching;
  mounted.identity = std::move(identity);
  const auto connected = co_await connect(self, &mounted);
  if (connected) {
    if (mounted.identity.multi_user) self->mode_checkers_.fetch_add(1);
    mounted.state = Mounted::State::kReady;
    co_return Answer::done();
  }
  if (mounted.client) co_await mounted.client->close();
  mounted.client.reset();
  mounted.state = Mounted::State::kRefused;
  mounted.refused_until = self->reactor_->now() + kRefusedFor;
  co_return Answer();
}

Task<Answer> Library::introduce_task(Library* self, Target target, Bytes identity) {
  Answer answer;
  Mounted* mounted = self->ready(target.device, answer.kind);
  if (mounted == nullptr) co_return answer;
  auto node = mounted->files->introduce(identity);
  if (!node || node->number() != target.number) co_return Answer();
  self->remember(*mounted, *std::move(node));
  co_return Answer::done();
}

Task<Answer> Library::read_task(Library* self, Target target, std::uint64_t offset, MutableBytes into) {
  Answer answer;
  Known* known = self->find(target, answer.kind);
  if (known == nullptr) co_return answer;
  if (!known->file) co_return Answer();
  const InUse used(*known);
  const auto got = co_await known->file->read(offset, into, self->until(self->mounts_[target.device]));
  if (!got) co_return failed(got.error());
  known->is_read = true;
  co_return Answer::done(*got);
}

Task<Answer> Library::write_task(Library* self, Target target, std::uint64_t offset, ByteView from) {
  Answer answer;
  Known* known = self->find(target, answer.kind);
  if (known == nullptr) co_return answer;
  if (!known->file) co_return Answer();
  const InUse used(*known);
  self->note_written(*known);
  const auto written = co_await known->file->write(offset, from, self->until(self->mounts_[target.device]));
  if (!written) co_return failed(written.error());
  self->note_written(*known);
  co_return Answer::done(from.size());
}

Task<Answer> Library::status_task(Library* self, Target target) {
  Answer answer;
  Known* known = self->find(target, answer.kind);
  if (known == nullptr) co_return answer;
  const InUse used(*known);
  Mounted& mounted = self->mounts_[target.device];
  const auto attributes = co_await mounted.files->attributes(known->node, self->until(mounted));
  if (!attributes) co_return failed(attributes.error());
  co_return told(*attributes);
}

Task<Answer> Library::look_up_task(Library* self, Route route) {
  Answer answer;
  Mounted* mounted = self->ready(route.from.device, answer.kind);
  if (mounted == nullptr) co_return answer;
  posix::Node at = mounted->files->root();
  if (route.from.number != at.number()) {
    const Known* known = self->find(route.from, answer.kind);
    if (known == nullptr) co_return answer;
    at = known->node;
  }
  const Until until = self->until(*mounted);
  if (route.names.empty() || !route.walker.may_all) {
    const auto attributes = co_await mounted->files->attributes(at, until);
    if (!attributes) co_return failed(attributes.error());
    if (route.names.empty()) co_return told(*attributes);
    if (!route.walker.may_search(*attributes)) co_return Answer();
  }
  for (std::size_t i = 0; i < route.names.size(); ++i) {
    const bool is_last = i + 1 == route.names.size();
    auto found = co_await mounted->files->lookup(at, route.names[i], until);
    if (!found && found.error() == Code::kNotFound) co_return Answer::failed(ENOENT);
    if (!found) co_return failed(found.error());
    const posix::FileType type = found->node.type();
    // Where links lead the kernel says, and what is wrong with a path, too.
    if (type == posix::FileType::kSymlink && (!is_last || route.follow)) co_return Answer();
    if (is_last) {
      self->remember(*mounted, std::move(found->node));
      co_return told(found->attributes);
    }
    if (type != posix::FileType::kDirectory || !route.walker.may_search(found->attributes)) co_return Answer();
    at = std::move(found->node);
  }
  co_return Answer();
}

void Library::note_written(Known& known) {
  if (!known.is_written) untold_.fetch_add(1);
  known.is_written = true;
  if (tells_) return;
  tells_ = scope_.spawn(keep_telling(this));
}

Task<Answer> Library::tell_task(Library* self, Target target) {
  Answer answer;
  Known* known = self->find(target, answer.kind);
  if (known == nullptr || !known->file) co_return Answer();
  const InUse used(*known);
  const Duration timeout = self->mounts_[target.device].timeout();
  if (known->is_written) {
    known->is_written = known->is_read = false;
    self->untold_.fetch_sub(1);
    const auto synced = co_await known->file->sync(Until::at(self->reactor_->now() + timeout));
    if (!synced) co_return failed(synced.error());
  } else if (known->is_read) {
    known->is_read = false;
    self->scope_.spawn(sync_later(self, *known->file, timeout));
  }
  co_return Answer::done();
}

Task<Answer> Library::tell_all_task(Library* self, Duration most) {
  const Until until = Until::at(self->reactor_->now() + most);
  std::vector<posix::File> files;
  for (auto& [device, mounted] : self->mounts_) {
    for (auto& [number, known] : mounted.known) {
      if (!known->is_written) continue;
      known->is_written = known->is_read = false;
      self->untold_.fetch_sub(1);
      files.push_back(*known->file);
    }
  }
  for (posix::File& file : files) static_cast<void>(co_await file.sync(until));
  co_return Answer::done();
}

Task<> Library::keep_telling(Library* self) {
  while (self->untold_.load() > 0 && !self->scope_.stopping()) {
    static_cast<void>(co_await sleep_for(*self->reactor_, kTellEvery, self->scope_.cancel_source()));
    static_cast<void>(co_await tell_all_task(self, kGoodbye));
  }
  self->tells_ = false;
}

Task<Answer> Library::goodbye_task(Library* self) {
  static_cast<void>(co_await tell_all_task(self, kGoodbye));
  for (auto& [device, mounted] : self->mounts_) {
    if (mounted.state != Mounted::State::kReady) continue;
    mounted.state = Mounted::State::kRefused;
    mounted.refused_until = kNoDeadline;
    co_await mounted.client->close();
  }
  co_return Answer::done();
}

Task<> Library::stop_task(Library* self) {
  static_cast<void>(co_await tell_all_task(self, kGoodbye));
  self->scope_.cancel_source().cancel();
  for (auto& [device, mounted] : self->mounts_) {
    mounted.known.clear();
    if (mounted.files) co_await mounted.files->close(Until::at(self->reactor_->now() + kGoodbye));
    if (mounted.client) co_await mounted.client->close();
    mounted.files.reset();
    mounted.client.reset();
  }
}

}  // namespace cenote::intercept
