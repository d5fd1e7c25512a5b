#include "sentry/fs/tmpfs/tmpfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

class TmpfsTest : public testing::Test {
 protected:
  TmpfsTest()
      : memory_(MemoryFile::Create(uint64_t{1} << 36)),
        creds_(Credentials::NewRoot(UserNamespace::NewRoot())) {
    ns_ = MountNamespace::New(Mount::New(Tmpfs::New(*memory_, {.mode = 0755}), 0, "none"));
    fs_ = MakeRef<FsContext>(ns_, ns_->Root(), ns_->Root(), 022);
  }
  LookupContext At(uint64_t resolve = 0) { return {op(), *fs_, fs_->cwd(), resolve}; }
  const OpContext& op() {
    op_.emplace(OpContext{*creds_});
    return *op_;
  }
  ErrnoOr<Ref<File>> Open(std::string_view path, uint32_t flags, uint64_t resolve = 0) {
    return vfs::Open(At(resolve), path, flags, 0666);
  }
  void Put(std::string_view path, std::string_view text) {
    Ref<File> f = Open(path, O_CREAT | O_WRONLY | O_TRUNC).value();
    Write(*f, text);
  }
  size_t Write(File& f, std::string_view text) {
    IoContext io{*creds_};
    UserIn src(text.data(), text.size());
    return f.Write(io, src).value();
  }
  std::string ReadAt(File& f, uint64_t offset, size_t n) {
    std::string out(n, '?');
    IoContext io{*creds_};
    UserOut dst(out.data(), n);
    out.resize(f.ReadAt(io, dst, offset).value());
    return out;
  }
  std::string Get(std::string_view path) {
    return ReadAt(*Open(path, O_RDONLY).value(), 0, 1 << 16);
  }
  Errno Try(std::string_view path, uint32_t flags, uint64_t resolve = 0) {
    return Open(path, flags, resolve).error();
  }
  Attr Stat(std::string_view path) {
    return vfs::GetAttr(vfs::Lookup(At(), path, true).value()).value();
  }

  std::unique_ptr<MemoryFile> memory_;
  Ref<Credentials> creds_;
  std::optional<OpContext> op_;
  Ref<MountNamespace> ns_;
  Ref<FsContext> fs_;
};

TEST_F(TmpfsTest, CreateWriteReadStat) {
  Put("/a", "hello");
  EXPECT_EQ(Get("a"), "hello");
  Attr st = Stat("/a");
  EXPECT_EQ(st.size, 5u);
  EXPECT_EQ(st.mode, S_IFREG | 0644u);
  EXPECT_EQ(st.blocks, 8u);
  EXPECT_EQ(st.nlink, 1u);
}

TEST_F(TmpfsTest, WalkErrors) {
  Put("/f", "x");
  ASSERT_TRUE(vfs::Mkdir(At(), "/d", 0777).ok());
  EXPECT_EQ(Try("", O_RDONLY), Errno::kNoent);
  EXPECT_EQ(Try("/f/", O_RDONLY), Errno::kNotdir);
  EXPECT_EQ(Try("/f/x", O_RDONLY), Errno::kNotdir);
  EXPECT_EQ(Try("/f/.", O_RDONLY), Errno::kNotdir);
  EXPECT_EQ(Try("/d", O_WRONLY), Errno::kIsdir);
  EXPECT_EQ(Try("/d/", O_CREAT | O_RDWR), Errno::kIsdir);
  EXPECT_EQ(Try("/new/", O_CREAT | O_RDWR), Errno::kIsdir);
  EXPECT_EQ(Try("/f", O_CREAT | O_EXCL | O_RDWR), Errno::kExist);
  EXPECT_EQ(Try("/f", O_DIRECTORY | O_RDONLY), Errno::kNotdir);
  EXPECT_EQ(Try("/" + std::string(256, 'x'), O_RDONLY), Errno::kNametoolong);
  EXPECT_EQ(Try(std::string(4096, '/'), O_RDONLY), Errno::kNametoolong);
  EXPECT_TRUE(Open("/../../d/../f", O_RDONLY).ok());
  EXPECT_EQ(vfs::Rmdir(At(), "/d/.").error(), Errno::kInval);
  EXPECT_EQ(vfs::Rmdir(At(), "/d/..").error(), Errno::kNotempty);
  EXPECT_EQ(vfs::Rmdir(At(), "/").error(), Errno::kBusy);
  EXPECT_EQ(vfs::Unlink(At(), "/d").error(), Errno::kIsdir);
  EXPECT_EQ(vfs::Unlink(At(), "/f/").error(), Errno::kNotdir);
  EXPECT_EQ(vfs::Mkdir(At(), "/d", 0777).error(), Errno::kExist);
  EXPECT_EQ(vfs::Mkdir(At(), "/", 0777).error(), Errno::kExist);
  EXPECT_TRUE(vfs::Mkdir(At(), "/e///", 0777).ok());
}

