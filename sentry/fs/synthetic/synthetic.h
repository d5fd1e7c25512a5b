#ifndef SENTRY_FS_SYNTHETIC_SYNTHETIC_H_
#define SENTRY_FS_SYNTHETIC_SYNTHETIC_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// Building blocks of file systems whose content the sentry makes up: procfs, sysfs, devpts.
// Their inodes are read-only in shape; mode and owner are fixed unless a subclass says otherwise.

// A new inode number for a synthetic inode.
uint64_t NextSyntheticIno();

class SyntheticInode : public Inode {
 public:
  // `mode`: type and permission bits.
  SyntheticInode(Ref<Filesystem> fs, uint32_t mode, Uid uid = 0, Gid gid = 0, uint64_t ino = 0);
  uint32_t type() const override { return mode_ & 0170000; }
  ErrnoOr<Attr> GetAttr() override;
  Status SetAttr(const OpContext& ctx, const AttrChange& change) override;
  bool TakesDirectIo() const override { return false; }
  uint64_t ino() const { return ino_; }

 private:
  const uint32_t mode_;
  const Uid uid_;
  const Gid gid_;
  const uint64_t ino_;
  const FileTime born_;
};

// One row of a directory listing.
struct SyntheticEntry {
  std::string name;
  uint64_t ino = 0;
  uint32_t type = 0;  // S_IFMT bits
};

// A directory whose entries a subclass looks up and lists.
class SyntheticDir : public SyntheticInode {
 public:
  using SyntheticInode::SyntheticInode;
  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override = 0;
  // All entries but "." and "..", in a stable order.
  virtual std::vector<SyntheticEntry> List(const OpContext& ctx) = 0;
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;
};

// A directory with a fixed set of children.
class StaticDir : public SyntheticDir {
 public:
  StaticDir(Ref<Filesystem> fs, uint32_t permissions = 0555)
      : SyntheticDir(std::move(fs), 0040000 | permissions) {}
  // Before the directory is visible to guests.
  void Add(std::string name, Ref<SyntheticInode> child);
  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override;
  std::vector<SyntheticEntry> List(const OpContext& ctx) override;

 private:
  std::map<std::string, Ref<SyntheticInode>, std::less<>> children_;
};

// A regular file of text that is made when it is read from offset 0 (or first), and stays the same
// for the rest of that description's reads, as seq_file does.
class TextInode : public SyntheticInode {
 public:
  TextInode(Ref<Filesystem> fs, uint32_t permissions, Uid uid = 0, Gid gid = 0)
      : SyntheticInode(std::move(fs), 0100000 | permissions, uid, gid) {}
  // The whole text; ESRCH and the like if its subject is gone.
  virtual ErrnoOr<std::string> Text(const OpContext& ctx) = 0;
  // One write(2), at most a page; EINVAL and so on. Default EACCES-like refusal: EIO.
  virtual Status Store(const OpContext& ctx, std::string_view text);
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;
};

// A TextInode from a plain function.
class FunctionText final : public TextInode {
 public:
  using Function = ErrnoOr<std::string> (*)(const OpContext& ctx);
  FunctionText(Ref<Filesystem> fs, Function function, uint32_t permissions = 0444)
      : TextInode(std::move(fs), permissions), function_(function) {}
  ErrnoOr<std::string> Text(const OpContext& ctx) override { return function_(ctx); }

 private:
  const Function function_;
};

// A TextInode that never changes.
class ConstantText final : public TextInode {
 public:
  ConstantText(Ref<Filesystem> fs, std::string text, uint32_t permissions = 0444)
      : TextInode(std::move(fs), permissions), text_(std::move(text)) {}
  ErrnoOr<std::string> Text(const OpContext&) override { return text_; }

 private:
  const std::string text_;
};

// A symlink with a fixed text.
class ConstantLink final : public SyntheticInode {
 public:
  ConstantLink(Ref<Filesystem> fs, std::string target)
      : SyntheticInode(std::move(fs), 0120777), target_(std::move(target)) {}
  ErrnoOr<std::string> Readlink(const OpContext&) override { return target_; }
  ErrnoOr<Ref<File>> Open(const OpContext&, const Path&, const OpenRequest&) override {
    return Errno::kLoop;
  }

 private:
  const std::string target_;
};

}  // namespace runsc

#endif  // SENTRY_FS_SYNTHETIC_SYNTHETIC_H_
