// process_vm_readv(2) and process_vm_writev(2).
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include <vector>

#include "test/util/test_util.h"

namespace {
using namespace guest;

// A child with three pages of its own at the same address as ours: writable, read only, and none.
class ProcessVmTest : public testing::Test {
 protected:
  static constexpr size_t kPage = 4096;
  ProcessVmTest() {
    base_ = static_cast<char*>(mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK_OR_DIE(base_ != MAP_FAILED);
    memset(base_, 'p', 2 * kPage);
    child_ = StartChild([this] {
      memset(base_, 'c', 2 * kPage);
      CHECK_OR_DIE(mprotect(base_ + kPage, kPage, PROT_READ) == 0);
      CHECK_OR_DIE(munmap(base_ + 2 * kPage, kPage) == 0);
      raise(SIGSTOP);
      return base_[0] == 'w' ? 0 : 1;
    });
    WaitUntilState(child_, 'T');
  }
  ~ProcessVmTest() override {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      WaitFor(child_);
    }
    munmap(base_, 3 * kPage);
  }
  ssize_t Read(std::vector<iovec> local, std::vector<iovec> remote) {
    return process_vm_readv(child_, local.data(), local.size(), remote.data(), remote.size(), 0);
  }
  ssize_t Write(std::vector<iovec> local, std::vector<iovec> remote) {
    return process_vm_writev(child_, local.data(), local.size(), remote.data(), remote.size(), 0);
  }

  char* base_ = nullptr;
  pid_t child_ = -1;
  char buf_[4 * kPage] = {};
};

TEST_F(ProcessVmTest, ReadsTheOthersPages) {
  EXPECT_THAT(Read({{buf_, 100}}, {{base_, 100}}), SyscallSucceedsWithValue(100));
  EXPECT_EQ(std::string(buf_, 100), std::string(100, 'c'));
  EXPECT_EQ(base_[0], 'p');
}

TEST_F(ProcessVmTest, PiecesNeedNotMatch) {
  EXPECT_THAT(Read({{buf_, 1}, {buf_ + 10, 0}, {buf_ + 20, 7}}, {{base_, 5}, {base_ + kPage, 5}}),
              SyscallSucceedsWithValue(8));
  EXPECT_EQ(buf_[0], 'c');
  EXPECT_EQ(std::string(buf_ + 20, 8), std::string(7, 'c') + '\0');
}

TEST_F(ProcessVmTest, WritesTheOthersPages) {
  memset(buf_, 'w', 10);
  EXPECT_THAT(Write({{buf_, 10}}, {{base_, 10}}), SyscallSucceedsWithValue(10));
  EXPECT_EQ(base_[0], 'p');
  kill(child_, SIGCONT);
  EXPECT_EQ(WaitFor(std::exchange(child_, -1)), 0);
}

TEST_F(ProcessVmTest, ProtectionIsKept) {
  EXPECT_THAT(Write({{buf_, 10}}, {{base_ + kPage, 10}}), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Write({{buf_, 20}}, {{base_ + kPage - 10, 20}}), SyscallSucceedsWithValue(10));
  EXPECT_THAT(Read({{buf_, 10}}, {{base_ + 2 * kPage, 10}}), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Read({{buf_, 20}}, {{base_ + 2 * kPage - 5, 20}}), SyscallSucceedsWithValue(5));
  EXPECT_THAT(Read({{buf_, 20}}, {{base_, 5}, {base_ + 2 * kPage, 15}}),
              SyscallSucceedsWithValue(5));
}

TEST_F(ProcessVmTest, OwnBadMemory) {
  void* bad = reinterpret_cast<void*>(8);
  EXPECT_THAT(Read({{bad, 10}}, {{base_, 10}}), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Write({{bad, 10}}, {{base_, 10}}), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_process_vm_readv, child_, bad, 1L, bad, 1L, 0L),
              SyscallFailsWithErrno(EFAULT));
}

TEST_F(ProcessVmTest, OfItself) {
  iovec local = {buf_, 5}, remote = {base_, 5};
  EXPECT_THAT(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), SyscallSucceedsWithValue(5));
  EXPECT_EQ(std::string(buf_, 5), "ppppp");
}

TEST_F(ProcessVmTest, ArgumentErrors) {
  iovec local = {buf_, 5}, remote = {base_, 5}, negative = {base_, static_cast<size_t>(-1)};
  EXPECT_THAT(process_vm_readv(child_, &local, 1, &remote, 1, 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(process_vm_readv(child_, &local, 1, &remote, IOV_MAX + 1, 0),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(process_vm_readv(child_, &local, 1, &negative, 1, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(process_vm_readv(0x3fffffff, &local, 1, &remote, 1, 0),
              SyscallFailsWithErrno(ESRCH));
  // With nothing to move nobody is looked for.
  EXPECT_THAT(process_vm_readv(0x3fffffff, &local, 0, &remote, 1, 0), SyscallSucceedsWithValue(0));
  EXPECT_THAT(process_vm_readv(0x3fffffff, &local, 1, &remote, 0, 0), SyscallSucceedsWithValue(0));
}

TEST_F(ProcessVmTest, OthersNeedPermission) {
  EXPECT_CHILD_OK([this] {
    CHECK_OR_DIE(setresgid(1234, 1234, 1234) == 0 && setresuid(1234, 1234, 1234) == 0);
    CHECK_OR_DIE(Read({{buf_, 5}}, {{base_, 5}}) == -1 && errno == EPERM);
    CHECK_OR_DIE(Write({{buf_, 5}}, {{base_, 5}}) == -1 && errno == EPERM);
    return 0;
  });
}

// Of the same user, but the other one may do more, or does not want to be looked at.
TEST(ProcessVmPermissionTest, SameUserIsNotEnough) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresgid(1234, 1234, 1234) == 0 && setresuid(1234, 1234, 1234) == 0);
    char byte = 'x', got = 0;
    for (int dumpable : {1, 0}) {
      pid_t child = StartChild([&] {
        CHECK_OR_DIE(prctl(PR_SET_DUMPABLE, dumpable) == 0);
        byte = 'y';
        raise(SIGSTOP);
        return 0;
      });
      WaitUntilState(child, 'T');
      iovec local = {&got, 1}, remote = {&byte, 1};
      ssize_t n = process_vm_readv(child, &local, 1, &remote, 1, 0);
      int error = errno;
      kill(child, SIGKILL);
      WaitFor(child);
      CHECK_OR_DIE(dumpable == 1 ? n == 1 && got == 'y' : n == -1 && error == EPERM);
    }
    return 0;
  });
}

TEST(ProcessVmBigTest, MovesMegabytes) {
  constexpr size_t kSize = 5 << 20;
  std::vector<char> mine(kSize), theirs(kSize, 'a');
  pid_t child = StartChild([&] {
    for (size_t i = 0; i < kSize; ++i) theirs[i] = static_cast<char>(i * 7);
    raise(SIGSTOP);
    return 0;
  });
  WaitUntilState(child, 'T');
  iovec local = {mine.data(), kSize}, remote = {theirs.data(), kSize};
  EXPECT_THAT(process_vm_readv(child, &local, 1, &remote, 1, 0), SyscallSucceedsWithValue(kSize));
  size_t wrong = 0;
  for (size_t i = 0; i < kSize; ++i) wrong += mine[i] != static_cast<char>(i * 7);
  EXPECT_EQ(wrong, 0u);
  kill(child, SIGKILL);
  WaitFor(child);
  EXPECT_THAT(process_vm_readv(child, &local, 1, &remote, 1, 0), SyscallFailsWithErrno(ESRCH));
}

}  // namespace