TEST_F(TmpfsTest, Symlinks) {
  Put("/f", "data");
  ASSERT_TRUE(vfs::Symlink(At(), "f", "/rel").ok());
  ASSERT_TRUE(vfs::Symlink(At(), "/rel", "/abs").ok());
  ASSERT_TRUE(vfs::Symlink(At(), "loop", "/loop").ok());
  ASSERT_TRUE(vfs::Symlink(At(), "target", "/dangling").ok());
  EXPECT_EQ(Get("/abs"), "data");
  EXPECT_EQ(Try("/abs", O_RDONLY | O_NOFOLLOW), Errno::kLoop);
  EXPECT_EQ(Try("/loop", O_RDONLY), Errno::kLoop);
  EXPECT_EQ(Try("/abs/", O_RDONLY), Errno::kNotdir);
  EXPECT_EQ(Try("/dangling", O_CREAT | O_EXCL | O_RDWR), Errno::kExist);
  ASSERT_TRUE(Open("/dangling", O_CREAT | O_RDWR).ok());
  EXPECT_EQ(Stat("/target").size, 0u);
  std::string prev = "f";
  for (int i = 0; i < 41; ++i) {
    std::string name = "l" + std::to_string(i);
    ASSERT_TRUE(vfs::Symlink(At(), prev, name).ok());
    prev = name;
  }
  EXPECT_TRUE(Open("l39", O_RDONLY).ok());
  EXPECT_EQ(Try("l40", O_RDONLY), Errno::kLoop);
}

TEST_F(TmpfsTest, SymlinkToDirectoryWithTail) {
  ASSERT_TRUE(vfs::Mkdir(At(), "/d", 0777).ok());
  Put("/d/f", "in d");
  ASSERT_TRUE(vfs::Symlink(At(), "d", "/ld").ok());
  EXPECT_EQ(Get("/ld/f"), "in d");
  EXPECT_EQ(Get("/ld/../ld//f"), "in d");
  EXPECT_TRUE(Open("/ld/", O_DIRECTORY).ok());
  EXPECT_EQ(vfs::Rmdir(At(), "/ld").error(), Errno::kNotdir);
  EXPECT_EQ(vfs::Rmdir(At(), "/ld/").error(), Errno::kNotdir);
}

TEST_F(TmpfsTest, ResolveFlags) {
  ASSERT_TRUE(vfs::Mkdir(At(), "/d", 0777).ok());
  Put("/d/f", "x");
  Put("/top", "y");
  ASSERT_TRUE(vfs::Symlink(At(), "/top", "/d/abs").ok());
  ASSERT_TRUE(vfs::Symlink(At(), "../top", "/d/up").ok());
  ASSERT_TRUE(vfs::Symlink(At(), "f", "/d/in").ok());
  fs_->SetCwd(vfs::Lookup(At(), "/d", true).value());
  EXPECT_TRUE(Open("in", O_RDONLY, RESOLVE_BENEATH).ok());
  EXPECT_EQ(Try("abs", O_RDONLY, RESOLVE_BENEATH), Errno::kXdev);
  EXPECT_EQ(Try("up", O_RDONLY, RESOLVE_BENEATH), Errno::kXdev);
  EXPECT_EQ(Try("..", O_RDONLY, RESOLVE_BENEATH), Errno::kXdev);
  EXPECT_EQ(Try("in", O_RDONLY, RESOLVE_NO_SYMLINKS), Errno::kLoop);
  EXPECT_EQ(Try("/top", O_RDONLY, RESOLVE_IN_ROOT), Errno::kNoent);
  EXPECT_TRUE(Open("/../f", O_RDONLY, RESOLVE_IN_ROOT).ok());
}

