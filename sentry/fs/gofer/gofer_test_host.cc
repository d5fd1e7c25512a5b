// The gofer file system under the real vfs and over a real gofer process.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>

#include "gofer/client/test_server.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/testing/vfs_fixture.h"

namespace runsc {
namespace {

using gofer::TempDir;
using gofer::TestServer;

class GoferFsTest : public VfsTest {
 protected:
  void Start(GoferFsOptions options = {}, bool read_only = false) {
    server_ = std::make_unique<TestServer>(dir_.path(), read_only);
    client_ = server_->Connect();
    MountRoot(GoferFs::Attach(*client_, 0, options).value());
  }
  void TearDown() override {
    VfsTest::TearDown();
    client_.reset();
  }
  std::string Host(const std::string& name) { return dir_.path() + "/" + name; }
  void HostWrite(const std::string& name, std::string_view text) {
    std::ofstream(Host(name)) << text;
  }
  struct stat HostStat(const std::string& name) {
    struct stat st{};
    EXPECT_EQ(lstat(Host(name).c_str(), &st), 0) << name;
    return st;
  }

  TempDir dir_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<gofer::Client> client_;
};

TEST_F(GoferFsTest, ReadsWhatIsThere) {
  mkdir(Host("a").c_str(), 0755);
  HostWrite("a/f", "hello");
  ASSERT_EQ(symlink("a/f", Host("l").c_str()), 0);
  Start();
  EXPECT_EQ(Read("/a/f"), "hello");
  EXPECT_EQ(Read("/l"), "hello");
  EXPECT_EQ(Readlink("/l"), "a/f");
  EXPECT_EQ(Read("/a/none"), "!ENOENT");
  EXPECT_EQ(Read("/a/f/x"), "!ENOTDIR");
  EXPECT_EQ(Stat("/a/f")->size, 5u);
  EXPECT_EQ(Stat("/a/f")->ino, HostStat("a/f").st_ino);
  EXPECT_EQ(List("/"), (std::set<std::string>{"a", "l"}));
}

TEST_F(GoferFsTest, WritesReachTheHost) {
  Start();
  EXPECT_EQ(Write("/f", "one"), Errno::kOk);
  EXPECT_EQ(Read("/f"), "one");
  EXPECT_EQ(HostStat("f").st_size, 3);
  EXPECT_EQ(HostStat("f").st_mode, S_IFREG | 0644u);
  auto file = Open("/f", O_WRONLY | O_APPEND);
  EXPECT_EQ(*WriteFile(**file, "+two", 0, true), 4u);
  EXPECT_EQ(Stat("/f")->size, 7u);
  EXPECT_EQ(Read("/f"), "one+two");
  EXPECT_EQ(Truncate("/f", 2), Errno::kOk);
  EXPECT_EQ(Read("/f"), "on");
  EXPECT_EQ(Stat("/f")->size, 2u);
  EXPECT_EQ(Write("/f", ""), Errno::kOk);  // O_TRUNC
  EXPECT_EQ(HostStat("f").st_size, 0);
}

TEST_F(GoferFsTest, NamesFollowChanges) {
  Start();
  EXPECT_EQ(Mkdir("/d"), Errno::kOk);
  EXPECT_EQ(Write("/d/f", "x"), Errno::kOk);
  EXPECT_EQ(List("/d"), (std::set<std::string>{"f"}));
  EXPECT_EQ(Write("/d/g", "y"), Errno::kOk);
  EXPECT_EQ(List("/d"), (std::set<std::string>{"f", "g"}));
  EXPECT_EQ(Unlink("/d/f"), Errno::kOk);
  EXPECT_EQ(List("/d"), (std::set<std::string>{"g"}));
  EXPECT_EQ(Read("/d/f"), "!ENOENT");
  EXPECT_EQ(Rename("/d", "/e"), Errno::kOk);
  EXPECT_EQ(Read("/e/g"), "y");
  EXPECT_EQ(Read("/d/g"), "!ENOENT");
  EXPECT_EQ(Rmdir("/e"), Errno::kNotempty);
  EXPECT_EQ(Rename("/e/g", "/h"), Errno::kOk);
  EXPECT_EQ(Rmdir("/e"), Errno::kOk);
  EXPECT_EQ(List("/"), (std::set<std::string>{"h"}));
  EXPECT_EQ(Symlink("h", "/s"), Errno::kOk);
  EXPECT_EQ(Read("/s"), "y");
  EXPECT_EQ(Mknod("/p", S_IFIFO | 0600), Errno::kOk);
  EXPECT_EQ(Stat("/p")->mode, S_IFIFO | 0600u);
  EXPECT_EQ(Mknod("/c", S_IFCHR | 0600, {1, 3}), Errno::kPerm);
}

TEST_F(GoferFsTest, ExchangeSwaps) {
  HostWrite("a", "A");
  mkdir(Host("d").c_str(), 0755);
  HostWrite("d/b", "B");
  Start();
  EXPECT_EQ(List("/"), (std::set<std::string>{"a", "d"}));
  EXPECT_EQ(Rename("/a", "/d", RENAME_EXCHANGE), Errno::kOk);
  EXPECT_EQ(Read("/d"), "A");
  EXPECT_EQ(Read("/a/b"), "B");
  EXPECT_EQ(List("/"), (std::set<std::string>{"a", "d"}));
}

TEST_F(GoferFsTest, HardLinksAreOneInode) {
  Start();
  EXPECT_EQ(Write("/a", "x"), Errno::kOk);
  EXPECT_EQ(Link("/a", "/b"), Errno::kOk);
  EXPECT_EQ(Stat("/a")->nlink, 2u);
  EXPECT_EQ(Stat("/a")->ino, Stat("/b")->ino);
  EXPECT_EQ(Chmod("/b", 0600), Errno::kOk);
  EXPECT_EQ(Stat("/a")->mode, S_IFREG | 0600u);
  EXPECT_EQ(Unlink("/a"), Errno::kOk);
  EXPECT_EQ(Stat("/b")->nlink, 1u);
  EXPECT_EQ(Read("/b"), "x");
}

TEST_F(GoferFsTest, UnlinkedFilesLiveOn) {
  HostWrite("f", "text");
  Start();
  auto file = Open("/f", O_RDWR);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(Unlink("/f"), Errno::kOk);
  EXPECT_EQ(ReadFile(**file), "text");
  EXPECT_EQ(vfs::GetAttr((*file)->path())->nlink, 0u);
  EXPECT_EQ(vfs::Chmod(op_, (*file)->path(), 0400).error(), Errno::kOk);
  EXPECT_EQ(vfs::GetAttr((*file)->path())->mode, S_IFREG | 0400u);
  EXPECT_EQ(Write("/f", "new"), Errno::kOk);
  EXPECT_EQ(ReadFile(**file), "text");
  EXPECT_EQ(Read("/f"), "new");
}

TEST_F(GoferFsTest, RenamedOverFilesLiveOn) {
  HostWrite("a", "A");
  HostWrite("b", "B");
  Start();
  auto b = Open("/b", O_RDONLY);
  EXPECT_EQ(Rename("/a", "/b"), Errno::kOk);
  EXPECT_EQ(ReadFile(**b), "B");
  EXPECT_EQ(vfs::GetAttr((*b)->path())->nlink, 0u);
  EXPECT_EQ(Read("/b"), "A");
}

TEST_F(GoferFsTest, TemporaryFiles) {
  Start();
  auto file = Open("/", O_TMPFILE | O_RDWR, 0600);
  ASSERT_TRUE(file.ok()) << ErrnoName(file.error());
  EXPECT_EQ(*WriteFile(**file, "tmp", 0), 3u);
  EXPECT_EQ(ReadFile(**file), "tmp");
  EXPECT_EQ(vfs::Link((*file)->path(), Ctx(), "/named").error(), Errno::kOk);
  EXPECT_EQ(Read("/named"), "tmp");
}

TEST_F(GoferFsTest, LargeDirectories) {
  std::set<std::string> want;
  for (int i = 0; i < 2000; ++i) {
    want.insert("n" + std::to_string(i));
    HostWrite("n" + std::to_string(i), "x");
  }
  Start();
  EXPECT_EQ(List("/"), want);
  // Enough lookups that the attributes are fetched in bulk.
  for (const std::string& name : want) EXPECT_EQ(Stat("/" + name)->size, 1u);
  EXPECT_EQ(Write("/n7", "longer"), Errno::kOk);
  EXPECT_EQ(Stat("/n7")->size, 6u);
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Stat("/n7")->size, 6u);
  for (int i = 0; i < 2000; i += 2) EXPECT_EQ(Unlink("/n" + std::to_string(i)), Errno::kOk);
  EXPECT_EQ(List("/").size(), 1000u);
}

TEST_F(GoferFsTest, AbsentNamesAreAnsweredFromTheListing) {
  HostWrite("there", "x");
  Start();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(StatError("/no" + std::to_string(i)), Errno::kNoent);
  server_->Kill();
  server_->Wait();
  EXPECT_EQ(StatError("/no11"), Errno::kNoent);  // without asking
  EXPECT_EQ(StatError("/there"), Errno::kIo);
}

TEST_F(GoferFsTest, NodesAreTakenBackAndFoundAgain) {
  Start();
  std::string path;
  for (int i = 0; i < 200; ++i) {
    path += "/d" + std::to_string(i);
    ASSERT_EQ(Mkdir(path), Errno::kOk);
  }
  ASSERT_EQ(Write(path + "/f", "deep"), Errno::kOk);
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read(path + "/f"), "deep");
  EXPECT_EQ(Chmod(path + "/f", 0600), Errno::kOk);
  EXPECT_EQ(Stat(path + "/f")->mode, S_IFREG | 0600u);
}

