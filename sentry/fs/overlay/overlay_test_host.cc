// The overlay of a tmpfs over a host directory that a gofer serves read-only, as a rootfs has it.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "gofer/client/test_server.h"
#include "platform/memory/memory_file.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/overlay/overlay_fs.h"
#include "sentry/fs/testing/vfs_fixture.h"
#include "sentry/fs/tmpfs/tmpfs.h"

namespace runsc {
namespace {

using gofer::TempDir;
using gofer::TestServer;
using Names = std::set<std::string>;

class OverlayTest : public VfsTest {
 protected:
  void Start(TmpfsOptions options = {}) {
    server_ = std::make_unique<TestServer>(dir_.path(), true);
    client_ = server_->Connect();
    auto lower = GoferFs::Attach(*client_, 0, {}).value();
    auto upper = Tmpfs::New(*memory_, options);
    MountRoot(OverlayFs::Create(upper, lower).value());
  }
  void TearDown() override {
    VfsTest::TearDown();
    client_.reset();
    // Nothing of the host may have changed.
    for (const auto& [name, text] : written_) {
      std::ifstream in(Host(name));
      std::string now((std::istreambuf_iterator<char>(in)), {});
      EXPECT_EQ(now, text) << name;
    }
  }
  std::string Host(const std::string& name) { return dir_.path() + "/" + name; }
  void HostWrite(const std::string& name, const std::string& text) {
    std::ofstream(Host(name)) << text;
    written_[name] = text;
  }
  void HostMkdir(const std::string& name) { ASSERT_EQ(mkdir(Host(name).c_str(), 0755), 0); }

