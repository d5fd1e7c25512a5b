// openat2's resolution rules and what a descriptor opened with O_PATH can do.
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "test/util/send_fds.h"
#include "test/util/test_util.h"

namespace {
using namespace guest;

long Openat2(int dir, const std::string& path, uint64_t flags, uint64_t resolve,
             uint64_t mode = 0) {
  open_how how = {flags, mode, resolve};
  return Raw(SYS_openat2, dir, path.c_str(), &how, sizeof how);
}

// root/{file, sub/file, up -> .., abs -> /etc/passwd, in -> sub/file, inabs -> /sub/file}
struct Tree {
  TempDir dir;
  Fd root;
  Tree() {
    mkdir((dir / "sub").c_str(), 0755);
    PutFile(dir / "file", "1");
    PutFile(dir / "sub/file", "2");
    symlink("..", (dir / "up").c_str());
    symlink("/etc/passwd", (dir / "abs").c_str());
    symlink("sub/file", (dir / "in").c_str());
    symlink("/sub/file", (dir / "inabs").c_str());
    symlink("loop", (dir / "loop").c_str());
    root = Fd(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY));
  }
  long Open(const std::string& path, uint64_t resolve, uint64_t flags = O_RDONLY) {
    long fd = Openat2(root.get(), path, flags, resolve);
    if (fd >= 0) close(fd);
    return fd;
  }
};