TEST_F(GoferFsTest, SharedTreesAreRevalidated) {
  HostWrite("f", "one");
  GoferFsOptions options;
  options.exclusive = false;
  Start(options);
  EXPECT_EQ(Read("/f"), "one");
  EXPECT_EQ(StatError("/late"), Errno::kNoent);
  usleep(1000);
  HostWrite("late", "now");
  EXPECT_EQ(Read("/late"), "now");
  HostWrite("tmp", "replaced");
  ASSERT_EQ(rename(Host("tmp").c_str(), Host("f").c_str()), 0);
  usleep(1000);
  EXPECT_EQ(Read("/f"), "replaced");
  EXPECT_EQ(Stat("/f")->size, 8u);
  unlink(Host("f").c_str());
  usleep(1000);
  EXPECT_EQ(Read("/f"), "!ENOENT");
  EXPECT_EQ(List("/"), (std::set<std::string>{"late"}));
}

TEST_F(GoferFsTest, ReadOnlyTree) {
  HostWrite("f", "x");
  Start({}, true);
  EXPECT_EQ(Read("/f"), "x");
  EXPECT_EQ(Write("/f", "y"), Errno::kRofs);
  EXPECT_EQ(Write("/g", "y"), Errno::kRofs);
  EXPECT_EQ(Unlink("/f"), Errno::kRofs);
}

