// Calls that few programs make: old forms, and those newer than glibc's wrappers.
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr long kFutexWake = 454, kFutexWait = 455, kFutexRequeue = 456, kFutexWaitv = 449;
constexpr long kFchmodat2 = 452, kMseal = 462;
constexpr unsigned kSize32 = 2, kPrivate = 128;

struct WaitEntry {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

TEST(OldCallTest, Getdents) {
  TempDir dir;
  PutFile(dir / "name", "");
  Fd fd(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY));
  char buf[1024];
  long n = Raw(SYS_getdents, fd.get(), buf, sizeof buf);
  ASSERT_GT(n, 0);
  EXPECT_NE(std::string(buf, n).find("name"), std::string::npos);
  EXPECT_THAT(Raw(SYS_getdents, fd.get(), buf, sizeof buf), SyscallSucceedsWithValue(0));
  EXPECT_THAT(Raw(SYS_getdents, -1, buf, sizeof buf), SyscallFailsWithErrno(EBADF));
}

TEST(OldCallTest, Ustat) {
  struct stat st;
  ASSERT_THAT(stat("/proc", &st), SyscallSucceeds());
  char buf[64] = {};
  EXPECT_THAT(Raw(SYS_ustat, st.st_dev, buf), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_ustat, makedev(250, 99), buf), SyscallFailsWithErrno(EINVAL));
}

