#ifndef PLATFORM_ABI_STAT_H_
#define PLATFORM_ABI_STAT_H_

#include <cstdint>

// Kernel layouts of stat(2), statx(2), statfs(2) and getdents(2) on x86-64.

namespace runsc::abi {

// struct stat of arch/x86/include/uapi/asm/stat.h
struct Stat {
  uint64_t dev, ino, nlink;
  uint32_t mode, uid, gid, pad0;
  uint64_t rdev;
  int64_t size, blksize, blocks;  // blocks of 512 bytes
  uint64_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
  int64_t unused[3];
};

struct StatxTimestamp {
  int64_t sec;
  uint32_t nsec;
  int32_t reserved;
};

// struct statx of include/uapi/linux/stat.h; the mask and attribute bits are STATX_* there.
struct Statx {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, pad0;
  uint64_t ino, size, blocks, attributes_mask;
  StatxTimestamp atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t mnt_id;
  uint32_t dio_mem_align, dio_offset_align;
  uint64_t subvol;
  uint32_t atomic_write_unit_min, atomic_write_unit_max, atomic_write_segments_max;
  uint32_t dio_read_offset_align, atomic_write_unit_max_opt, pad1;
  uint64_t spare[8];
};

struct Statfs {
  int64_t type, bsize;
  uint64_t blocks, bfree, bavail, files, ffree;
  int32_t fsid[2];
  int64_t namelen, frsize, flags;
  int64_t spare[4];
};

// What precedes the name in getdents64(2); the name is NUL-terminated, reclen a multiple of 8.
struct [[gnu::packed]] Dirent64Header {
  uint64_t ino;
  int64_t off;
  uint16_t reclen;
  uint8_t type;  // DT_*
};

// The same of getdents(2); the type is the last byte of the record.
struct [[gnu::packed]] DirentHeader {
  uint64_t ino;
  uint64_t off;
  uint16_t reclen;
};

// A device number in stat's and mknod's encoding (new_encode_dev, huge in stat).
inline constexpr uint64_t EncodeDev(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | (uint64_t{major} & 0xfff) << 8 | (uint64_t{minor} & ~uint64_t{0xff}) << 12;
}

static_assert(sizeof(Stat) == 144 && sizeof(Statx) == 256 && sizeof(Statfs) == 120);
static_assert(sizeof(Dirent64Header) == 19 && sizeof(DirentHeader) == 18);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_STAT_H_
