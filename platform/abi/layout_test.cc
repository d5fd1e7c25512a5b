// Compares with the kernel's own headers. No glibc header may come in: they define other layouts
// under the same names, which is why platform/abi exists.
#include <asm/sembuf.h>
#include <asm/shmbuf.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <linux/eventpoll.h>
#include <linux/inotify.h>
#include <linux/mqueue.h>
#include <linux/msg.h>
#include <linux/openat2.h>
#include <linux/resource.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/signalfd.h>
#include <linux/sysinfo.h>
#include <linux/time_types.h>
#include <linux/timex.h>
#include <linux/un.h>
#include <linux/utsname.h>

#include <cstddef>

#include "platform/abi/file.h"
#include "platform/abi/ipc.h"
#include "platform/abi/poll.h"
#include "platform/abi/socket.h"
#include "platform/abi/stat.h"
#include "platform/abi/task.h"
#include "platform/abi/termios.h"
#include "platform/abi/time.h"

#define SAME_SIZE(ours, theirs) static_assert(sizeof(runsc::abi::ours) == sizeof(theirs), #ours)
#define SAME_AT(ours, field, theirs, their_field)                                     \
  static_assert(offsetof(runsc::abi::ours, field) == offsetof(theirs, their_field) && \
                    sizeof(runsc::abi::ours::field) == sizeof(theirs::their_field),   \
                #ours "." #field)

SAME_SIZE(Stat, struct stat);
SAME_AT(Stat, mode, stat, st_mode);
SAME_AT(Stat, rdev, stat, st_rdev);
SAME_AT(Stat, blocks, stat, st_blocks);
SAME_AT(Stat, ctime_nsec, stat, st_ctime_nsec);
SAME_SIZE(Statfs, struct statfs);
SAME_AT(Statfs, flags, statfs, f_flags);
SAME_SIZE(Termios, struct termios);
SAME_AT(Termios, cc, termios, c_cc);
SAME_SIZE(Termios2, struct termios2);
SAME_AT(Termios2, ospeed, termios2, c_ospeed);
SAME_SIZE(EpollEvent, struct epoll_event);
SAME_AT(EpollEvent, data, epoll_event, data);
SAME_SIZE(InotifyEventHeader, struct inotify_event);
SAME_SIZE(MqAttr, struct mq_attr);
SAME_SIZE(OpenHow, struct open_how);
SAME_SIZE(Rlimit64, struct rlimit64);
SAME_SIZE(Rusage, struct rusage);
SAME_AT(Rusage, nivcsw, rusage, ru_nivcsw);
SAME_AT(Rseq, rseq_cs, rseq, rseq_cs);
SAME_SIZE(RseqCs, struct rseq_cs);
SAME_SIZE(CloneArgs, struct clone_args);
SAME_AT(CloneArgs, cgroup, clone_args, cgroup);
SAME_SIZE(SchedAttr, struct sched_attr);
SAME_SIZE(SignalfdSiginfo, struct signalfd_siginfo);
SAME_AT(SignalfdSiginfo, call_addr, signalfd_siginfo, ssi_call_addr);
SAME_SIZE(Sysinfo, struct sysinfo);
SAME_AT(Sysinfo, mem_unit, sysinfo, mem_unit);
SAME_AT(Sysinfo, totalhigh, sysinfo, totalhigh);
SAME_SIZE(Timespec, struct __kernel_timespec);
SAME_SIZE(Timex, struct __kernel_timex);
SAME_AT(Timex, tai, __kernel_timex, tai);
SAME_SIZE(SockaddrUn, struct sockaddr_un);
SAME_SIZE(Utsname, struct new_utsname);
SAME_SIZE(ShmidDs, struct shmid64_ds);
SAME_AT(ShmidDs, nattch, shmid64_ds, shm_nattch);
SAME_SIZE(SemidDs, struct semid64_ds);
SAME_AT(SemidDs, nsems, semid64_ds, sem_nsems);
SAME_SIZE(MsqidDs, struct msqid64_ds);
SAME_AT(MsqidDs, lrpid, msqid64_ds, msg_lrpid);

int main() { return 0; }
