// mmap, munmap, mprotect, mremap, brk, madvise, msync, mincore, mlock, memfd.
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr size_t kPage = 4096;
constexpr int kRw = PROT_READ | PROT_WRITE;

class MmapTest : public testing::Test {
 protected:
  ~MmapTest() override {
    for (auto [p, n] : maps_) munmap(p, n);
  }
  char* Map(size_t length, int prot = kRw, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1,
            off_t offset = 0, void* at = nullptr) {
    void* p = mmap(at, length, prot, flags, fd, offset);
    if (p != MAP_FAILED) maps_.push_back({p, length});
    return static_cast<char*>(p);
  }
  // For EXPECT_THAT, which would print a char* as a string.
  template <typename... Args>
  void* TryMap(Args... args) {
    return Map(args...);
  }
  std::vector<std::pair<void*, size_t>> maps_;
};

// Ends by this signal when `body` runs in a child.
int SignalOf(const std::function<void()>& body) {
  int status = InChild([&] {
    rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    body();
    return 0;
  });
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_F(MmapTest, AnonymousIsZero) {
  char* p = Map(10 * kPage);
  ASSERT_NE(p, MAP_FAILED);
  for (size_t i = 0; i < 10 * kPage; i += 512) EXPECT_EQ(p[i], 0);
  p[0] = 1;
  p[10 * kPage - 1] = 2;
}

TEST_F(MmapTest, Errors) {
  EXPECT_THAT(TryMap(0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(TryMap(kPage, kRw, MAP_ANONYMOUS), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(TryMap(kPage, kRw, MAP_PRIVATE, -1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(TryMap(kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
                     reinterpret_cast<void*>(0x10000001)),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(TryMap(SIZE_MAX), SyscallFailsWithErrno(ENOMEM));
  EXPECT_THAT(TryMap(1ULL << 50), SyscallFailsWithErrno(ENOMEM));
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_THAT(TryMap(kPage, PROT_READ, MAP_PRIVATE, p[0]), SyscallFailsWithErrno(ENODEV));
  close(p[0]);
  close(p[1]);
}

TEST_F(MmapTest, FileProtection) {
  TempDir dir;
  PutFile(dir / "f", "data");
  Fd ro(open((dir / "f").c_str(), O_RDONLY)), wo(open((dir / "f").c_str(), O_WRONLY));
  EXPECT_THAT(TryMap(kPage, kRw, MAP_SHARED, ro.get()), SyscallFailsWithErrno(EACCES));
  EXPECT_THAT(TryMap(kPage, PROT_READ, MAP_SHARED, wo.get()), SyscallFailsWithErrno(EACCES));
  EXPECT_NE(Map(kPage, kRw, MAP_PRIVATE, ro.get()), MAP_FAILED);
  EXPECT_THAT(TryMap(kPage, PROT_READ, MAP_PRIVATE, ro.get(), 5), SyscallFailsWithErrno(EINVAL));
}

TEST_F(MmapTest, PrivateFileCopiesOnWrite) {
  TempDir dir;
  PutFile(dir / "f", "original");
  Fd fd(open((dir / "f").c_str(), O_RDWR));
  char* p = Map(kPage, kRw, MAP_PRIVATE, fd.get());
  ASSERT_NE(p, MAP_FAILED);
  EXPECT_EQ(memcmp(p, "original", 8), 0);
  EXPECT_EQ(p[8], 0);
  p[0] = 'X';
  EXPECT_EQ(GetFile(dir / "f"), "original");
}

TEST_F(MmapTest, SharedFileIsTheFile) {
  TempDir dir;
  PutFile(dir / "f", "original");
  Fd fd(open((dir / "f").c_str(), O_RDWR));
  char* p = Map(kPage, kRw, MAP_SHARED, fd.get());
  ASSERT_NE(p, MAP_FAILED);
  p[0] = 'X';
  EXPECT_EQ(GetFile(dir / "f"), "Xriginal");
  ASSERT_THAT(pwrite(fd.get(), "YZ", 2, 1), SyscallSucceedsWithValue(2));
  EXPECT_EQ(memcmp(p, "XYZ", 3), 0);
  p[100] = 'q';
  EXPECT_EQ(GetFile(dir / "f").size(), 8u);
  EXPECT_THAT(msync(p, kPage, MS_SYNC), SyscallSucceeds());
}

TEST_F(MmapTest, SharedFileBetweenProcesses) {
  TempDir dir;
  PutFile(dir / "f", std::string(kPage, 'a'));
  Fd fd(open((dir / "f").c_str(), O_RDWR));
  char* p = Map(kPage, kRw, MAP_SHARED, fd.get());
  EXPECT_CHILD_OK([&] {
    Fd mine(open((dir / "f").c_str(), O_RDWR));
    char* q = static_cast<char*>(mmap(nullptr, kPage, kRw, MAP_SHARED, mine.get(), 0));
    CHECK_OR_DIE(q[0] == 'a');
    q[0] = 'b';
    p[1] = 'c';
    return 0;
  });
  EXPECT_EQ(p[0], 'b');
  EXPECT_EQ(p[1], 'c');
}

TEST_F(MmapTest, BeyondEndOfFileIsSigbus) {
  TempDir dir;
  PutFile(dir / "f", "x");
  Fd fd(open((dir / "f").c_str(), O_RDWR));
  volatile char* p = Map(3 * kPage, kRw, MAP_SHARED, fd.get());
  EXPECT_EQ(SignalOf([&] { p[kPage] = 1; }), SIGBUS);
  EXPECT_EQ(SignalOf([&] { p[kPage - 1] = 1; }), 0);
  ASSERT_THAT(ftruncate(fd.get(), 2 * kPage), SyscallSucceeds());
  EXPECT_EQ(SignalOf([&] { p[kPage] = 1; }), 0);
  ASSERT_THAT(ftruncate(fd.get(), 1), SyscallSucceeds());
  EXPECT_EQ(SignalOf([&] { p[kPage] = 1; }), SIGBUS);
}

TEST_F(MmapTest, SharedAnonymousAcrossFork) {
  char* p = Map(kPage, kRw, MAP_SHARED | MAP_ANONYMOUS);
  EXPECT_CHILD_OK([&] {
    p[0] = 42;
    return 0;
  });
  EXPECT_EQ(p[0], 42);
}

TEST_F(MmapTest, CopyOnWriteAcrossFork) {
  char* p = Map(64 * kPage);
  for (int i = 0; i < 64; i++) p[i * kPage] = static_cast<char>(i);
  int pipe1[2], pipe2[2];
  ASSERT_THAT(pipe(pipe1), SyscallSucceeds());
  ASSERT_THAT(pipe(pipe2), SyscallSucceeds());
  pid_t child = StartChild([&] {
    char c;
    p[5 * kPage] = 100;
    CHECK_OR_DIE(write(pipe1[1], "x", 1) == 1 && read(pipe2[0], &c, 1) == 1);
    CHECK_OR_DIE(p[6 * kPage] == 6 && p[5 * kPage] == 100 && p[63 * kPage] == 63);
    return 0;
  });
  char c;
  ASSERT_EQ(read(pipe1[0], &c, 1), 1);
  EXPECT_EQ(p[5 * kPage], 5);
  p[6 * kPage] = 101;
  ASSERT_EQ(write(pipe2[1], "x", 1), 1);
  EXPECT_EQ(WaitFor(child), 0);
  for (int fd : {pipe1[0], pipe1[1], pipe2[0], pipe2[1]}) close(fd);
}

TEST_F(MmapTest, FixedReplaces) {
  char* p = Map(3 * kPage);
  memset(p, 'a', 3 * kPage);
  ASSERT_EQ(mmap(p + kPage, kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p + kPage);
  EXPECT_EQ(p[kPage - 1], 'a');
  EXPECT_EQ(p[kPage], 0);
  EXPECT_EQ(p[2 * kPage], 'a');
}

TEST_F(MmapTest, FixedNoreplace) {
  char* p = Map(3 * kPage);
  EXPECT_THAT(mmap(p + kPage, kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
              SyscallFailsWithErrno(EEXIST));
  ASSERT_THAT(munmap(p + kPage, kPage), SyscallSucceeds());
  EXPECT_EQ(mmap(p + kPage, kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
            p + kPage);
}

TEST_F(MmapTest, HintIsTaken) {
  char* p = Map(2 * kPage);
  munmap(p + kPage, kPage);
  EXPECT_EQ(mmap(p + kPage, kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), p + kPage);
}

TEST_F(MmapTest, PopulateAndNoreserveAndStack) {
  char* p = Map(4 * kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE);
  unsigned char vec[4] = {};
  ASSERT_THAT(mincore(p, 4 * kPage, vec), SyscallSucceeds());
  EXPECT_EQ(vec[0] & vec[1] & vec[2] & vec[3] & 1, 1);
  EXPECT_NE(Map(1ULL << 36, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE), MAP_FAILED);
  EXPECT_NE(Map(kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK), MAP_FAILED);
}

TEST_F(MmapTest, Map32BitIsLow) {
  char* p = Map(kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT);
  ASSERT_NE(p, MAP_FAILED);
  EXPECT_LT(reinterpret_cast<uintptr_t>(p), 1ULL << 31);
}

TEST_F(MmapTest, SharedValidateRefusesUnknownFlags) {
  Fd fd(memfd_create("m", 0));
  EXPECT_THAT(TryMap(kPage, kRw, MAP_SHARED_VALIDATE | (1 << 25), fd.get()),
              SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_NE(TryMap(kPage, kRw, MAP_SHARED | (1 << 25), fd.get()), MAP_FAILED);
}

TEST_F(MmapTest, Munmap) {
  volatile char* p = Map(3 * kPage);
  p[kPage] = 1;
  ASSERT_THAT(munmap(const_cast<char*>(p) + kPage, kPage), SyscallSucceeds());
  EXPECT_EQ(SignalOf([&] { p[kPage] = 1; }), SIGSEGV);
  EXPECT_EQ(SignalOf([&] {
              p[0] = 1;
              p[2 * kPage] = 1;
            }),
            0);
  EXPECT_THAT(munmap(const_cast<char*>(p) + 1, kPage), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(munmap(const_cast<char*>(p), 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(munmap(const_cast<char*>(p) + kPage, kPage), SyscallSucceeds());
}

TEST_F(MmapTest, Mprotect) {
  volatile char* p = Map(3 * kPage);
  p[kPage] = 7;
  char* mid = const_cast<char*>(p) + kPage;
  ASSERT_THAT(mprotect(mid, kPage, PROT_READ), SyscallSucceeds());
  EXPECT_EQ(p[kPage], 7);
  EXPECT_EQ(SignalOf([&] { p[kPage] = 1; }), SIGSEGV);
  ASSERT_THAT(mprotect(mid, kPage, PROT_NONE), SyscallSucceeds());
  EXPECT_EQ(SignalOf([&] { (void)p[kPage]; }), SIGSEGV);
  ASSERT_THAT(mprotect(mid, kPage, kRw), SyscallSucceeds());
  EXPECT_EQ(p[kPage], 7);
  p[kPage] = 8;
}

TEST_F(MmapTest, MprotectErrors) {
  char* p = Map(3 * kPage);
  munmap(p + kPage, kPage);
  EXPECT_THAT(mprotect(p, 3 * kPage, PROT_READ), SyscallFailsWithErrno(ENOMEM));
  EXPECT_THAT(mprotect(p + 1, kPage, PROT_READ), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mprotect(p, kPage, 0x1000), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mprotect(p, 0, PROT_READ), SyscallSucceeds());
  TempDir dir;
  PutFile(dir / "f", "x");
  Fd ro(open((dir / "f").c_str(), O_RDONLY));
  char* q = Map(kPage, PROT_READ, MAP_SHARED, ro.get());
  EXPECT_THAT(mprotect(q, kPage, kRw), SyscallFailsWithErrno(EACCES));
}

TEST_F(MmapTest, ExecutableMemory) {
  char* p = Map(kPage, kRw);
  const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov eax, 42; ret
  memcpy(p, code, sizeof code);
  EXPECT_EQ(SignalOf([&] { reinterpret_cast<int (*)()>(p)(); }), SIGSEGV);
  ASSERT_THAT(mprotect(p, kPage, PROT_READ | PROT_EXEC), SyscallSucceeds());
  EXPECT_EQ(reinterpret_cast<int (*)()>(p)(), 42);
  ASSERT_THAT(mprotect(p, kPage, kRw), SyscallSucceeds());
  p[1] = 43;
  ASSERT_THAT(mprotect(p, kPage, PROT_READ | PROT_EXEC), SyscallSucceeds());
  EXPECT_EQ(reinterpret_cast<int (*)()>(p)(), 43);
}

TEST_F(MmapTest, MremapGrowAndShrink) {
  char* p = static_cast<char*>(mmap(nullptr, 2 * kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memset(p, 'a', 2 * kPage);
  char* q = static_cast<char*>(mremap(p, 2 * kPage, 100 * kPage, MREMAP_MAYMOVE));
  ASSERT_NE(q, MAP_FAILED);
  EXPECT_EQ(q[2 * kPage - 1], 'a');
  EXPECT_EQ(q[2 * kPage], 0);
  q[99 * kPage] = 'z';
  EXPECT_EQ(mremap(q, 100 * kPage, kPage, 0), q);
  EXPECT_EQ(SignalOf([&] { reinterpret_cast<volatile char*>(q)[kPage] = 1; }), SIGSEGV);
  munmap(q, kPage);
}

TEST_F(MmapTest, MremapFixedMovesAndReplaces) {
  char* p = Map(kPage);
  char* target = Map(kPage);
  p[0] = 'p';
  target[0] = 't';
  ASSERT_EQ(mremap(p, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target), target);
  EXPECT_EQ(target[0], 'p');
  EXPECT_EQ(SignalOf([&] { reinterpret_cast<volatile char*>(p)[0] = 1; }), SIGSEGV);
}

TEST_F(MmapTest, MremapDontunmap) {
  char* p = Map(kPage);
  p[0] = 'p';
  char* q = static_cast<char*>(mremap(p, kPage, kPage, MREMAP_MAYMOVE | 4 /* DONTUNMAP */));
  ASSERT_NE(q, MAP_FAILED);
  maps_.push_back({q, kPage});
  EXPECT_EQ(q[0], 'p');
  EXPECT_EQ(p[0], 0);
}

TEST_F(MmapTest, MremapErrors) {
  char* p = Map(3 * kPage);
  Map(kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, p + kPage);
  EXPECT_THAT(mremap(p, kPage, 2 * kPage, 0), SyscallFailsWithErrno(ENOMEM));
  EXPECT_THAT(mremap(p + 1, kPage, kPage, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mremap(p, kPage, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mremap(p, kPage, kPage, MREMAP_FIXED, p), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mremap(p, kPage, kPage, 1 << 20), SyscallFailsWithErrno(EINVAL));
  char* hole = Map(kPage);
  munmap(hole, kPage);
  EXPECT_THAT(mremap(hole, kPage, 2 * kPage, MREMAP_MAYMOVE), SyscallFailsWithErrno(EFAULT));
}

TEST_F(MmapTest, Brk) {
  char* start = reinterpret_cast<char*>(Raw(SYS_brk, 0));
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(Raw(SYS_brk, start + 10 * kPage) == reinterpret_cast<long>(start + 10 * kPage));
    memset(start, 1, 10 * kPage);
    CHECK_OR_DIE(Raw(SYS_brk, start) == reinterpret_cast<long>(start));
    CHECK_OR_DIE(Raw(SYS_brk, start + kPage) == reinterpret_cast<long>(start + kPage));
    CHECK_OR_DIE(Raw(SYS_brk, 8) == reinterpret_cast<long>(start + kPage));
    CHECK_OR_DIE(Raw(SYS_brk, ~0UL) == reinterpret_cast<long>(start + kPage));
    return 0;
  });
}

TEST_F(MmapTest, MadviseDontneed) {
  char* p = Map(2 * kPage);
  memset(p, 'a', 2 * kPage);
  ASSERT_THAT(madvise(p, kPage, MADV_DONTNEED), SyscallSucceeds());
  EXPECT_EQ(p[0], 0);
  EXPECT_EQ(p[kPage], 'a');
  TempDir dir;
  PutFile(dir / "f", "original");
  Fd fd(open((dir / "f").c_str(), O_RDWR));
  char* q = Map(kPage, kRw, MAP_PRIVATE, fd.get());
  q[0] = 'X';
  ASSERT_THAT(madvise(q, kPage, MADV_DONTNEED), SyscallSucceeds());
  EXPECT_EQ(q[0], 'o');
}

TEST_F(MmapTest, MadviseForkFlags) {
  char* p = Map(3 * kPage);
  memset(p, 'a', 3 * kPage);
  ASSERT_THAT(madvise(p, kPage, MADV_WIPEONFORK), SyscallSucceeds());
  ASSERT_THAT(madvise(p + kPage, kPage, MADV_DONTFORK), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(p[0] == 0 && p[2 * kPage] == 'a');
    unsigned char vec;
    CHECK_OR_DIE(mincore(p + kPage, kPage, &vec) == -1 && errno == ENOMEM);
    return 0;
  });
  EXPECT_EQ(p[0], 'a');
  ASSERT_THAT(madvise(p, kPage, MADV_KEEPONFORK), SyscallSucceeds());
  ASSERT_THAT(madvise(p + kPage, kPage, MADV_DOFORK), SyscallSucceeds());
  EXPECT_CHILD_OK([&] { return p[0] == 'a' && p[kPage] == 'a' ? 0 : 1; });
}

TEST_F(MmapTest, MadviseRemovePunchesTheFile) {
  TempDir dir;
  Fd fd(memfd_create("m", 0));
  ASSERT_THAT(ftruncate(fd.get(), 2 * kPage), SyscallSucceeds());
  char* p = Map(2 * kPage, kRw, MAP_SHARED, fd.get());
  memset(p, 'a', 2 * kPage);
  ASSERT_THAT(madvise(p, kPage, MADV_REMOVE), SyscallSucceeds());
  EXPECT_EQ(p[0], 0);
  char c;
  EXPECT_THAT(pread(fd.get(), &c, 1, kPage), SyscallSucceedsWithValue(1));
  EXPECT_EQ(c, 'a');
}

TEST_F(MmapTest, MadviseHintsAndErrors) {
  char* p = Map(2 * kPage);
  for (int advice : {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_FREE,
                     MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_COLD,
                     MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE}) {
    EXPECT_THAT(madvise(p, kPage, advice), SyscallSucceeds()) << advice;
  }
  EXPECT_THAT(madvise(p, kPage, 9999), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(madvise(p + 1, kPage, MADV_NORMAL), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(madvise(p, 0, MADV_DONTNEED), SyscallSucceeds());
  munmap(p + kPage, kPage);
  EXPECT_THAT(madvise(p, 2 * kPage, MADV_DONTNEED), SyscallFailsWithErrno(ENOMEM));
}

TEST_F(MmapTest, Msync) {
  char* p = Map(2 * kPage);
  EXPECT_THAT(msync(p, kPage, MS_ASYNC), SyscallSucceeds());
  EXPECT_THAT(msync(p, kPage, MS_SYNC | MS_ASYNC), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(msync(p + 1, kPage, MS_SYNC), SyscallFailsWithErrno(EINVAL));
  munmap(p + kPage, kPage);
  EXPECT_THAT(msync(p, 2 * kPage, MS_SYNC), SyscallFailsWithErrno(ENOMEM));
}

TEST_F(MmapTest, Mincore) {
  char* p = Map(2 * kPage);
  unsigned char vec[2] = {};
  p[0] = 1;
  ASSERT_THAT(mincore(p, 2 * kPage, vec), SyscallSucceeds());
  EXPECT_EQ(vec[0] & 1, 1);
  EXPECT_THAT(mincore(p + 1, kPage, vec), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mincore(p, kPage, reinterpret_cast<unsigned char*>(8)),
              SyscallFailsWithErrno(EFAULT));
  munmap(p + kPage, kPage);
  EXPECT_THAT(mincore(p, 2 * kPage, vec), SyscallFailsWithErrno(ENOMEM));
}

TEST_F(MmapTest, MlockFamily) {
  char* p = Map(2 * kPage);
  EXPECT_THAT(mlock(p, kPage), SyscallSucceeds());
  EXPECT_THAT(munlock(p, kPage), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_mlock2, p, kPage, 1), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_mlock2, p, kPage, 99), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(mlockall(99), SyscallFailsWithErrno(EINVAL));
  EXPECT_CHILD_OK([] { return mlockall(MCL_CURRENT | MCL_FUTURE) | munlockall(); });
  munmap(p + kPage, kPage);
  EXPECT_THAT(mlock(p, 2 * kPage), SyscallFailsWithErrno(ENOMEM));
  EXPECT_CHILD_OK([&] {
    rlimit limit = {kPage, kPage};
    CHECK_OR_DIE(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    char* q = static_cast<char*>(mmap(nullptr, 2 * kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK_OR_DIE(munlockall() == 0);
    CHECK_OR_DIE(mlock(q, 2 * kPage) == -1 && errno == ENOMEM);
    CHECK_OR_DIE(mlock(q, kPage) == 0);
    return 0;
  });
}

TEST_F(MmapTest, MemfdSeals) {
  Fd fd(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_TRUE(fd.valid());
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  ASSERT_THAT(ftruncate(fd.get(), 10), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd.get(), F_GET_SEALS), SyscallSucceedsWithValue(0));
  ASSERT_THAT(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), SyscallSucceeds());
  EXPECT_THAT(ftruncate(fd.get(), 5), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(ftruncate(fd.get(), 20), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(pwrite(fd.get(), "x", 1, 10), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(pwrite(fd.get(), "x", 1, 0), SyscallSucceedsWithValue(1));
  char* p = Map(kPage, kRw, MAP_SHARED, fd.get());
  EXPECT_THAT(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), SyscallFailsWithErrno(EBUSY));
  munmap(p, kPage);
  ASSERT_THAT(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), SyscallSucceeds());
  EXPECT_THAT(write(fd.get(), "x", 1), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(TryMap(kPage, kRw, MAP_SHARED, fd.get()), SyscallFailsWithErrno(EPERM));
  ASSERT_THAT(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK), SyscallFailsWithErrno(EPERM));
}

TEST_F(MmapTest, MemfdErrorsAndName) {
  EXPECT_THAT(memfd_create("x", 1 << 20), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(memfd_create(std::string(250, 'x').c_str(), 0), SyscallFailsWithErrno(EINVAL));
  Fd fd(memfd_create("hello", 0));
  char link[64] = {};
  ASSERT_THAT(readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), link, 63),
              SyscallSucceeds());
  EXPECT_STREQ(link, "/memfd:hello (deleted)");
  EXPECT_THAT(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_GROW), SyscallFailsWithErrno(EPERM));
}

TEST_F(MmapTest, AddressSpaceLimit) {
  EXPECT_CHILD_OK([] {
    rlimit limit = {1 << 28, 1 << 28};
    CHECK_OR_DIE(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK_OR_DIE(mmap(nullptr, 1 << 29, kRw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK_OR_DIE(errno == ENOMEM);
    CHECK_OR_DIE(mmap(nullptr, 1 << 20, kRw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    return 0;
  });
}

TEST_F(MmapTest, DataLimitStopsBrk) {
  EXPECT_CHILD_OK([] {
    rlimit limit = {1 << 22, 1 << 22};
    CHECK_OR_DIE(setrlimit(RLIMIT_DATA, &limit) == 0);
    long start = Raw(SYS_brk, 0);
    CHECK_OR_DIE(Raw(SYS_brk, start + (1 << 23)) == start);
    return 0;
  });
}

TEST_F(MmapTest, ManyMappings) {
  constexpr int kCount = 2000;
  char* p = Map(2 * kCount * kPage, PROT_NONE);
  for (int i = 0; i < kCount; i++) {
    ASSERT_THAT(mprotect(p + 2 * i * kPage, kPage, kRw), SyscallSucceeds());
    p[2 * i * kPage] = static_cast<char>(i);
  }
  for (int i = 0; i < kCount; i++) ASSERT_EQ(p[2 * i * kPage], static_cast<char>(i));
}

TEST_F(MmapTest, ReadFromProcSelfMem) {
  char* p = Map(kPage);
  strcpy(p, "in memory");
  Fd fd(open("/proc/self/mem", O_RDWR));
  ASSERT_TRUE(fd.valid());
  char buf[10] = {};
  EXPECT_THAT(pread(fd.get(), buf, 9, reinterpret_cast<off_t>(p)), SyscallSucceedsWithValue(9));
  EXPECT_STREQ(buf, "in memory");
}

}  // namespace
