// A file system with nothing behind it: it keeps names and sizes in memory and drops data. What it takes is what the
// kernel, libfuse and the loop take: F of the goals of cenote-fuse, with the same session and the same options.
//   nullfs DIR [--threads N]    with --threads: libfuse's own loop, a device descriptor per thread
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <vector>

#include "cenote/fuse/session.h"
#include "null_tree.h"

namespace cenote::nullfs {
namespace {

/// What the operations get as their user data.
struct NullFs {
  fuse::SessionOptions options;
  std::mutex mutex;  // libfuse's loop has several threads
  NullTree tree;
  std::vector<char> zeros = std::vector<char>(fuse::kTransferBytesMax);
};

NullFs& fs_of(fuse_req_t request) { return *static_cast<NullFs*>(::fuse_req_userdata(request)); }

/// Neither names nor attributes stay valid in the kernel, as in cenote-fuse.
fuse_entry_param entry_of(const Node& node) {
  fuse_entry_param entry{};
  entry.ino = node.attributes.st_ino;
  entry.attr = node.attributes;
  return entry;
}

void init(void* user_data, fuse_conn_info* connection) {
  fuse::configure_connection(*connection, static_cast<NullFs*>(user_data)->options);
}

void lookup(fuse_req_t request, Ino parent, const char* name) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  Node* node = fs.tree.find(parent, name);
  if (node == nullptr) {
    ::fuse_reply_err(request, ENOENT);
    return;
  }
  ++node->lookups;
  const fuse_entry_param entry = entry_of(*node);
  ::fuse_reply_entry(request, &entry);
}

void forget(fuse_req_t request, Ino ino, std::uint64_t lookups) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  fs.tree.forget(ino, lookups);
  ::fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgotten) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  for (std::size_t i = 0; i < count; ++i) fs.tree.forget(forgotten[i].ino, forgotten[i].nlookup);
  ::fuse_reply_none(request);
}

void getattr(fuse_req_t request, Ino ino, fuse_file_info*) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  ::fuse_reply_attr(request, &fs.tree.at(ino).attributes, 0);
}

void setattr(fuse_req_t request, Ino ino, struct stat* attributes, int which, fuse_file_info*) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  struct stat& own = fs.tree.at(ino).attributes;
  if ((which & FUSE_SET_ATTR_SIZE) != 0) own.st_size = attributes->st_size;
  if ((which & FUSE_SET_ATTR_MODE) != 0) own.st_mode = attributes->st_mode;
  ::fuse_reply_attr(request, &own, 0);
}

void add_and_reply(fuse_req_t request, Ino parent, const char* name, mode_t mode) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  Node& node = fs.tree.add(parent, name, mode);
  ++node.lookups;
  const fuse_entry_param entry = entry_of(node);
  ::fuse_reply_entry(request, &entry);
}

void mknod(fuse_req_t request, Ino parent, const char* name, mode_t mode, dev_t) {
  add_and_reply(request, parent, name, mode);
}

void mkdir(fuse_req_t request, Ino parent, const char* name, mode_t mode) {
  add_and_reply(request, parent, name, mode | S_IFDIR);
}

void create(fuse_req_t request, Ino parent, const char* name, mode_t mode, fuse_file_info* file) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  Node* node = fs.tree.find(parent, name);
  if (node == nullptr) node = &fs.tree.add(parent, name, mode);
  ++node->lookups;
  const fuse_entry_param entry = entry_of(*node);
  ::fuse_reply_create(request, &entry, file);
}

void remove(fuse_req_t request, Ino parent, const char* name) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  ::fuse_reply_err(request, fs.tree.remove(parent, name) ? 0 : ENOENT);
}

void rename(fuse_req_t request, Ino parent, const char* name, Ino new_parent, const char* new_name, unsigned) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  auto& from = fs.tree.at(parent).entries;
  const auto found = from.find(std::string_view(name));
  if (found == from.end()) {
    ::fuse_reply_err(request, ENOENT);
    return;
  }
  const Ino ino = found->second;
  from.erase(found);
  fs.tree.remove(new_parent, new_name);
  fs.tree.at(new_parent).entries.insert_or_assign(new_name, ino);
  ::fuse_reply_err(request, 0);
}

void open(fuse_req_t request, Ino, fuse_file_info* file) { ::fuse_reply_open(request, file); }
void done(fuse_req_t request, Ino, fuse_file_info*) { ::fuse_reply_err(request, 0); }
void synced(fuse_req_t request, Ino, int, fuse_file_info*) { ::fuse_reply_err(request, 0); }

