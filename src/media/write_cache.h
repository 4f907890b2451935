#pragma once

#include <sys/types.h>

#include <string>

namespace cenote::media {

/// What the kernel knows of the volatile cache of a disk.
enum class WriteCache {
  kUnknown,       ///< Not a disk of this machine: overlay, network, a file system over several disks.
  kWriteThrough,  ///< No volatile cache, or one that survives a loss of power: flushes cost nothing.
  kWriteBack,     ///< Volatile, and a durable write needs a flush of all of it.
  kFua,           ///< Volatile, and single writes can go through it.
  kMemory,        ///< No disk at all: what is written is as durable as it gets.
};

/// Reads /sys/dev/block/MAJOR:MINOR/queue; `sys_root` stands for "/sys". A partition has the cache of its disk.
WriteCache write_cache_of(dev_t disk, const std::string& sys_root = "/sys");

/// Whether a durable write (RWF_DSYNC) costs little more than a plain one. True only where it needs no flush of the
/// whole cache: in memory, and with direct I/O on a disk with a write-through cache or with FUA. Otherwise every
/// durable write pays for a flush, and one flush for a group of plain writes is cheaper:
/// docs/adr/0002-io-uring-files.md has numbers.
inline bool durable_writes_are_cheap(WriteCache cache, bool direct) {
  return cache == WriteCache::kMemory || (direct && (cache == WriteCache::kWriteThrough || cache == WriteCache::kFua));
}

}  // namespace cenote::media
