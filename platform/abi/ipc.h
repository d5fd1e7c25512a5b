#ifndef PLATFORM_ABI_IPC_H_
#define PLATFORM_ABI_IPC_H_

#include <cstdint>

// Kernel layouts of System V IPC and POSIX message queues on x86-64.

namespace runsc::abi {

struct IpcPerm {
  int32_t key;
  uint32_t uid, gid, cuid, cgid, mode;
  uint16_t seq, pad0;
  uint32_t pad1;
  uint64_t unused[2];
};

struct ShmidDs {
  IpcPerm perm;
  uint64_t segsz;
  int64_t atime, dtime, ctime;
  int32_t cpid, lpid;
  uint64_t nattch, unused[2];
};

struct SemidDs {
  IpcPerm perm;
  int64_t otime, unused0, ctime, unused1;
  uint64_t nsems, unused2[2];
};

struct MsqidDs {
  IpcPerm perm;
  int64_t stime, rtime, ctime;
  uint64_t cbytes, qnum, qbytes;
  int32_t lspid, lrpid;
  uint64_t unused[2];
};

struct Sembuf {
  uint16_t num;
  int16_t op;
  int16_t flg;
};

struct MqAttr {
  int64_t flags, maxmsg, msgsize, curmsgs;
  int64_t reserved[4];
};

static_assert(sizeof(IpcPerm) == 48 && sizeof(ShmidDs) == 112 && sizeof(SemidDs) == 104);
static_assert(sizeof(MsqidDs) == 120 && sizeof(MqAttr) == 64 && sizeof(Sembuf) == 6);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_IPC_H_