TEST_F(TmpfsTest, RenameRules) {
  ASSERT_TRUE(vfs::Mkdir(At(), "/d", 0777).ok());
  ASSERT_TRUE(vfs::Mkdir(At(), "/d/s", 0777).ok());
  Put("/f", "f");
  Put("/g", "g");
  auto rename = [&](std::string_view a, std::string_view b, uint32_t flags = 0) {
    return vfs::Rename(At(), a, At(), b, flags).error();
  };
  EXPECT_EQ(rename("/d", "/d/s/x"), Errno::kInval);
  EXPECT_EQ(rename("/d/s", "/d"), Errno::kNotempty);
  EXPECT_EQ(rename("/f", "/d"), Errno::kIsdir);
  EXPECT_EQ(rename("/d", "/f"), Errno::kNotdir);
  EXPECT_EQ(rename("/f", "/g", RENAME_NOREPLACE), Errno::kExist);
  EXPECT_EQ(rename("/f", "/g", RENAME_EXCHANGE), Errno::kOk);
  EXPECT_EQ(Get("/f"), "g");
  EXPECT_EQ(rename("/f", "/d/s/f"), Errno::kOk);
  EXPECT_EQ(Try("/f", O_RDONLY), Errno::kNoent);
  EXPECT_EQ(Get("/d/s/f"), "g");
  EXPECT_EQ(rename("/d/s", "/s2"), Errno::kOk);
  EXPECT_EQ(Get("/s2/f"), "g");
  EXPECT_EQ(Stat("/d").nlink, 2u);
  EXPECT_EQ(rename("/missing", "/x"), Errno::kNoent);
  Path p = vfs::Lookup(At(), "/s2/f", true).value();
  EXPECT_EQ(vfs::PathName(p, ns_->Root()), "/s2/f");
}

TEST_F(TmpfsTest, UnlinkedFileLivesWhileOpen) {
  Put("/f", "abc");
  Ref<File> f = Open("/f", O_RDWR).value();
  ASSERT_TRUE(vfs::Unlink(At(), "/f").ok());
  EXPECT_EQ(ReadAt(*f, 0, 10), "abc");
  EXPECT_EQ(f->inode().GetAttr()->nlink, 0u);
  EXPECT_EQ(vfs::PathName(f->path(), ns_->Root()), "/f (deleted)");
  uint64_t held = memory_->AllocatedBytes();
  f.reset();
  EXPECT_LT(memory_->AllocatedBytes(), held);
}

