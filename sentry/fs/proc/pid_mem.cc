#include <sys/stat.h>

#include <algorithm>

#include "sentry/fs/proc/proc_fs.h"
#include "sentry/vfs/dentry.h"

namespace runsc {
namespace {

// /proc/PID/mem: the address space as it was when opened.
class MemFile final : public File {
 public:
  MemFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<MemoryManager> mm)
      : File(std::move(path), flags, std::move(creds)), mm_(std::move(mm)) {}

  ErrnoOr<size_t> ReadAt(IoContext&, UserOut& dst, uint64_t offset) override {
    char page[kPageSize];
    size_t total = 0;
    while (mm_ && dst.remaining() > 0) {
      size_t want = std::min(dst.remaining(), sizeof(page));
      ErrnoOr<size_t> n = mm_->PeekPartial(page, UserAddr(offset + total), want);
      if (!n.ok()) return total > 0 ? ErrnoOr<size_t>(total) : Errno::kIo;
      ErrnoOr<size_t> put = dst.Write(page, *n);
      if (!put.ok()) return total > 0 ? ErrnoOr<size_t>(total) : put;
      total += *put;
      if (*put < want) break;
    }
    return total;
  }
  ErrnoOr<size_t> WriteAt(IoContext&, UserIn& src, uint64_t offset, uint64_t* end) override {
    char page[kPageSize];
    size_t total = 0;
    while (mm_ && src.remaining() > 0) {
      size_t want = TRY(src.Read(page, sizeof(page)));
      ErrnoOr<size_t> n = mm_->PokePartial(UserAddr(offset + total), page, want);
      if (!n.ok()) return total > 0 ? ErrnoOr<size_t>(total) : Errno::kIo;
      total += *n;
      if (*n < want) break;
    }
    *end = offset + total;
    return total;
  }
  // Addresses above 2^63 have no place in a signed offset; Linux wraps, we refuse.
  ErrnoOr<int64_t> Seek(int64_t offset, int whence) override {
    MutexLock l(offset_mu_);
    if (whence != SEEK_SET && whence != SEEK_CUR) return Errno::kInval;
    int64_t to = whence == SEEK_SET ? offset : offset_ + offset;
    if (to < 0) return Errno::kInval;
    offset_ = to;
    return to;
  }

 private:
  const Ref<MemoryManager> mm_;
};

class MemInode final : public SyntheticInode {
 public:
  MemInode(Ref<Filesystem> fs, Ref<Task> task)
      : SyntheticInode(std::move(fs), S_IFREG | 0600), task_(std::move(task)) {}
  ErrnoOr<Attr> GetAttr() override { return OwnedBy(*task_, TRY(SyntheticInode::GetAttr())); }
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override {
    // Taken before the check: what exec puts in its place comes with credentials of its own.
    Ref<MemoryManager> mm = task_->SharedMm();
    TRY(CheckTaskAccess(ctx, *task_));
    return Ref<File>(MakeRef<MemFile>(path, request.flags, Ref<const Credentials>(&ctx.creds),
                                      std::move(mm)));
  }

 private:
  const Ref<Task> task_;
};

}  // namespace

Ref<SyntheticInode> NewMemFile(const Ref<ProcFs>& fs, Ref<Task> task) {
  return MakeRef<MemInode>(fs, std::move(task));
}

}  // namespace runsc
