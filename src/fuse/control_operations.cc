#include <cerrno>

#include "request.h"

// What programs ask of a mount on something open in it: who it is, so that they can go past the kernel.
namespace cenote::fuse {
namespace {

Task<Result<ControlAnswer>> identify_mount(Request& request) {
  const auto& identity = request.front().options.identity;
  CO_TRY(Bytes frame, posix::framed_answer(posix::encode_mount_identity(*identity), posix::kMountIdentityRoom));
  co_return ControlAnswer{std::move(frame)};
}

Task<Result<ControlAnswer>> identify_node(Request& request) {
  CO_TRY(const posix::Node node, request.node());
  // Whoever goes past the kernel would take it for what is there now.
  if (!request.files().is_in_present(node))
    co_return fail(Code::kUnsupported, "what is in a snapshot is reached through the kernel alone");
  CO_TRY(Bytes frame, posix::framed_answer(request.files().identity_of(node), posix::kNodeIdentityRoom));
  co_return ControlAnswer{std::move(frame)};
}

void control(fuse_req_t request, fuse_ino_t number, unsigned question, bool is_compatible) {
  if (is_compatible && Front::Impl::of(request).options.identity) {
    if (question == posix::kMountIdentityQuestion) return start(request, "ioctl", number, identify_mount);
    if (question == posix::kNodeIdentityQuestion) return start(request, "ioctl", number, identify_node);
  }
  ::fuse_reply_err(request, ENOTTY);
}

}  // namespace

void add_control_operations(fuse_lowlevel_ops& operations) {
  operations.ioctl = [](fuse_req_t request, fuse_ino_t number, unsigned question, void*, fuse_file_info*,
                        unsigned flags, const void*, std::size_t,
                        std::size_t) { control(request, number, question, (flags & FUSE_IOCTL_COMPAT) == 0); };
}

}  // namespace cenote::fuse