TEST_F(TmpfsTest, SparseFilesSeekAndPunch) {
  Ref<File> f = Open("/f", O_CREAT | O_RDWR).value();
  ASSERT_EQ(f->Seek(1 << 20, SEEK_SET).value(), 1 << 20);
  Write(*f, "end");
  EXPECT_EQ(f->inode().GetAttr()->blocks, 8u);
  EXPECT_EQ(f->Seek(0, SEEK_DATA).value(), 1 << 20);
  EXPECT_EQ(f->Seek(0, SEEK_HOLE).value(), 0);
  EXPECT_EQ(f->Seek(1 << 20, SEEK_HOLE).value(), (1 << 20) + 3);
  EXPECT_EQ(f->Seek(2 << 20, SEEK_DATA).error(), Errno::kNxio);
  EXPECT_EQ(ReadAt(*f, (1 << 20) - 2, 10), std::string("\0\0end", 5));
  ASSERT_TRUE(f->Allocate(op(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 2).ok());
  EXPECT_EQ(ReadAt(*f, 1 << 20, 10), std::string("\0\0d", 3));
  ASSERT_TRUE(f->Allocate(op(), FALLOC_FL_KEEP_SIZE, 4 << 20, 8192).ok());
  EXPECT_EQ(f->inode().GetAttr()->size, (1u << 20) + 3);
  EXPECT_EQ(f->inode().GetAttr()->blocks, 24u);
  ASSERT_TRUE(f->Truncate(op(), 10).ok());
  EXPECT_EQ(f->inode().GetAttr()->blocks, 0u);
  EXPECT_EQ(f->Allocate(op(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096).error(), Errno::kOpnotsupp);
}

TEST_F(TmpfsTest, TruncateZeroesTheTail) {
  Put("/f", "abcdef");
  Ref<File> f = Open("/f", O_RDWR).value();
  ASSERT_TRUE(f->Truncate(op(), 2).ok());
  ASSERT_TRUE(f->Truncate(op(), 6).ok());
  EXPECT_EQ(ReadAt(*f, 0, 10), std::string("ab\0\0\0\0", 6));
}

TEST_F(TmpfsTest, ManySmallAppendsMakeFewExtents) {
  Ref<File> f = Open("/f", O_CREAT | O_RDWR | O_APPEND).value();
  std::string block(4096, 'x');
  for (int i = 0; i < 1024; ++i) Write(*f, block);
  EXPECT_EQ(f->inode().GetAttr()->size, 4u << 20);
  EXPECT_EQ(f->inode().GetAttr()->blocks, 8192u);
  EXPECT_EQ(ReadAt(*f, 4090, 10), "xxxxxxxxxx");
  Backing b = f->Map(true, {true, true, false}).value()->Translate(1 << 20, 1 << 20, {}).value();
  EXPECT_GE(b.length, 512u << 10);
}

TEST_F(TmpfsTest, SizeLimitIsEnospc) {
  Ref<Mount> m = Mount::New(Tmpfs::New(*memory_, {.size = 8192, .inodes = 3}), 0, "small");
  ASSERT_TRUE(vfs::Mkdir(At(), "/m", 0777).ok());
  ASSERT_TRUE(ns_->Attach(m, vfs::Lookup(At(), "/m", true).value()).ok());
  m.reset();
  Ref<File> f = Open("/m/f", O_CREAT | O_RDWR).value();
  EXPECT_EQ(Write(*f, std::string(16384, 'x')), 8192u);
  IoContext io{*creds_};
  UserIn more("x", 1);
  EXPECT_EQ(f->Write(io, more).error(), Errno::kNospc);
  EXPECT_TRUE(Open("/m/g", O_CREAT | O_RDWR).ok());
  EXPECT_EQ(Try("/m/h", O_CREAT | O_RDWR), Errno::kNospc);
  EXPECT_EQ(vfs::Rmdir(At(), "/m").error(), Errno::kBusy);
  {
    Path at = vfs::Lookup(At(), "/m", true).value();
    EXPECT_EQ(ns_->Detach(at, 0).error(), Errno::kBusy);
    f.reset();
    EXPECT_TRUE(ns_->Detach(at, 0).ok());
  }
  EXPECT_EQ(Try("/m/f", O_RDONLY), Errno::kNoent);
}

TEST_F(TmpfsTest, UnmountFreesDeepTrees) {
  uint64_t before = memory_->AllocatedBytes();
  ASSERT_TRUE(vfs::Mkdir(At(), "/m", 0777).ok());
  ASSERT_TRUE(ns_->Attach(Mount::New(Tmpfs::New(*memory_, {}), 0, "t"),
                          vfs::Lookup(At(), "/m", true).value())
                  .ok());
  fs_->SetCwd(vfs::Lookup(At(), "/m", true).value());
  for (int i = 0; i < 50000; ++i) {
    ASSERT_TRUE(vfs::Mkdir(At(), "d", 0777).ok());
    fs_->SetCwd(vfs::Lookup(At(), "d", true).value());
  }
  Put("file", std::string(10000, 'x'));
  fs_->SetCwd(ns_->Root());
  ASSERT_TRUE(ns_->Detach(vfs::Lookup(At(), "/m", true).value(), MNT_DETACH).ok());
  EXPECT_EQ(memory_->AllocatedBytes(), before);
}

TEST_F(TmpfsTest, BindPivotAndMountInfo) {
  ASSERT_TRUE(vfs::Mkdir(At(), "/a", 0777).ok());
  ASSERT_TRUE(vfs::Mkdir(At(), "/b", 0777).ok());
  ASSERT_TRUE(vfs::Mkdir(At(), "/new", 0777).ok());
  Put("/a/f", "bound");
  auto at = [&](const char* p) { return vfs::Lookup(At(), p, true).value(); };
  ASSERT_TRUE(ns_->Attach(ns_->Bind(at("/a"), true).value(), at("/b")).ok());
  EXPECT_EQ(Get("/b/f"), "bound");
  ASSERT_TRUE(ns_->SetFlags(at("/b"), MS_RDONLY).ok());
  EXPECT_EQ(Try("/b/f", O_RDWR), Errno::kRofs);
  EXPECT_EQ(vfs::Unlink(At(), "/b/f").error(), Errno::kRofs);
  std::vector<MountInfo> rows = ns_->List(ns_->Root());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].mount_point, "/b");
  EXPECT_EQ(rows[1].root, "/a");
  ASSERT_TRUE(
      ns_->Attach(Mount::New(Tmpfs::New(*memory_, {}), 0, "new"), at("/new")).ok());
  ASSERT_TRUE(vfs::Mkdir(At(), "/new/old", 0777).ok());
  ASSERT_TRUE(ns_->PivotRoot(at("/new"), at("/new/old")).ok());
  EXPECT_EQ(Get("/old/b/f"), "bound");
  EXPECT_EQ(fs_->root(), ns_->Root());
}

