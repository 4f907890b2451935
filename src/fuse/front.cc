#include "cenote/fuse/front.h"

#include "request.h"

namespace cenote::fuse {
namespace {

// "For as long as it is mounted."
constexpr double kAlwaysValidSeconds = 24.0 * 3600;
// What is open when the mount ends is closed within this time, or left to the servers, which clear away after a client
// that has gone.
constexpr Duration kClosing = std::chrono::seconds(5);

void init(void* user_data, fuse_conn_info* connection) {
  configure_connection(*connection, static_cast<Front::Impl*>(user_data)->options.session);
}

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops table = [] {
    fuse_lowlevel_ops table{};
    table.init = init;
    add_name_operations(table);
    add_attribute_operations(table);
    add_xattr_operations(table);
    add_file_operations(table);
    add_directory_operations(table);
    add_control_operations(table);
    return table;
  }();
  return table;
}

constexpr Duration kCallerCheck = std::chrono::milliseconds(200);

Task<> watch(Front::Impl* impl) {
  for (;;) {
    const auto slept = co_await sleep_for(impl->reactor, kCallerCheck, impl->scope.cancel_source());
    bool any = false;
    for (Request* request = impl->requests.front(); request != nullptr; request = impl->requests.next(*request)) {
      if (!request->was_signalled()) continue;
      any = true;
      request->check_caller();
    }
    if (slept && any) continue;
    impl->watches_callers = false;
    co_return;
  }
}

}  // namespace

void Front::Impl::watch_callers() {
  if (watches_callers) return;
  watches_callers = scope.spawn(watch(this));
}

double Front::Impl::validity_s() const { return options.session.single_client ? kAlwaysValidSeconds : 0; }

namespace {

/// Frees what was removed while the kernel knew it.
Task<> release(Front::Impl* impl, posix::Node node) {
  const auto freed =
      co_await impl->files.release(std::move(node), Until::at(impl->reactor.now() + impl->options.timeout));
  if (!freed) impl->log.warn("a removed file was not freed", {{"error", freed.error()}});
}

}  // namespace

void Front::Impl::tell(const posix::Found& found) {
  if (nodes.add(found) && found.node.type() == posix::FileType::kFile) files.hold(found.node);
}

void Front::Impl::forget(std::uint64_t number, std::uint64_t lookups) {
  auto node = nodes.forget(number, lookups);
  // When it ends, `serve` frees what is left.
  if (node && node->type() == posix::FileType::kFile) scope.spawn(release(this, *std::move(node)));
}

std::uint64_t Front::Impl::keep(OpenFile file) {
  files_open.emplace(next_handle, std::move(file));
  return next_handle++;
}

std::uint64_t Front::Impl::keep(std::unique_ptr<DirectoryStream> stream) {
  directories_open.emplace(next_handle, std::move(stream));
  return next_handle++;
}

Front::Front(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Front::~Front() = default;

Result<std::unique_ptr<Front>> Front::mount(UringReactor& reactor, posix::FileSystem& files, FrontOptions options,
                                            Logger logger) {
  auto impl = std::make_unique<Impl>(reactor, files, std::move(options), std::move(logger));
  TRY(impl->session, Session::mount(reactor, operations(), impl.get(), impl->options.session));
  return std::unique_ptr<Front>(new Front(std::move(impl)));
}

Task<> Front::serve() {
  Impl& impl = *impl_;
  co_await impl.session->serve();
  // Whoever asked has gone, or is told by the kernel.
  impl.is_ending = true;
  while (Request* request = impl.requests.pop_front()) request->cancel();
  co_await impl.scope.stop();
  const Until until = Until::at(impl.reactor.now() + kClosing);
  for (auto& [number, open] : impl.files_open) {
    const auto closed = co_await open.file.close(until);
    if (!closed) impl.log.warn("a file was not closed", {{"error", closed.error()}});
  }
  impl.files_open.clear();
  impl.directories_open.clear();
  for (posix::Node& node : impl.nodes.all()) {
    if (node.type() == posix::FileType::kFile) static_cast<void>(co_await impl.files.release(std::move(node), until));
  }
}

void Front::stop() { impl_->session->stop(); }
Result<> Front::unmount() { return impl_->session->unmount(); }

}  // namespace cenote::fuse
