#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "cenote/posix/status.h"
#include "impl.h"

namespace cenote::fuse {

/// Answers of operations that have no other type.
struct Done {};
struct Written {
  std::size_t bytes = 0;
};
struct Place {
  std::uint64_t offset = 0;
};
struct XattrSize {
  std::size_t bytes = 0;
};
/// What fits into what the caller has room for, or how long it is.
using XattrAnswer = std::variant<Bytes, XattrSize>;
struct ControlAnswer {
  Bytes bytes;
};
struct Listing {
  Bytes bytes;
  std::vector<fuse_ino_t> told;  ///< nodes that the kernel knows by it, once more each
};
struct DataRead {
  Session::Memory memory;
  std::size_t bytes = 0;
};
struct OpenedFile {
  OpenFile file;
  fuse_file_info info{};
};
struct CreatedFile {
  posix::Found found;
  OpenedFile opened;
};
struct OpenedDirectory {
  std::unique_ptr<DirectoryStream> stream;
  fuse_file_info info{};
};

/// One request of the kernel while it is worked on: what it may use, until when, and its one answer. Lives in the
/// coroutine that answers it.
class Request final : public ListNode<struct RequestTag> {
 public:
  /// `what` is a literal, for the log.
  Request(Front::Impl& front, fuse_req_t handle, const char* what, fuse_ino_t number);
  ~Request();

  Front::Impl& front() const { return front_; }
  posix::FileSystem& files() const { return front_.files; }
  Until until() { return {deadline_, &cancel_}; }
  /// The node it is about. kGone: one that the kernel has forgotten.
  Result<posix::Node> node() const { return node(number_); }
  Result<posix::Node> node(fuse_ino_t number) const;
  /// kInvalidArgument: nothing open has this number.
  Result<OpenFile*> open_file(std::uint64_t handle) const;
  Result<DirectoryStream*> open_directory(std::uint64_t handle) const;
  /// Owner and mode of what it creates.
  posix::CreateOptions creation(mode_t mode) const;
  bool is_by_root() const;
  bool is_in_group(std::uint32_t group) const;
  /// In this operation, `code` means to programs `number`, and not what it generally does.
  void translate(Code code, int number) {
    ASSERT(translated_count_ < translated_.size());
    translated_[translated_count_++] = {code, number};
  }
  /// What it waits for ends with kCancelled.
  void cancel() { cancel_.cancel(); }
  /// Its caller has got a signal; it is cancelled if that is one that ends the caller.
  void check_caller();
  bool was_signalled() const { return was_signalled_; }
  fuse_req_t handle() const { return handle_; }

  /// What the kernel is told of a node.
  fuse_entry_param entry_of(const posix::Found& found) const;

  void fail(const Error& error);
  void reply(Done);
  void reply(Written written);
  void reply(Place place);
  void reply(const XattrAnswer& answer);
  void reply(const DataRead& data);
  void reply(const Listing& listing);
  void reply(const std::string& link_target);
  void reply(const posix::Attributes& attributes);
  void reply(const posix::Found& found);
  void reply(const posix::SpaceInfo& space);
  void reply(const ControlAnswer& answer);
  void reply(OpenedFile opened);
  void reply(CreatedFile created);
  void reply(OpenedDirectory opened);

 private:
  void log_failure(const Error& error) const;

  Front::Impl& front_;
  fuse_req_t handle_;
  const char* what_;
  fuse_ino_t number_;
  Instant deadline_;
  pid_t caller_;
  CancelSource cancel_;
  std::array<std::pair<Code, int>, 2> translated_{};
  std::size_t translated_count_ = 0;
  bool answered_ = false;
  bool was_signalled_ = false;
};

/// Runs one operation and answers with what it returns.
template <typename T, typename... Arguments>
Task<> answer(Front::Impl* front, fuse_req_t handle, const char* what, fuse_ino_t number,
              Task<Result<T>> (*operation)(Request&, Arguments...), std::type_identity_t<Arguments>... arguments) {
  Request request(*front, handle, what, number);
  Result<T> result = co_await operation(request, std::move(arguments)...);
  if (result) {
    request.reply(*std::move(result));
  } else {
    request.fail(result.error());
  }
}

/// The same, begun from where libfuse calls.
template <typename T, typename... Arguments>
void start(fuse_req_t handle, const char* what, fuse_ino_t number, Task<Result<T>> (*operation)(Request&, Arguments...),
           std::type_identity_t<Arguments>... arguments) {
  Front::Impl& front = Front::Impl::of(handle);
  front.session->request_begun();
  const bool started =
      front.scope.spawn(answer<T, Arguments...>(&front, handle, what, number, operation, std::move(arguments)...));
  ASSERT(started);
}

}  // namespace cenote::fuse