TEST_F(TmpfsTest, FailedRecursiveBindLeavesNothing) {
  for (const char* d : {"/a", "/a/sub"}) ASSERT_TRUE(vfs::Mkdir(At(), d, 0777).ok());
  Put("/file", "x");
  auto at = [&](const char* p) { return vfs::Lookup(At(), p, true).value(); };
  Ref<Dentry> sub = at("/a/sub").dentry;
  ASSERT_TRUE(
      ns_->Attach(Mount::New(Tmpfs::New(*memory_, {}), 0, "inner"), at("/a/sub")).ok());
  EXPECT_EQ(sub->mounted.load(), 1u);
  EXPECT_EQ(ns_->Attach(ns_->Bind(at("/a"), true).value(), at("/file")).error(), Errno::kNotdir);
  EXPECT_EQ(sub->mounted.load(), 1u);
  EXPECT_EQ(ns_->List(ns_->Root()).size(), 2u);
}

TEST_F(TmpfsTest, ReadDirIsStableUnderDeletion) {
  for (int i = 0; i < 100; ++i) Put("/f" + std::to_string(i), "");
  struct Sink : DirSink {
    std::set<std::string> names;
    int room = 10;
    bool Add(std::string_view name, uint64_t, uint32_t, int64_t) override {
      if (room-- == 0) return false;
      names.insert(std::string(name));
      return true;
    }
  } sink;
  Ref<File> dir = Open("/", O_RDONLY | O_DIRECTORY).value();
  size_t before;
  do {
    before = sink.names.size();
    sink.room = 10;
    ASSERT_TRUE(dir->ReadDir(op(), sink).ok());
    for (const std::string& n : sink.names) {
      Status ignored = vfs::Unlink(At(), "/" + n);
      (void)ignored;
    }
  } while (sink.names.size() != before);
  EXPECT_EQ(sink.names.size(), 102u);
}

