// mount and umount2 of tmpfs, bind mounts, in a mount namespace of the test's own.
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

// A child whose mounts nobody else sees.
int Isolated(const std::function<int()>& body) {
  return InChild([&] {
    CHECK_OR_DIE(unshare(CLONE_NEWNS) == 0);
    CHECK_OR_DIE(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    return body();
  });
}

class MountTest : public testing::Test {
 protected:
  MountTest() {
    for (const char* name : {"m", "src"}) CHECK_OR_DIE(mkdir((dir_ / name).c_str(), 0755) == 0);
    CHECK_OR_DIE(chmod(dir_.path().c_str(), 0755) == 0);
    m_ = dir_ / "m";
  }
  int Tmpfs(unsigned long flags = 0, const char* data = nullptr) {
    return mount("tmpfs", m_.c_str(), "tmpfs", flags, data);
  }
  TempDir dir_;
  std::string m_;
};

TEST_F(MountTest, Tmpfs) {
  EXPECT_EQ(Isolated([&] {
              PutFile(m_ + "/below", "");
              CHECK_OR_DIE(Tmpfs(0, "mode=0700") == 0);
              struct statfs fs;
              CHECK_OR_DIE(statfs(m_.c_str(), &fs) == 0 && fs.f_type == 0x01021994);
              struct stat st;
              CHECK_OR_DIE(stat(m_.c_str(), &st) == 0 && (st.st_mode & 0777) == 0700);
              CHECK_OR_DIE(access((m_ + "/below").c_str(), F_OK) == -1);
              PutFile(m_ + "/inside", "x");
              CHECK_OR_DIE(GetFile("/proc/self/mounts").find(m_ + " tmpfs") != std::string::npos);
              CHECK_OR_DIE(umount(m_.c_str()) == 0);
              CHECK_OR_DIE(access((m_ + "/below").c_str(), F_OK) == 0);
              CHECK_OR_DIE(access((m_ + "/inside").c_str(), F_OK) == -1);
              return 0;
            }),
            0);
}

TEST_F(MountTest, ReadOnly) {
  EXPECT_EQ(
      Isolated([&] {
        CHECK_OR_DIE(Tmpfs(MS_RDONLY) == 0);
        CHECK_OR_DIE(open((m_ + "/f").c_str(), O_CREAT | O_RDWR, 0600) == -1 && errno == EROFS);
        CHECK_OR_DIE(mkdir((m_ + "/d").c_str(), 0755) == -1 && errno == EROFS);
        CHECK_OR_DIE(umount(m_.c_str()) == 0);
        return 0;
      }),
      0);
}

TEST_F(MountTest, SizeLimit) {
  EXPECT_EQ(Isolated([&] {
              CHECK_OR_DIE(Tmpfs(0, "size=64k") == 0);
              Fd fd(open((m_ + "/f").c_str(), O_CREAT | O_RDWR, 0600));
              std::string big(200000, 'x');
              ssize_t n = write(fd.get(), big.data(), big.size());
              CHECK_OR_DIE(n > 0 && n <= 65536);
              CHECK_OR_DIE(write(fd.get(), big.data(), big.size()) == -1 && errno == ENOSPC);
              return 0;
            }),
            0);
}

// A share of memory means the same to a remount as to the mount.
TEST_F(MountTest, RemountToAShareOfMemory) {
  EXPECT_EQ(Isolated([&] {
              struct statfs fs, half;
              CHECK_OR_DIE(Tmpfs(0, "size=50%") == 0 && statfs(m_.c_str(), &half) == 0);
              CHECK_OR_DIE(Tmpfs(MS_REMOUNT, "size=25%") == 0 && statfs(m_.c_str(), &fs) == 0);
              CHECK_OR_DIE(fs.f_blocks >= half.f_blocks / 2 - 1);
              CHECK_OR_DIE(fs.f_blocks <= half.f_blocks / 2 + 1);
              return 0;
            }),
            0);
}

TEST_F(MountTest, BusyAndLazy) {
  EXPECT_EQ(Isolated([&] {
              CHECK_OR_DIE(Tmpfs() == 0);
              PutFile(m_ + "/f", "x");
              Fd fd(open((m_ + "/f").c_str(), O_RDONLY));
              CHECK_OR_DIE(umount(m_.c_str()) == -1 && errno == EBUSY);
              CHECK_OR_DIE(rmdir(m_.c_str()) == -1 && errno == EBUSY);
              CHECK_OR_DIE(umount2(m_.c_str(), MNT_DETACH) == 0);
              char c;
              CHECK_OR_DIE(read(fd.get(), &c, 1) == 1);
              return 0;
            }),
            0);
}

TEST_F(MountTest, Bind) {
  EXPECT_EQ(
      Isolated([&] {
        PutFile(dir_ / "src/f", "from source");
        CHECK_OR_DIE(mount((dir_ / "src").c_str(), m_.c_str(), nullptr, MS_BIND, nullptr) == 0);
        CHECK_OR_DIE(GetFile(m_ + "/f") == "from source");
        PutFile(m_ + "/g", "x");
        CHECK_OR_DIE(access((dir_ / "src/g").c_str(), F_OK) == 0);
        CHECK_OR_DIE(rename((m_ + "/g").c_str(), (dir_ / "g").c_str()) == -1 && errno == EXDEV);
        CHECK_OR_DIE(umount(m_.c_str()) == 0);
        return 0;
      }),
      0);
}

TEST_F(MountTest, Errors) {
  EXPECT_EQ(
      Isolated([&] {
        CHECK_OR_DIE(umount(m_.c_str()) == -1 && errno == EINVAL);
        CHECK_OR_DIE(umount((dir_ / "none").c_str()) == -1 && errno == ENOENT);
        CHECK_OR_DIE(umount2(m_.c_str(), 1 << 20) == -1 && errno == EINVAL);
        CHECK_OR_DIE(mount("x", m_.c_str(), "nonsensefs", 0, nullptr) == -1 && errno == ENODEV);
        CHECK_OR_DIE(mount("x", (dir_ / "no").c_str(), "tmpfs", 0, nullptr) == -1 &&
                     errno == ENOENT);
        return 0;
      }),
      0);
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(Tmpfs() == -1 && errno == EPERM);
    CHECK_OR_DIE(umount("/proc") == -1 && errno == EPERM);
    return 0;
  });
}

}  // namespace
