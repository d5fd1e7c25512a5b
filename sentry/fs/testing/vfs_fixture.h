#ifndef SENTRY_FS_TESTING_VFS_FIXTURE_H_
#define SENTRY_FS_TESTING_VFS_FIXTURE_H_

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "sentry/auth/credentials.h"
#include "sentry/vfs/vfs.h"

namespace runsc {

// File calls by path on one mounted file system, for tests of file systems. As root; answers are
// values or errors, texts as strings.
class VfsTest : public testing::Test {
 protected:
  void MountRoot(Ref<Filesystem> fs, uint32_t flags = 0);
  void TearDown() override;

  LookupContext Ctx();
  ErrnoOr<Ref<File>> Open(std::string_view path, uint32_t flags, uint32_t mode = 0644);
  // Whole contents; "!ENOENT" and so on on errors.
  std::string Read(std::string_view path);
  std::string ReadFile(File& file, uint64_t offset = 0);
  Errno Write(std::string_view path, std::string_view text, uint32_t flags = 0);
  ErrnoOr<size_t> WriteFile(File& file, std::string_view text, uint64_t offset,
                            bool append = false);
  ErrnoOr<Attr> Stat(std::string_view path, bool follow = false);
  Errno StatError(std::string_view path) { return Stat(path).error(); }
  // Names but the dots.
  std::set<std::string> List(std::string_view path);
  Errno Mkdir(std::string_view path, uint32_t mode = 0755);
  Errno Unlink(std::string_view path);
  Errno Rmdir(std::string_view path);
  Errno Rename(std::string_view from, std::string_view to, uint32_t flags = 0);
  Errno Link(std::string_view from, std::string_view to);
  Errno Symlink(std::string_view target, std::string_view path);
  std::string Readlink(std::string_view path);
  Errno Chmod(std::string_view path, uint32_t mode);
  Errno Truncate(std::string_view path, uint64_t size);
  Errno Mknod(std::string_view path, uint32_t mode, DeviceId dev = {});

  Ref<Credentials> creds_ = Credentials::NewRoot(UserNamespace::NewRoot());
  OpContext op_{*creds_};
  IoContext io_{*creds_};
  Ref<FsContext> fs_;
};

}  // namespace runsc

#endif  // SENTRY_FS_TESTING_VFS_FIXTURE_H_
