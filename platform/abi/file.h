#ifndef PLATFORM_ABI_FILE_H_
#define PLATFORM_ABI_FILE_H_

#include <cstdint>

// Kernel layouts of arguments of file system calls on x86-64.

namespace runsc::abi {

struct Iovec {
  uint64_t base;
  uint64_t len;
};

// openat2(2), version 0
struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

// fcntl(2) locks
struct Flock {
  int16_t type;    // F_RDLCK...
  int16_t whence;  // SEEK_*
  int32_t pad0;
  int64_t start;
  int64_t len;
  int32_t pid;
  int32_t pad1;
};

// fcntl(2) F_SETOWN_EX
struct FOwnerEx {
  int32_t type;
  int32_t pid;
};

// What precedes the handle bytes in name_to_handle_at(2).
struct FileHandleHeader {
  uint32_t handle_bytes;
  int32_t handle_type;
};

// What precedes the name in inotify(7) events; len counts the name with its padding.
struct InotifyEventHeader {
  int32_t wd;
  uint32_t mask;
  uint32_t cookie;
  uint32_t len;
};

// read(2) from a signalfd
struct SignalfdSiginfo {
  uint32_t signo;
  int32_t err, code;
  uint32_t pid, uid;
  int32_t fd;
  uint32_t tid, band, overrun, trapno;
  int32_t status, ival;
  uint64_t ptr, utime, stime, addr;
  uint16_t addr_lsb, pad0;
  int32_t syscall;
  uint64_t call_addr;
  uint32_t arch;
  uint8_t pad1[28];
};

static_assert(sizeof(Flock) == 32 && sizeof(SignalfdSiginfo) == 128 && sizeof(OpenHow) == 24);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_FILE_H_