void read(fuse_req_t request, Ino ino, std::size_t bytes, off_t offset, fuse_file_info*) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  const off_t size = fs.tree.at(ino).attributes.st_size;
  const std::size_t left = offset < size ? static_cast<std::size_t>(size - offset) : 0;
  ::fuse_reply_buf(request, fs.zeros.data(), std::min({bytes, left, fs.zeros.size()}));
}

void write(fuse_req_t request, Ino ino, const char*, std::size_t bytes, off_t offset, fuse_file_info*) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  off_t& size = fs.tree.at(ino).attributes.st_size;
  size = std::max(size, offset + static_cast<off_t>(bytes));
  ::fuse_reply_write(request, bytes);
}

/// An entry's offset is its place in the order of names, which is stable as long as nothing changes.
void list(fuse_req_t request, Ino ino, std::size_t bytes, off_t offset, bool plus) {
  NullFs& fs = fs_of(request);
  const std::scoped_lock lock(fs.mutex);
  std::vector<char> page(bytes);
  std::size_t used = 0;
  off_t place = 0;
  for (const auto& [name, entry_ino] : fs.tree.at(ino).entries) {
    if (++place <= offset) continue;
    Node& node = fs.tree.at(entry_ino);
    const fuse_entry_param entry = entry_of(node);
    char* const at = page.data() + used;
    const std::size_t left = page.size() - used;
    const std::size_t needed = plus ? ::fuse_add_direntry_plus(request, at, left, name.c_str(), &entry, place)
                                    : ::fuse_add_direntry(request, at, left, name.c_str(), &entry.attr, place);
    if (needed > left) break;
    used += needed;
    if (plus) ++node.lookups;
  }
  ::fuse_reply_buf(request, page.data(), used);
}

void readdir(fuse_req_t request, Ino ino, std::size_t bytes, off_t offset, fuse_file_info*) {
  list(request, ino, bytes, offset, false);
}
void readdirplus(fuse_req_t request, Ino ino, std::size_t bytes, off_t offset, fuse_file_info*) {
  list(request, ino, bytes, offset, true);
}

void statfs(fuse_req_t request, Ino) {
  struct statvfs answer{};
  answer.f_bsize = answer.f_frsize = 4096;
  answer.f_blocks = answer.f_bfree = answer.f_bavail = 1u << 30;
  answer.f_namemax = 255;
  ::fuse_reply_statfs(request, &answer);
}

const fuse_lowlevel_ops kOperations{.init = init,
                                    .lookup = lookup,
                                    .forget = forget,
                                    .getattr = getattr,
                                    .setattr = setattr,
                                    .mknod = mknod,
                                    .mkdir = mkdir,
                                    .unlink = remove,
                                    .rmdir = remove,
                                    .rename = rename,
                                    .open = open,
                                    .read = read,
                                    .write = write,
                                    .flush = done,
                                    .release = done,
                                    .fsync = synced,
                                    .opendir = open,
                                    .readdir = readdir,
                                    .releasedir = done,
                                    .statfs = statfs,
                                    .create = create,
                                    .forget_multi = forget_multi,
                                    .readdirplus = readdirplus};

/// The usual way: threads of libfuse that wait in the kernel, each with a descriptor of its own.
int serve_by_threads(fuse_session* session, unsigned threads) {
  fuse_loop_config* config = ::fuse_loop_cfg_create();
  ::fuse_loop_cfg_set_clone_fd(config, 1);
  ::fuse_loop_cfg_set_max_threads(config, threads);
  const int result = ::fuse_session_loop_mt(session, config);
  ::fuse_loop_cfg_destroy(config);
  return result;
}

int run(const std::string& directory, unsigned threads) {
  NullFs fs;
  fs.options = {.mount_point = directory, .source = "nullfs"};
  auto reactor = UringReactor::create();
  if (!reactor) return fmt::print(stderr, "nullfs: {}\n", reactor.error().to_string()), 1;
  auto session = fuse::Session::mount(**reactor, kOperations, &fs, fs.options);
  if (!session) return fmt::print(stderr, "nullfs: {}\n", session.error().to_string()), 1;
  if (threads > 0) return serve_by_threads((*session)->handle(), threads);
  (*reactor)->block_on((*session)->serve());
  return 0;
}

}  // namespace
}  // namespace cenote::nullfs

int main(int argc, char** argv) {
  unsigned threads = 0;
  const bool with_threads = argc == 4 && std::string_view(argv[2]) == "--threads";
  if (with_threads) std::from_chars(argv[3], argv[3] + std::strlen(argv[3]), threads);
  if (argc != 2 && (!with_threads || threads == 0)) return fmt::print(stderr, "usage: nullfs DIR [--threads N]\n"), 2;
  return cenote::nullfs::run(argv[1], threads);
}