TEST(OldCallTest, Futimesat) {
  TempDir dir;
  PutFile(dir / "f", "");
  timeval times[2] = {{1000, 5}, {2000, 6}};
  ASSERT_THAT(Raw(SYS_futimesat, AT_FDCWD, (dir / "f").c_str(), times), SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(stat((dir / "f").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mtim.tv_sec, 2000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 6000);
  times[0].tv_usec = 1000000;
  EXPECT_THAT(Raw(SYS_futimesat, AT_FDCWD, (dir / "f").c_str(), times),
              SyscallFailsWithErrno(EINVAL));
}

TEST(OldCallTest, RemapFilePages) {
  auto* p = static_cast<char*>(
      mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (int i = 0; i < 3; i++) p[i * 4096] = static_cast<char>('a' + i);
  ASSERT_THAT(Raw(SYS_remap_file_pages, p, 4096, 0, 2, 0), SyscallSucceeds());
  EXPECT_EQ(p[0], 'c');
  EXPECT_THAT(Raw(SYS_remap_file_pages, p, 4096, PROT_READ, 1, 0), SyscallFailsWithErrno(EINVAL));
  munmap(p, 3 * 4096);
}

TEST(OldCallTest, SyslogReadsTheBootMessages) {
  int size = klogctl(10 /* SIZE_BUFFER */, nullptr, 0);
  EXPECT_GT(size, 0);
  std::string text(4096, 0);
  EXPECT_GT(klogctl(3 /* READ_ALL */, text.data(), 4096), 0);
  EXPECT_THAT(klogctl(99, nullptr, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(OldCallTest, RebootNeedsPrivilege) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(reboot(RB_DISABLE_CAD) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(LinkXattrTest, OfLinksAndFiles) {
  TempDir dir;
  PutFile(dir / "f", "");
  std::string file = dir / "f";
  char buf[64];
  ASSERT_THAT(lsetxattr(file.c_str(), "user.l", "v", 1, 0), SyscallSucceeds());
  EXPECT_THAT(lgetxattr(file.c_str(), "user.l", buf, sizeof buf), SyscallSucceedsWithValue(1));
  EXPECT_GT(llistxattr(file.c_str(), buf, sizeof buf), 0);
  EXPECT_THAT(lremovexattr(file.c_str(), "user.l"), SyscallSucceeds());
  EXPECT_THAT(lremovexattr(file.c_str(), "user.l"), SyscallFailsWithErrno(ENODATA));
  ASSERT_THAT(symlink("f", (dir / "link").c_str()), SyscallSucceeds());
  EXPECT_THAT(lgetxattr((dir / "link").c_str(), "user.l", buf, sizeof buf),
              SyscallFailsWithErrno(ENODATA));
}

TEST(GroupTest, Setregid) {
  EXPECT_CHILD_OK([] {
    gid_t r, e, s;
    CHECK_OR_DIE(setregid(5, 6) == 0 && getresgid(&r, &e, &s) == 0);
    CHECK_OR_DIE(r == 5 && e == 6 && s == 6 && getegid() == 6 && getgid() == 5);
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(setregid(-1, 7) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(QueueInfoTest, ThreadGroupForm) {
  ScopedBlock block(SIGUSR1);
  siginfo_t info = {};
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = 99;
  pid_t tid = static_cast<pid_t>(Raw(SYS_gettid));
  ASSERT_THAT(Raw(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGUSR1, &info), SyscallSucceeds());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  siginfo_t got;
  EXPECT_EQ(sigwaitinfo(&set, &got), SIGUSR1);
  EXPECT_EQ(got.si_value.sival_int, 99);
  EXPECT_THAT(Raw(SYS_rt_tgsigqueueinfo, getpid(), 0x3fffffff, SIGUSR1, &info),
              SyscallFailsWithErrno(ESRCH));
}

struct SchedAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

TEST(SchedAttrTest, GetSetAndErrors) {
  SchedAttr attr = {};
  ASSERT_THAT(Raw(SYS_sched_getattr, 0, &attr, sizeof attr, 0), SyscallSucceeds());
  EXPECT_EQ(attr.policy, unsigned{SCHED_OTHER});
  EXPECT_EQ(attr.size, sizeof attr);
  EXPECT_THAT(Raw(SYS_sched_getattr, 0, &attr, 8, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_sched_getattr, 0x3fffffff, &attr, sizeof attr, 0),
              SyscallFailsWithErrno(ESRCH));
  EXPECT_CHILD_OK([&] {
    SchedAttr set = {};
    set.size = sizeof set;
    set.nice = 7;
    CHECK_OR_DIE(Raw(SYS_sched_setattr, 0, &set, 0) == 0);
    CHECK_OR_DIE(Raw(SYS_sched_getattr, 0, &set, sizeof set, 0) == 0 && set.nice == 7);
    set.policy = 77;
    CHECK_OR_DIE(Raw(SYS_sched_setattr, 0, &set, 0) == -1 && errno == EINVAL);
    sched_param param = {};
    CHECK_OR_DIE(sched_setparam(0, &param) == 0);
    param.sched_priority = 3;
    CHECK_OR_DIE(sched_setparam(0, &param) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(IoprioTest, GetSet) {
  EXPECT_CHILD_OK([] {
    int value = 2 << 13 | 3;  // Best effort, level 3.
    CHECK_OR_DIE(Raw(SYS_ioprio_set, 1, 0, value) == 0);
    CHECK_OR_DIE(Raw(SYS_ioprio_get, 1, 0) == value);
    CHECK_OR_DIE(Raw(SYS_ioprio_set, 1, 0, 7 << 13) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_ioprio_get, 9, 0) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(KcmpTest, FilesAndMemory) {
  Fd a(open("/dev/null", O_RDONLY)), b(open("/dev/null", O_RDONLY)), c(dup(a.get()));
  pid_t me = getpid();
  EXPECT_THAT(Raw(SYS_kcmp, me, me, KCMP_FILE, a.get(), c.get()), SyscallSucceedsWithValue(0));
  long order = Raw(SYS_kcmp, me, me, KCMP_FILE, a.get(), b.get());
  EXPECT_TRUE(order == 1 || order == 2) << order;
  EXPECT_THAT(Raw(SYS_kcmp, me, me, KCMP_VM, 0, 0), SyscallSucceedsWithValue(0));
  EXPECT_THAT(Raw(SYS_kcmp, me, me, KCMP_FILE, a.get(), 9999), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Raw(SYS_kcmp, me, 0x3fffffff, KCMP_VM, 0, 0), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(Raw(SYS_kcmp, me, me, 99, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_kcmp, me, me, KCMP_IO, 0, 0), SyscallSucceedsWithValue(0));
  EXPECT_THAT(Raw(SYS_kcmp, me, me, KCMP_SYSVSEM, 0, 0), SyscallSucceedsWithValue(0));
}

TEST(KcmpTest, NeedsPermissionOverBoth) {
  pid_t root = getpid();
  EXPECT_CHILD_OK([root] {
    CHECK_OR_DIE(setresgid(1234, 1234, 1234) == 0 && setresuid(1234, 1234, 1234) == 0);
    CHECK_OR_DIE(Raw(SYS_kcmp, getpid(), root, KCMP_VM, 0, 0) == -1 && errno == EPERM);
    CHECK_OR_DIE(Raw(SYS_kcmp, root, getpid(), KCMP_VM, 0, 0) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(Fchmodat2Test, EmptyPathAndErrors) {
  TempDir dir;
  PutFile(dir / "f", "");
  Fd fd(open((dir / "f").c_str(), O_PATH));
  ASSERT_THAT(Raw(kFchmodat2, fd.get(), "", 0601, AT_EMPTY_PATH), SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mode & 0777, 0601u);
  EXPECT_THAT(Raw(kFchmodat2, fd.get(), "", 0600, 1 << 20), SyscallFailsWithErrno(EINVAL));
  ASSERT_THAT(symlink("f", (dir / "l").c_str()), SyscallSucceeds());
  EXPECT_THAT(Raw(kFchmodat2, AT_FDCWD, (dir / "l").c_str(), 0600, AT_SYMLINK_NOFOLLOW),
              SyscallFailsWithErrno(EOPNOTSUPP));
}

TEST(Futex2Test, WaitAndWake) {
  std::atomic<uint32_t> word{0};
  std::atomic<bool> started{false};
  std::thread waiter([&] {
    started = true;
    CHECK_OR_DIE(Raw(kFutexWait, &word, 0, 0xffffffffUL, kSize32 | kPrivate, nullptr, 0) == 0);
  });
  while (!started) SleepMs(1);
  while (Raw(kFutexWake, &word, 0xffffffffUL, 1, kSize32 | kPrivate) == 0) SleepMs(1);
  waiter.join();
  EXPECT_THAT(Raw(kFutexWait, &word, 1, 0xffffffffUL, kSize32, nullptr, 0), SyscallFailsWithErrno(EAGAIN));
  EXPECT_THAT(Raw(kFutexWake, &word, 0xffffffffUL, 1, 77), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(kFutexWait, &word, 0, 0UL, kSize32, nullptr, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(Futex2Test, Waitv) {
  std::atomic<uint32_t> words[2] = {};
  WaitEntry entries[2] = {};
  for (int i = 0; i < 2; i++) {
    entries[i].address = reinterpret_cast<uint64_t>(&words[i]);
    entries[i].flags = kSize32 | kPrivate;
  }
  std::atomic<bool> started{false};
  long result = -1;
  std::thread waiter([&] {
    started = true;
    result = Raw(kFutexWaitv, entries, 2, 0, nullptr, 0);
  });
  while (!started) SleepMs(1);
  while (Raw(SYS_futex, &words[1], FUTEX_WAKE_PRIVATE, 1) == 0) SleepMs(1);
  waiter.join();
  EXPECT_EQ(result, 1);
  int64_t at = NowNs() + 5000000;
  timespec t = {at / 1000000000, at % 1000000000};
  EXPECT_THAT(Raw(kFutexWaitv, entries, 2, 0, &t, CLOCK_MONOTONIC),
              SyscallFailsWithErrno(ETIMEDOUT));
  entries[0].value = 5;
  EXPECT_THAT(Raw(kFutexWaitv, entries, 2, 0, nullptr, 0), SyscallFailsWithErrno(EAGAIN));
  EXPECT_THAT(Raw(kFutexWaitv, entries, 129, 0, nullptr, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(kFutexWaitv, entries, 2, 1, nullptr, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(Futex2Test, Requeue) {
  std::atomic<uint32_t> words[2] = {};
  WaitEntry entries[2] = {};
  for (int i = 0; i < 2; i++) {
    entries[i].address = reinterpret_cast<uint64_t>(&words[i]);
    entries[i].flags = kSize32 | kPrivate;
  }
  std::atomic<bool> started{false};
  std::thread waiter([&] {
    started = true;
    Raw(kFutexWait, &words[0], 0, 0xffffffffUL, kSize32 | kPrivate, nullptr, 0);
  });
  while (!started) SleepMs(1);
  while (Raw(kFutexRequeue, entries, 0, 0, 1) == 0) SleepMs(1);
  EXPECT_THAT(Raw(kFutexWake, &words[0], 0xffffffffUL, 1, kSize32 | kPrivate), SyscallSucceedsWithValue(0));
  EXPECT_THAT(Raw(kFutexWake, &words[1], 0xffffffffUL, 1, kSize32 | kPrivate), SyscallSucceedsWithValue(1));
  waiter.join();
  entries[0].value = 1;
  EXPECT_THAT(Raw(kFutexRequeue, entries, 0, 0, 1), SyscallFailsWithErrno(EAGAIN));
}

TEST(MsealTest, SealedMemoryStays) {
  EXPECT_CHILD_OK([] {
    auto* p = static_cast<char*>(
        mmap(nullptr, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK_OR_DIE(Raw(kMseal, p, 4096, 0) == 0);
    CHECK_OR_DIE(munmap(p, 4096) == -1 && errno == EPERM);
    CHECK_OR_DIE(mprotect(p, 4096, PROT_READ) == -1 && errno == EPERM);
    CHECK_OR_DIE(mremap(p, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED && errno == EPERM);
    CHECK_OR_DIE(munmap(p + 4096, 4096) == 0);
    p[0] = 1;
    CHECK_OR_DIE(Raw(kMseal, p, 4096, 1) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(kMseal, p + 4096, 4096, 0) == -1 && errno == ENOMEM);
    return 0;
  });
}

TEST(ProcessMadviseTest, OnItself) {
  auto* p = static_cast<char*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  p[0] = 1;
  Fd self(Raw(SYS_pidfd_open, getpid(), 0));
  iovec v = {p, 4096};
  EXPECT_THAT(Raw(SYS_process_madvise, self.get(), &v, 1, MADV_COLD, 0),
              SyscallSucceedsWithValue(4096));
  EXPECT_THAT(Raw(SYS_process_madvise, self.get(), &v, 1, MADV_COLD, 1),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_process_madvise, -1, &v, 1, MADV_COLD, 0), SyscallFailsWithErrno(EBADF));
  munmap(p, 4096);
}

TEST(PolicyTest, DefaultMemoryPolicy) {
  int mode = 99;
  EXPECT_THAT(Raw(SYS_get_mempolicy, &mode, nullptr, 0, nullptr, 0), SyscallSucceeds());
  EXPECT_EQ(mode, MPOL_DEFAULT);
  EXPECT_THAT(Raw(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_set_mempolicy, 99, nullptr, 0), SyscallFailsWithErrno(EINVAL));
  void* p = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_THAT(Raw(SYS_mbind, p, 4096, MPOL_DEFAULT, nullptr, 0, 0), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_mbind, p, 4096, 99, nullptr, 0, 0), SyscallFailsWithErrno(EINVAL));
  munmap(p, 4096);
}

TEST(PkeyTest, AllocateOrSaySo) {
  long key = Raw(SYS_pkey_alloc, 0, 0);
  if (key >= 0) {
    EXPECT_THAT(Raw(SYS_pkey_free, key), SyscallSucceeds());
  } else {
    EXPECT_TRUE(errno == ENOSPC || errno == EINVAL) << errno;  // A CPU without keys.
  }
  EXPECT_THAT(Raw(SYS_pkey_alloc, 1, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_pkey_free, 99), SyscallFailsWithErrno(EINVAL));
  void* p = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_THAT(Raw(SYS_pkey_mprotect, p, 4096, PROT_READ | PROT_WRITE, -1), SyscallSucceeds());
  *static_cast<char*>(p) = 1;
  munmap(p, 4096);
}

TEST(ClockAdjtimeTest, ReadsAndRefuses) {
  timex t = {};
  EXPECT_GE(Raw(SYS_clock_adjtime, CLOCK_REALTIME, &t), 0);
  EXPECT_THAT(Raw(SYS_clock_adjtime, 99, &t), SyscallFailsWithErrno(EINVAL));
}

TEST(NamespaceTest, SetnsErrors) {
  Fd null(open("/dev/null", O_RDONLY));
  EXPECT_THAT(Raw(SYS_setns, null.get(), 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_setns, -1, 0), SyscallFailsWithErrno(EBADF));
}

TEST(PivotRootTest, Errors) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(Raw(SYS_pivot_root, "/none", "/none") == -1 && errno == ENOENT);
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(Raw(SYS_pivot_root, "/", "/") == -1 && errno == EPERM);
    return 0;
  });
}

TEST(HandleTest, BadArguments) {
  struct {
    unsigned bytes;
    int type;
    char data[128];
  } handle = {200, 0, {}};
  int mount_id;
  EXPECT_THAT(Raw(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount_id, 0),
              SyscallFailsWithErrno(EINVAL));
}

TEST(MknodatTest, BelowADescriptorAndErrors) {
  TempDir dir;
  Fd fd(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY));
  struct stat st;
  EXPECT_THAT(mknodat(fd.get(), "fifo", S_IFIFO | 0640, 0), SyscallSucceeds());
  ASSERT_THAT(fstatat(fd.get(), "fifo", &st, 0), SyscallSucceeds());
  EXPECT_EQ(st.st_mode & S_IFMT, static_cast<mode_t>(S_IFIFO));
  EXPECT_THAT(mknodat(fd.get(), "fifo", S_IFREG, 0), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(mknodat(fd.get(), "x", S_IFDIR, 0), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(mknodat(fd.get(), "x", 0170000, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mknodat(-1, "x", S_IFREG, 0), SyscallFailsWithErrno(EBADF));
  Fd file(open((dir / "fifo").c_str(), O_PATH));
  EXPECT_THAT(mknodat(file.get(), "x", S_IFREG, 0), SyscallFailsWithErrno(ENOTDIR));
}

TEST(SyncTest, AlwaysSucceeds) { EXPECT_THAT(Raw(SYS_sync), SyscallSucceeds()); }

TEST(RseqTest, RegisteredOrSaidNot) {
  // The C library may have registered its own.
  EXPECT_EQ(Raw(SYS_rseq, nullptr, 1, 0, 0), -1);
  EXPECT_TRUE(errno == EINVAL || errno == EBUSY || errno == ENOSYS) << errno;
}

}  // namespace
