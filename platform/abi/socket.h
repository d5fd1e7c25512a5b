#ifndef PLATFORM_ABI_SOCKET_H_
#define PLATFORM_ABI_SOCKET_H_

#include <cstdint>

// Kernel layouts of socket calls on x86-64 (include/linux/socket.h).

namespace runsc::abi {

struct MsgHdr {
  uint64_t name;
  int32_t namelen;
  uint32_t pad0;
  uint64_t iov;
  uint64_t iovlen;
  uint64_t control;
  uint64_t controllen;
  uint32_t flags;
  uint32_t pad1;
};

// recvmmsg(2), sendmmsg(2)
struct MmsgHdr {
  MsgHdr hdr;
  uint32_t len;
  uint32_t pad;
};

struct CmsgHdr {
  uint64_t len;  // with this header
  int32_t level;
  int32_t type;
};
// Control messages begin at multiples of this.
inline constexpr uint64_t CmsgAlign(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

struct SockaddrUn {
  uint16_t family;
  char path[108];
};

struct Ucred {
  int32_t pid;
  uint32_t uid;
  uint32_t gid;
};

struct Linger {
  int32_t onoff;
  int32_t seconds;
};

static_assert(sizeof(MsgHdr) == 56 && sizeof(MmsgHdr) == 64 && sizeof(CmsgHdr) == 16);
static_assert(sizeof(SockaddrUn) == 110);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_SOCKET_H_