TEST(ResolveTest, Beneath) {
  Tree t;
  EXPECT_THAT(t.Open("file", RESOLVE_BENEATH), SyscallSucceeds());
  EXPECT_THAT(t.Open("sub/../file", RESOLVE_BENEATH), SyscallSucceeds());
  EXPECT_THAT(t.Open("in", RESOLVE_BENEATH), SyscallSucceeds());
  EXPECT_THAT(t.Open("../file", RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(t.Open("sub/../../x", RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(t.Open("up/x", RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(t.Open("abs", RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(t.Open("inabs", RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(t.Open("/etc/passwd", RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(t.Open("none", RESOLVE_BENEATH), SyscallFailsWithErrno(ENOENT));
}

TEST(ResolveTest, InRoot) {
  Tree t;
  EXPECT_THAT(t.Open("/file", RESOLVE_IN_ROOT), SyscallSucceeds());
  EXPECT_THAT(t.Open("../../file", RESOLVE_IN_ROOT), SyscallSucceeds());
  EXPECT_THAT(t.Open("up/file", RESOLVE_IN_ROOT), SyscallSucceeds());
  EXPECT_THAT(t.Open("inabs", RESOLVE_IN_ROOT), SyscallSucceeds());
  EXPECT_THAT(t.Open("abs", RESOLVE_IN_ROOT), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(t.Open("file", RESOLVE_IN_ROOT | RESOLVE_BENEATH), SyscallFailsWithErrno(EINVAL));
}

TEST(ResolveTest, LinksAndMounts) {
  Tree t;
  EXPECT_THAT(t.Open("in", RESOLVE_NO_SYMLINKS), SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(t.Open("up/x", RESOLVE_NO_SYMLINKS), SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(t.Open("in", RESOLVE_NO_SYMLINKS, O_PATH | O_NOFOLLOW), SyscallSucceeds());
  EXPECT_THAT(t.Open("loop", 0), SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(Openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS),
              SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(Openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_SYMLINKS),
              SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(Openat2(AT_FDCWD, "/proc/self/status", O_RDONLY, RESOLVE_NO_XDEV),
              SyscallFailsWithErrno(EXDEV));
  Fd slash(open("/", O_RDONLY));
  EXPECT_THAT(Openat2(slash.get(), "proc", O_RDONLY, RESOLVE_NO_XDEV),
              SyscallFailsWithErrno(EXDEV));
  std::string magic = "/proc/self/fd/" + std::to_string(t.root.get()) + "/file";
  EXPECT_THAT(Openat2(slash.get(), magic.substr(1), O_RDONLY, RESOLVE_BENEATH),
              SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(Openat2(slash.get(), magic.substr(1), O_RDONLY, RESOLVE_IN_ROOT),
              SyscallFailsWithErrno(EXDEV));
}

TEST(ResolveTest, HowIsChecked) {
  Tree t;
  EXPECT_THAT(Openat2(t.root.get(), "file", O_RDONLY, 0x100), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), "file", uint64_t{1} << 40, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), "file", O_RDONLY, 0, 0644), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), "n", O_CREAT | O_RDWR, 0, 010644),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), "file", O_PATH | O_TRUNC, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), ".", O_TMPFILE, 0, 0600), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), "n", O_CREAT | O_DIRECTORY, 0, 0600),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Openat2(t.root.get(), "n", O_CREAT | O_RDWR, RESOLVE_CACHED, 0600),
              SyscallFailsWithErrno(EAGAIN));
  char big[64] = {};
  EXPECT_THAT(Raw(SYS_openat2, t.root.get(), "file", big, 23), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_openat2, t.root.get(), "file", big, 5000), SyscallFailsWithErrno(E2BIG));
  Fd fd(Raw(SYS_openat2, t.root.get(), "file", big, sizeof big));
  EXPECT_TRUE(fd.valid());
  big[60] = 1;
  EXPECT_THAT(Raw(SYS_openat2, t.root.get(), "file", big, sizeof big),
              SyscallFailsWithErrno(E2BIG));
  EXPECT_THAT(Raw(SYS_openat2, t.root.get(), "file", 8, 24), SyscallFailsWithErrno(EFAULT));
}

struct PathFd {
  TempDir dir;
  std::string path = dir / "f";
  Fd fd;
  PathFd() {
    PutFile(path, "content");
    fd = Fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  }
};

TEST(PathDescriptorTest, WhatIsRefused) {
  PathFd p;
  int fd = p.fd.get();
  char c = 'x';
  struct flock lock = {F_RDLCK, SEEK_SET, 0, 0, 0};
  timespec times[2] = {};
  EXPECT_THAT(read(fd, &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(write(fd, &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(pread(fd, &c, 1, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(lseek(fd, 0, SEEK_SET), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(ftruncate(fd, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fallocate(fd, 0, 0, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fsync(fd), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fdatasync(fd), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(syncfs(fd), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(posix_fadvise(fd, 0, 0, 0) == EBADF ? (errno = EBADF, -1) : 0,
              SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fchmod(fd, 0600), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fchown(fd, 0, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(futimens(fd, times), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fgetxattr(fd, "user.x", &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fsetxattr(fd, "user.x", &c, 1, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(flistxattr(fd, &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(ioctl(fd, FIONREAD, &c), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(ioctl(fd, FIOCLEX), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(flock(fd, LOCK_SH), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fcntl(fd, F_SETLK, &lock), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fcntl(fd, F_GETLK, &lock), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fcntl(fd, F_SETFL, O_NONBLOCK), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fcntl(fd, F_SETOWN, getpid()), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fchdir(fd), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Raw(SYS_getdents64, fd, &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(sendfile(1, fd, nullptr, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(readahead(fd, 0, 1), SyscallFailsWithErrno(EBADF));
  pollfd poller = {fd, POLLIN, 0};
  EXPECT_THAT(poll(&poller, 1, 0), SyscallSucceedsWithValue(1));
  EXPECT_EQ(poller.revents, POLLNVAL);
  Fd epoll(epoll_create1(0));
  epoll_event event = {};
  EXPECT_THAT(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event), SyscallFailsWithErrno(EBADF));
}

TEST(PathDescriptorTest, WhatWorks) {
  PathFd p;
  int fd = p.fd.get();
  struct stat st;
  struct statfs fs;
  EXPECT_THAT(fstat(fd, &st), SyscallSucceeds());
  EXPECT_EQ(st.st_size, 7);
  EXPECT_THAT(fstatfs(fd, &fs), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd, F_GETFD), SyscallSucceedsWithValue(FD_CLOEXEC));
  EXPECT_THAT(fcntl(fd, F_SETFD, 0), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd, F_GETFL), SyscallSucceedsWithValue(O_PATH));
  Fd copy(dup(fd));
  EXPECT_TRUE(copy.valid());
  EXPECT_THAT(fcntl(copy.get(), F_GETFL), SyscallSucceedsWithValue(O_PATH));
  EXPECT_THAT(Raw(SYS_fchownat, fd, "", 0, 0, AT_EMPTY_PATH), SyscallSucceeds());
  timespec times[2] = {{5, 0}, {6, 0}};
  EXPECT_THAT(Raw(SYS_utimensat, fd, "", times, AT_EMPTY_PATH), SyscallSucceeds());
  EXPECT_THAT(fstat(fd, &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mtime, 6);
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  EXPECT_EQ(GetFile(link), "content");
  EXPECT_THAT(chmod(link.c_str(), 0640), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_linkat, fd, "", AT_FDCWD, (p.dir / "g").c_str(), AT_EMPTY_PATH),
              SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH), SyscallSucceeds());
  Fd dir(open(p.dir.path().c_str(), O_PATH));
  EXPECT_THAT(fchdir(dir.get()), SyscallSucceeds());
  EXPECT_THAT(chdir("/"), SyscallSucceeds());
  Fd inside(openat(dir.get(), "f", O_RDONLY));
  EXPECT_TRUE(inside.valid());
}

TEST(PathDescriptorTest, SymlinkItself) {
  TempDir dir;
  symlink("target", (dir / "l").c_str());
  Fd fd(open((dir / "l").c_str(), O_PATH | O_NOFOLLOW));
  char text[16] = {};
  EXPECT_THAT(readlinkat(fd.get(), "", text, sizeof text), SyscallSucceedsWithValue(6));
  EXPECT_STREQ(text, "target");
  EXPECT_THAT(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY),
              SyscallFailsWithErrno(ELOOP));
  PathFd p;
  EXPECT_THAT(readlinkat(p.fd.get(), "", text, sizeof text), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(readlinkat(AT_FDCWD, "/", text, sizeof text), SyscallFailsWithErrno(EINVAL));
}

TEST(PathDescriptorTest, ExecutesAndTravels) {
  Fd program(open("/bin/true", O_PATH));
  pid_t child = StartChild([&] {
    const char* argv[] = {"true", nullptr};
    const char* envp[] = {nullptr};
    Raw(SYS_execveat, program.get(), "", argv, envp, AT_EMPTY_PATH);
    return 1;
  });
  EXPECT_EQ(WaitFor(child), 0);
  int sockets[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), SyscallSucceeds());
  EXPECT_THAT(SendFds(sockets[0], {program.get()}), SyscallSucceedsWithValue(1));
  char control[CMSG_SPACE(sizeof(int))] = {}, byte;
  iovec iov = {&byte, 1};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  EXPECT_THAT(recvmsg(sockets[1], &message, 0), SyscallSucceedsWithValue(1));
  Fd received(*reinterpret_cast<int*>(CMSG_DATA(CMSG_FIRSTHDR(&message))));
  EXPECT_THAT(fcntl(received.get(), F_GETFL), SyscallSucceedsWithValue(O_PATH));
  close(sockets[0]);
  close(sockets[1]);
}

TEST(PathDescriptorTest, OtherFlagsAreIgnoredByOpen) {
  PathFd p;
  Fd fd(open(p.path.c_str(), O_PATH | O_RDWR | O_TRUNC | O_APPEND | O_CREAT | O_EXCL, 0600));
  EXPECT_TRUE(fd.valid());
  EXPECT_EQ(GetFile(p.path), "content");
  EXPECT_THAT(open(p.path.c_str(), O_PATH | O_DIRECTORY), SyscallFailsWithErrno(ENOTDIR));
  // No permission on the file is needed.
  chmod(p.dir.path().c_str(), 0755);
  chmod(p.path.c_str(), 0);
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    CHECK_OR_DIE(open(p.path.c_str(), O_RDONLY) == -1 && errno == EACCES);
    int f = open(p.path.c_str(), O_PATH);
    CHECK_OR_DIE(f >= 0);
    std::string link = "/proc/self/fd/" + std::to_string(f);
    CHECK_OR_DIE(open(link.c_str(), O_RDONLY) == -1 && errno == EACCES);
    return 0;
  });
}

TEST(TmpfileTest, GetsItsNameByEitherLink) {
  TempDir dir;
  Fd fd(open(dir.path().c_str(), O_TMPFILE | O_RDWR, 0644));
  ASSERT_TRUE(fd.valid());
  ASSERT_THAT(write(fd.get(), "abc", 3), SyscallSucceedsWithValue(3));
  struct stat st;
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_THAT(linkat(fd.get(), "", AT_FDCWD, (dir / "a").c_str(), AT_EMPTY_PATH),
              SyscallSucceeds());
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_nlink, 1u);
  EXPECT_EQ(GetFile(dir / "a"), "abc");
  Fd other(open(dir.path().c_str(), O_TMPFILE | O_RDWR, 0644));
  std::string link = "/proc/self/fd/" + std::to_string(other.get());
  EXPECT_THAT(linkat(AT_FDCWD, link.c_str(), AT_FDCWD, (dir / "b").c_str(), AT_SYMLINK_FOLLOW),
              SyscallSucceeds());
  EXPECT_EQ(GetFile(dir / "b"), "");
  EXPECT_THAT(linkat(other.get(), "", AT_FDCWD, (dir / "b").c_str(), AT_EMPTY_PATH),
              SyscallFailsWithErrno(EEXIST));
  unlink((dir / "a").c_str());
  // An unlinked ordinary file cannot come back.
  EXPECT_THAT(linkat(fd.get(), "", AT_FDCWD, (dir / "c").c_str(), AT_EMPTY_PATH),
              SyscallFailsWithErrno(ENOENT));
}

}  // namespace