TEST_F(TmpfsTest, PermissionsAndSticky) {
  ASSERT_TRUE(vfs::Mkdir(At(), "/t", 0777).ok());
  ASSERT_TRUE(vfs::Chmod(op(), vfs::Lookup(At(), "/t", true).value(), 01777).ok());
  Put("/t/rootfile", "x");
  creds_ = creds_->Fork();
  creds_->fsuid = creds_->euid = 1000;
  creds_->effective = {};
  EXPECT_EQ(vfs::Unlink(At(), "/t/rootfile").error(), Errno::kPerm);
  EXPECT_EQ(Try("/t/rootfile", O_WRONLY), Errno::kAcces);
  EXPECT_EQ(Try("/x", O_CREAT | O_WRONLY), Errno::kAcces);
  EXPECT_TRUE(Open("/t/mine", O_CREAT | O_WRONLY).ok());
  EXPECT_TRUE(vfs::Unlink(At(), "/t/mine").ok());
}

TEST_F(TmpfsTest, SearchPermissionCacheFollowsChmod) {
  ASSERT_TRUE(vfs::Mkdir(At(), "/d", 0755).ok());
  Put("/d/f", "x");
  creds_ = creds_->Fork();
  Ref<Credentials> root = creds_;
  Ref<Credentials> user = creds_->Fork();
  user->fsuid = user->euid = 1000;
  user->effective = {};
  creds_ = user;
  EXPECT_TRUE(Open("/d/f", O_RDONLY).ok());
  creds_ = root;
  ASSERT_TRUE(vfs::Chmod(op(), vfs::Lookup(At(), "/d", true).value(), 0700).ok());
  creds_ = user;
  EXPECT_EQ(Try("/d/f", O_RDONLY), Errno::kAcces);
}

TEST_F(TmpfsTest, MemfdSeals) {
  Ref<File> f = NewMemfd(*memory_, "m", true, true, creds_).value();
  Write(*f, "data");
  EXPECT_EQ(f->inode().GetSeals().value(), 0u);
  ASSERT_TRUE(f->inode().AddSeals(F_SEAL_SHRINK | F_SEAL_GROW).ok());
  EXPECT_EQ(f->Truncate(op(), 1).error(), Errno::kPerm);
  EXPECT_EQ(f->Truncate(op(), 100).error(), Errno::kPerm);
  ASSERT_TRUE(f->inode().AddSeals(F_SEAL_WRITE | F_SEAL_SEAL).ok());
  IoContext io{*creds_};
  UserIn src("x", 1);
  EXPECT_EQ(f->Write(io, src).error(), Errno::kPerm);
  EXPECT_EQ(f->inode().AddSeals(F_SEAL_WRITE).error(), Errno::kPerm);
}

TEST_F(TmpfsTest, TmpfileCanBeLinked) {
  Ref<File> f = Open("/", O_TMPFILE | O_RDWR).value();
  Write(*f, "tmp");
  EXPECT_EQ(f->inode().GetAttr()->nlink, 0u);
  ASSERT_TRUE(vfs::Link(f->path(), At(), "/named").ok());
  EXPECT_EQ(Get("/named"), "tmp");
}

TEST_F(TmpfsTest, InotifySeesCreateMoveDelete) {
  Ref<Inotify> in = Inotify::New(0, creds_).value();
  ASSERT_TRUE(in->AddWatch(vfs::Lookup(At(), "/", true)->dentry->inode(), IN_ALL_EVENTS).ok());
  Put("/f", "x");
  ASSERT_TRUE(vfs::Rename(At(), "/f", At(), "/g", 0).ok());
  ASSERT_TRUE(vfs::Unlink(At(), "/g").ok());
  std::vector<uint32_t> masks;
  alignas(inotify_event) char buffer[4096];
  IoContext io{*creds_};
  UserOut dst(buffer, sizeof(buffer));
  size_t n = in->Read(io, dst).value();
  for (size_t i = 0; i < n;) {
    auto* e = reinterpret_cast<inotify_event*>(buffer + i);
    masks.push_back(e->mask);
    i += sizeof(*e) + e->len;
  }
  EXPECT_EQ(masks, (std::vector<uint32_t>{IN_CREATE, IN_OPEN, IN_CLOSE_WRITE, IN_MOVED_FROM,
                                          IN_MOVED_TO, IN_DELETE}));
}