  std::map<std::string, std::string> written_;
  TempDir dir_;
  std::unique_ptr<MemoryFile> memory_ = MemoryFile::Create(1ull << 30);
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<gofer::Client> client_;
};

TEST_F(OverlayTest, LowerFilesShowThrough) {
  HostMkdir("d");
  HostWrite("d/f", "lower");
  Start();
  EXPECT_EQ(Read("/d/f"), "lower");
  EXPECT_EQ(List("/"), (Names{"d"}));
  EXPECT_EQ(List("/d"), (Names{"f"}));
  EXPECT_EQ(StatError("/none"), Errno::kNoent);
}

TEST_F(OverlayTest, WritingCopiesUp) {
  HostMkdir("d");
  HostWrite("d/f", "lower text");
  chmod(Host("d/f").c_str(), 0640);
  Start();
  Attr before = *Stat("/d/f");
  auto reader = Open("/d/f", O_RDONLY);
  auto writer = Open("/d/f", O_WRONLY);
  ASSERT_TRUE(writer.ok()) << ErrnoName(writer.error());
  EXPECT_EQ(*WriteFile(**writer, "UPPER", 0), 5u);
  EXPECT_EQ(Read("/d/f"), "UPPER text");
  EXPECT_EQ(ReadFile(**reader), "UPPER text");  // opened before the copy-up
  Attr after = *Stat("/d/f");
  EXPECT_EQ(after.ino, before.ino);
  EXPECT_EQ(after.dev, before.dev);
  EXPECT_EQ(after.mode, S_IFREG | 0640u);
  EXPECT_EQ(List("/d"), (Names{"f"}));
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Stat("/d/f")->ino, before.ino);
}

TEST_F(OverlayTest, CopyUpKeepsTimesAndOwner) {
  HostMkdir("d");
  HostWrite("d/f", "x");
  if (getuid() == 0) ASSERT_EQ(chown(Host("d/f").c_str(), 11, 22), 0);
  timespec times[2] = {{1000, 1}, {2000, 2}};
  utimensat(AT_FDCWD, Host("d/f").c_str(), times, 0);
  utimensat(AT_FDCWD, Host("d").c_str(), times, 0);
  Start();
  EXPECT_EQ(Chmod("/d/f", 0600), Errno::kOk);
  Attr f = *Stat("/d/f");
  EXPECT_EQ(f.mtime, 2000 * 1'000'000'000ll + 2);
  if (getuid() == 0) {
    EXPECT_EQ(f.uid, 11u);
    EXPECT_EQ(f.gid, 22u);
  }
  EXPECT_EQ(Stat("/d")->mtime, 2000 * 1'000'000'000ll + 2);  // the directory did not change
  EXPECT_EQ(Read("/d/f"), "x");
}

TEST_F(OverlayTest, CopyUpChangesNoCtime) {
  HostMkdir("d");
  HostWrite("d/f", "x");
  HostWrite("d/linked", "y");
  ASSERT_EQ(link(Host("d/linked").c_str(), Host("d/other").c_str()), 0);
  Start();
  for (const char* name : {"/d/f", "/d/linked"}) {
    Attr file = *Stat(name), dir = *Stat("/d");
    usleep(20000);  // more than the clock's tick
    ASSERT_TRUE(Open(name, O_WRONLY).ok());
    EXPECT_EQ(Stat(name)->ctime, file.ctime) << name;
    EXPECT_EQ(Stat("/d")->ctime, dir.ctime) << name;
  }
}

TEST_F(OverlayTest, RemovedNamesStayHidden) {
  HostMkdir("d");
  HostWrite("d/a", "A");
  HostWrite("d/b", "B");
  Start();
  EXPECT_EQ(Unlink("/d/a"), Errno::kOk);
  EXPECT_EQ(Read("/d/a"), "!ENOENT");
  EXPECT_EQ(List("/d"), (Names{"b"}));
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/d/a"), "!ENOENT");
  EXPECT_EQ(Unlink("/d/a"), Errno::kNoent);
  EXPECT_EQ(Write("/d/a", "new"), Errno::kOk);
  EXPECT_EQ(Read("/d/a"), "new");
  EXPECT_EQ(List("/d"), (Names{"a", "b"}));
  EXPECT_EQ(Unlink("/d/a"), Errno::kOk);  // the upper one; the lower one must not come back
  EXPECT_EQ(Read("/d/a"), "!ENOENT");
  EXPECT_EQ(List("/d"), (Names{"b"}));
}

TEST_F(OverlayTest, RemovedDirectoriesAreOpaqueWhenMadeAnew) {
  HostMkdir("d");
  HostMkdir("d/sub");
  HostWrite("d/sub/f", "old");
  Start();
  EXPECT_EQ(Rmdir("/d/sub"), Errno::kNotempty);
  EXPECT_EQ(Unlink("/d/sub/f"), Errno::kOk);
  EXPECT_EQ(Rmdir("/d/sub"), Errno::kOk);
  EXPECT_EQ(List("/d"), (Names{}));
  EXPECT_EQ(Mkdir("/d/sub"), Errno::kOk);
  EXPECT_EQ(List("/d/sub"), (Names{}));
  EXPECT_EQ(Read("/d/sub/f"), "!ENOENT");
  EXPECT_EQ(Write("/d/sub/f", "new"), Errno::kOk);
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/d/sub/f"), "new");
  EXPECT_EQ(Rmdir("/d/sub"), Errno::kNotempty);
}

TEST_F(OverlayTest, MergedListings) {
  HostMkdir("d");
  for (int i = 0; i < 50; ++i) HostWrite("d/low" + std::to_string(i), "x");
  Start();
  Names want;
  for (int i = 0; i < 50; ++i) {
    if (i % 2 == 0) {
      want.insert("low" + std::to_string(i));
    } else {
      EXPECT_EQ(Unlink("/d/low" + std::to_string(i)), Errno::kOk);
    }
    want.insert("up" + std::to_string(i));
    EXPECT_EQ(Write("/d/up" + std::to_string(i), "y"), Errno::kOk);
  }
  EXPECT_EQ(Write("/d/low0", "over"), Errno::kOk);
  EXPECT_EQ(List("/d"), want);
}

TEST_F(OverlayTest, FilesMove) {
  HostMkdir("a");
  HostMkdir("b");
  HostWrite("a/f", "F");
  HostWrite("b/g", "G");
  Start();
  EXPECT_EQ(Rename("/a/f", "/b/f"), Errno::kOk);
  EXPECT_EQ(List("/a"), (Names{}));
  EXPECT_EQ(List("/b"), (Names{"f", "g"}));
  EXPECT_EQ(Rename("/b/f", "/b/g"), Errno::kOk);  // over a lower file
  EXPECT_EQ(Read("/b/g"), "F");
  EXPECT_EQ(List("/b"), (Names{"g"}));
  EXPECT_EQ(Rename("/b/g", "/h"), Errno::kOk);
  EXPECT_EQ(List("/b"), (Names{}));
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/b/g"), "!ENOENT");
  EXPECT_EQ(Read("/h"), "F");
}

TEST_F(OverlayTest, LowerDirectoriesMoveWithTheirContents) {
  HostMkdir("d");
  HostMkdir("d/sub");
  HostWrite("d/sub/f", "deep");
  HostWrite("d/top", "top");
  Start();
  EXPECT_EQ(Write("/d/sub/new", "N"), Errno::kOk);
  EXPECT_EQ(Rename("/d", "/moved"), Errno::kOk);
  EXPECT_EQ(Read("/d/top"), "!ENOENT");
  EXPECT_EQ(Read("/moved/sub/f"), "deep");
  EXPECT_EQ(Read("/moved/sub/new"), "N");
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/moved/sub/f"), "deep");
  EXPECT_EQ(List("/moved"), (Names{"sub", "top"}));
  EXPECT_EQ(Unlink("/moved/top"), Errno::kOk);
  EXPECT_EQ(Rename("/moved/sub", "/d"), Errno::kOk);
  EXPECT_EQ(List("/d"), (Names{"f", "new"}));
  EXPECT_EQ(Write("/d/f", "changed"), Errno::kOk);
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/d/f"), "changed");
  EXPECT_EQ(List("/moved"), (Names{}));
  EXPECT_EQ(Rmdir("/moved"), Errno::kOk);
}

TEST_F(OverlayTest, ExchangeAcrossLayers) {
  HostMkdir("d");
  HostWrite("d/x", "X");
  HostWrite("f", "F");
  Start();
  EXPECT_EQ(Rename("/d", "/f", RENAME_EXCHANGE), Errno::kOk);
  EXPECT_EQ(Read("/d"), "F");
  EXPECT_EQ(Read("/f/x"), "X");
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/d"), "F");
  EXPECT_EQ(Read("/f/x"), "X");
  EXPECT_EQ(List("/"), (Names{"d", "f"}));
}

TEST_F(OverlayTest, LowerHardLinksStayOneFile) {
  HostWrite("a", "text");
  ASSERT_EQ(link(Host("a").c_str(), Host("b").c_str()), 0);
  ASSERT_EQ(link(Host("a").c_str(), Host("c").c_str()), 0);
  Start();
  uint64_t ino = Stat("/a")->ino;
  EXPECT_EQ(Stat("/b")->ino, ino);
  EXPECT_EQ(Stat("/a")->nlink, 3u);
  EXPECT_EQ(Write("/a", "changed"), Errno::kOk);
  EXPECT_EQ(Read("/b"), "changed");
  EXPECT_EQ(Stat("/b")->nlink, 3u);
  DentryCache::Purge(nullptr);
  EXPECT_EQ(Read("/c"), "changed");
  EXPECT_EQ(Stat("/c")->ino, ino);
  EXPECT_EQ(Stat("/c")->nlink, 3u);
  EXPECT_EQ(Unlink("/b"), Errno::kOk);
  EXPECT_EQ(Stat("/c")->nlink, 2u);
  EXPECT_EQ(Rename("/c", "/d"), Errno::kOk);
  EXPECT_EQ(Read("/d"), "changed");
  EXPECT_EQ(Stat("/d")->nlink, 2u);
  EXPECT_EQ(Unlink("/a"), Errno::kOk);
  EXPECT_EQ(Stat("/d")->nlink, 1u);
  auto last = Open("/d", O_RDONLY);
  ASSERT_TRUE(last.ok()) << ErrnoName(last.error());
  EXPECT_EQ(Unlink("/d"), Errno::kOk);
  EXPECT_EQ(vfs::GetAttr((*last)->path())->nlink, 0u);
  EXPECT_EQ(ReadFile(**last), "changed");
  EXPECT_EQ(List("/"), (Names{}));
}

TEST_F(OverlayTest, NewHardLinks) {
  HostWrite("a", "text");
  Start();
  EXPECT_EQ(Link("/a", "/b"), Errno::kOk);
  EXPECT_EQ(Stat("/a")->nlink, 2u);
  EXPECT_EQ(Stat("/a")->ino, Stat("/b")->ino);
  EXPECT_EQ(Write("/b", "both"), Errno::kOk);
  EXPECT_EQ(Read("/a"), "both");
  EXPECT_EQ(Unlink("/a"), Errno::kOk);
  EXPECT_EQ(Stat("/b")->nlink, 1u);
}

TEST_F(OverlayTest, UnlinkedLowerFilesLiveOn) {
  HostWrite("f", "text");
  Start();
  auto file = Open("/f", O_RDONLY);
  EXPECT_EQ(Unlink("/f"), Errno::kOk);
  EXPECT_EQ(vfs::GetAttr((*file)->path())->nlink, 0u);
  EXPECT_EQ(ReadFile(**file), "text");
  EXPECT_EQ(vfs::Chmod(op_, (*file)->path(), 0400).error(), Errno::kOk);  // copies a nameless file
  EXPECT_EQ(vfs::GetAttr((*file)->path())->mode, S_IFREG | 0400u);
  EXPECT_EQ(vfs::GetAttr((*file)->path())->nlink, 0u);
  EXPECT_EQ(ReadFile(**file), "text");
  EXPECT_EQ(StatError("/f"), Errno::kNoent);
}

TEST_F(OverlayTest, SymlinksAndSpecialFilesCopyUp) {
  ASSERT_EQ(symlink("to", Host("l").c_str()), 0);
  ASSERT_EQ(mkfifo(Host("p").c_str(), 0644), 0);
  Start();
  Path l = *vfs::Lookup(Ctx(), "/l", false);
  EXPECT_EQ(vfs::Chown(op_, l, 5, 6).error(), Errno::kOk);
  EXPECT_EQ(Readlink("/l"), "to");
  EXPECT_EQ(Stat("/l")->uid, 5u);
  EXPECT_EQ(Chmod("/p", 0600), Errno::kOk);
  EXPECT_EQ(Stat("/p")->mode, S_IFIFO | 0600u);
  EXPECT_EQ(Mknod("/null", S_IFCHR | 0666, {1, 3}), Errno::kOk);
  EXPECT_EQ(Stat("/null")->rdev, (DeviceId{1, 3}));
}

TEST_F(OverlayTest, BoundSocketsSurviveTheCache) {
  HostMkdir("d");
  Start();
  struct Endpoint : RefCounted {};
  Ref<RefCounted> endpoint = MakeRef<Endpoint>();
  EXPECT_TRUE(vfs::Mknod(Ctx(), "/d/s", S_IFSOCK | 0755, {}, endpoint).ok());
  DentryCache::Purge(nullptr);
  EXPECT_EQ(vfs::Lookup(Ctx(), "/d/s", false)->dentry->inode()->bound_socket(), endpoint);
  EXPECT_EQ(Unlink("/d/s"), Errno::kOk);
  DentryCache::Purge(nullptr);
  EXPECT_EQ(endpoint->RefCountForTest(), 1u);
}

TEST_F(OverlayTest, TruncatingOpenCopiesNoData) {
  HostWrite("big", std::string(1 << 20, 'b'));
  TmpfsOptions options;
  options.size = 64 << 10;
  Start(options);
  EXPECT_EQ(Write("/big", "small"), Errno::kOk);
  EXPECT_EQ(Read("/big"), "small");
}

TEST_F(OverlayTest, FullUpperLayerIsEnospcAndLeavesNothing) {
  HostWrite("big", std::string(1 << 20, 'b'));
  TmpfsOptions options;
  options.size = 64 << 10;
  Start(options);
  EXPECT_EQ(Open("/big", O_RDWR).error(), Errno::kNospc);
  EXPECT_EQ(Read("/big").size(), 1u << 20);
  EXPECT_EQ(List("/"), (Names{"big"}));
  EXPECT_EQ(Write("/ok", std::string(32 << 10, 'x')), Errno::kOk);  // room was given back
  EXPECT_EQ(Truncate("/big", 100), Errno::kOk);                     // copies only 100 bytes
  EXPECT_EQ(Read("/big"), std::string(100, 'b'));
}

TEST_F(OverlayTest, SparseFilesStaySparse) {
  int fd = open(Host("s").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_EQ(pwrite(fd, "mid", 3, 1 << 20), 3);
  ASSERT_EQ(ftruncate(fd, 4 << 20), 0);
  close(fd);
  Start();
  auto file = Open("/s", O_RDWR);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(Stat("/s")->size, 4u << 20);
  EXPECT_LT(Stat("/s")->blocks, 200u);
  EXPECT_EQ(ReadFile(**file, 1 << 20).substr(0, 3), "mid");
}

TEST_F(OverlayTest, XattrsCopyUp) {
  HostWrite("f", "x");
  if (setxattr(Host("f").c_str(), "user.a", "1", 1, 0) != 0) GTEST_SKIP();
  Start();
  Path f = *vfs::Lookup(Ctx(), "/f", false);
  EXPECT_EQ(*vfs::GetXattr(op_, f, "user.a"), "1");
  EXPECT_TRUE(vfs::SetXattr(op_, f, "user.b", "2", 0).ok());
  EXPECT_EQ(*vfs::GetXattr(op_, f, "user.a"), "1");
  EXPECT_EQ(*vfs::GetXattr(op_, f, "user.b"), "2");
}

// Counts what it is told.
class Space : public MappingSpace {
 public:
  void InvalidateMappable(Mappable* object, uint64_t start, uint64_t end, bool) override {
    ++told_;
    last_ = object;
  }
  bool Pin() override { return true; }
  void Unpin() override {}
  int told_ = 0;
  Mappable* last_ = nullptr;
};

TEST_F(OverlayTest, MappingsFollowTheCopyUp) {
  HostWrite("f", std::string(kPageSize, 'l'));
  Start();
  auto reader = Open("/f", O_RDONLY);
  Ref<Mappable> m = *(*reader)->Map(true, {.read = true});
  Space space;
  ASSERT_TRUE(m->AddMapping(&space, {0x10000, 0x11000}, 0, false).ok());
  EXPECT_EQ(m->Translate(0, kPageSize, {.read = true})->sentry[0], 'l');
  auto writer = Open("/f", O_RDWR);
  EXPECT_GE(space.told_, 1);
  EXPECT_EQ(space.last_, m.get());
  EXPECT_EQ(*WriteFile(**writer, "U", 0), 1u);
  auto b = m->Translate(0, kPageSize, {.read = true});
  EXPECT_EQ(b->sentry[0], 'U');
  EXPECT_TRUE(b->reusable);
  EXPECT_EQ(*(*writer)->Map(true, {.read = true, .write = true}), m);
  m->RemoveMapping(&space, {0x10000, 0x11000}, 0, false);
}

TEST_F(OverlayTest, DeepTreesCopyUpAndGo) {
  std::string path;
  for (int i = 0; i < 100; ++i) {
    path += (path.empty() ? "" : "/") + std::string("d");
    HostMkdir(path);
  }
  HostWrite(path + "/f", "deep");
  Start();
  EXPECT_EQ(Chmod("/" + path + "/f", 0600), Errno::kOk);
  EXPECT_EQ(Read("/" + path + "/f"), "deep");
}

TEST_F(OverlayTest, TemporaryFiles) {
  HostMkdir("d");
  Start();
  auto file = Open("/d", O_TMPFILE | O_RDWR, 0600);
  ASSERT_TRUE(file.ok()) << ErrnoName(file.error());
  EXPECT_EQ(*WriteFile(**file, "tmp", 0), 3u);
  EXPECT_EQ(vfs::Link((*file)->path(), Ctx(), "/d/named").error(), Errno::kOk);
  EXPECT_EQ(Read("/d/named"), "tmp");
  EXPECT_EQ(Stat("/d/named")->nlink, 1u);
}

TEST_F(OverlayTest, ManyThreads) {
  HostMkdir("d");
  for (int i = 0; i < 40; ++i) HostWrite("d/f" + std::to_string(i), std::string(5000, 'l'));
  Start();
  std::vector<std::thread> threads;
  std::atomic<int> bad{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        std::string name = "/d/f" + std::to_string(i);
        auto file = Open(name, O_RDWR);  // all of them copy up the same files
        if (!file.ok()) ++bad;
        if (file.ok() && ReadFile(**file).size() != 5000) ++bad;
        std::string moved = "/d/m" + std::to_string(i);
        if (i % 4 == t) (void)Rename(name, moved);
        if (List("/d").empty()) ++bad;
        if (i % 4 == t) (void)Rename(moved, name);
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_LE(bad, 160);
  EXPECT_EQ(List("/d").size(), 40u);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(Read("/d/f" + std::to_string(i)).size(), 5000u);
}

}  // namespace
}  // namespace runsc