TEST_F(GoferFsTest, Xattrs) {
  HostWrite("f", "x");
  if (setxattr(Host("f").c_str(), "user.host", "1", 1, 0) != 0) GTEST_SKIP();
  Start();
  Path f = *vfs::Lookup(Ctx(), "/f", false);
  EXPECT_EQ(*vfs::GetXattr(op_, f, "user.host"), "1");
  EXPECT_EQ(vfs::GetXattr(op_, f, "user.none").error(), Errno::kNodata);
  EXPECT_TRUE(vfs::SetXattr(op_, f, "user.mine", "two", 0).ok());
  EXPECT_EQ(*vfs::GetXattr(op_, f, "user.mine"), "two");
  EXPECT_EQ(vfs::ListXattr(op_, f)->size(), 2u);
  EXPECT_TRUE(vfs::RemoveXattr(op_, f, "user.host").ok());
  EXPECT_EQ(vfs::GetXattr(op_, f, "user.host").error(), Errno::kNodata);
}

TEST_F(GoferFsTest, MappingsAreTheHostsPages) {
  HostWrite("f", std::string(3 * kPageSize + 5, 'a'));
  Start();
  auto file = Open("/f", O_RDWR);
  Ref<Mappable> m = *(*file)->Map(true, {.read = true, .write = true});
  auto b = m->Translate(kPageSize, 16 * kPageSize, {.read = true});
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(b->length, 3 * kPageSize);
  EXPECT_EQ(b->offset, kPageSize);
  EXPECT_EQ(b->sentry[0], 'a');
  auto w = m->Translate(kPageSize, kPageSize, {.read = true, .write = true});
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w->sentry, b->sentry);  // the address handed out stays good
  w->sentry[0] = 'Z';
  EXPECT_EQ(ReadFile(**file, kPageSize)[0], 'Z');
  EXPECT_EQ(m->Translate(4 * kPageSize, kPageSize, {.read = true}).error(), Errno::kNxio);
  EXPECT_EQ(m->MappedIdentity().name, "/f");
}

TEST_F(GoferFsTest, SparseFilesKeepTheirHoles) {
  Start();
  auto file = Open("/f", O_RDWR | O_CREAT);
  EXPECT_EQ(*WriteFile(**file, "end", 1 << 20), 3u);
  EXPECT_EQ(*(*file)->SeekData(0, false), 1u << 20);
  EXPECT_EQ(*(*file)->SeekData(0, true), 0u);
  EXPECT_LT(Stat("/f")->blocks, 100u);
  EXPECT_TRUE((*file)->Allocate(op_, 0, 0, 4096).ok());
  EXPECT_GE(Stat("/f")->blocks, 8u);
}

TEST_F(GoferFsTest, DeadGoferIsEio) {
  HostWrite("f", "x");
  Start();
  EXPECT_EQ(Read("/f"), "x");
  server_->Kill();
  server_->Wait();
  EXPECT_EQ(Read("/none"), "!EIO");
}

}  // namespace
}  // namespace runsc