TEST_F(TmpfsTest, InotifyWatchesAreCountedByUser) {
  constexpr int kLimit = 65536;  // /proc/sys/fs/inotify/max_user_watches
  Ref<Inotify> first = Inotify::New(0, creds_).value(), second = Inotify::New(0, creds_).value();
  std::vector<Ref<Inode>> inodes;
  for (int i = 0; i <= kLimit; ++i) {
    inodes.push_back(Open("/", O_TMPFILE | O_RDWR).value()->path().dentry->inode());
  }
  for (int i = 0; i < kLimit; ++i) {
    ASSERT_TRUE((i % 2 != 0 ? first : second)->AddWatch(inodes[i], IN_OPEN).ok()) << i;
  }
  EXPECT_EQ(second->AddWatch(inodes[kLimit], IN_OPEN).error(), Errno::kNospc);
  first.reset();
  EXPECT_TRUE(second->AddWatch(inodes[kLimit], IN_OPEN).ok());
}

TEST_F(TmpfsTest, LocksConflictSplitAndDeadlock) {
  Put("/f", "x");
  FileLocks& locks = vfs::Lookup(At(), "/f", true)->dentry->get_inode()->locks();
  LockOwner a{LockOwner::kPosix, 101, 1}, b{LockOwner::kPosix, 102, 2};
  ASSERT_TRUE(locks.Lock({a, true, 0, 100}, nullptr).ok());
  EXPECT_EQ(locks.Lock({b, false, 50, 60}, nullptr).error(), Errno::kWouldBlock);
  locks.Unlock(a, 40, 60);
  EXPECT_TRUE(locks.Lock({b, true, 45, 55}, nullptr).ok());
  EXPECT_EQ(locks.Rows().size(), 3u);
  LockWait wa, wb;
  EXPECT_EQ(locks.Lock({a, true, 50, 51}, &wa).error(), Errno::kWouldBlock);
  EXPECT_EQ(locks.Rows().size(), 4u);
  EXPECT_EQ(locks.Lock({b, true, 0, 1}, &wb).error(), Errno::kDeadlk);
  EXPECT_EQ(locks.Rows().size(), 4u);  // who is told of a deadlock does not wait
  locks.Release(b);
  EXPECT_TRUE(locks.Lock({a, true, 50, 51}, &wa).ok());
  EXPECT_EQ(locks.Rows().size(), 3u);
}

TEST_F(TmpfsTest, FdTableLowestFree) {
  Ref<FdTable> t = FdTable::New();
  Ref<File> f = Open("/", O_RDONLY).value();
  for (int i = 0; i < 200; ++i) EXPECT_EQ(t->Install(f, false, 1000).value().value, i);
  EXPECT_TRUE(t->Remove(FdNum(70)).ok());
  EXPECT_TRUE(t->Remove(FdNum(3)).ok());
  EXPECT_EQ(t->Install(f, false, 1000, 10).value().value, 70);
  EXPECT_EQ(t->Install(f, true, 1000).value().value, 3);
  EXPECT_EQ(t->Install(f, true, 200).error(), Errno::kMfile);
  EXPECT_EQ(t->Install(f, true, 1000, 500).value().value, 500);
  Ref<FdTable> copy = t->Fork(100);
  EXPECT_EQ(copy->Count(), 100u);
  EXPECT_EQ(copy->Install(f, false, 1000).value().value, 100);
  EXPECT_EQ(t->Get(FdNum(-1)).error(), Errno::kBadf);
  EXPECT_TRUE(t->CloseOnExec(FdNum(3)).value());
}

}  // namespace
}  // namespace runsc
