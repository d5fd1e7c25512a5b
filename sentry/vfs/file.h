#ifndef SENTRY_VFS_FILE_H_
#define SENTRY_VFS_FILE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "sentry/mm/mappable.h"
#include "sentry/usermem/usermem.h"
#include "sentry/vfs/async.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/types.h"
#include "sentry/wait/wait.h"

namespace runsc {

class File;
class Inode;

// Receives directory entries in order.
class DirSink {
 public:
  virtual ~DirSink() = default;
  // `next_offset` is the directory offset after this entry (d_off). Answers false if it does not
  // fit: the entry is then not consumed and listing stops.
  virtual bool Add(std::string_view name, uint64_t ino, uint32_t type_bits, int64_t next_offset) = 0;
};

// Arguments of ioctl(2).
struct IoctlRequest {
  uint32_t command = 0;
  uint64_t arg = 0;
  UserMemory& mem;
};

// Held while hooks of a dying File run, and by owners of hooks while they or their hooks go.
Mutex<LockRank::kEpollTopology>& FileReleaseLock();

// Told when the last reference to a File goes, before it is destroyed (epoll(7) interest).
class FileReleaseHook {
 public:
  // FileReleaseLock() is held. The file is whole, but has no references any more.
  virtual void OnFileRelease(File& file) = 0;

 protected:
  virtual ~FileReleaseHook() = default;
};

// An open file description (open(2)): flags, offset, and the operations of whatever it is.
// Operations never sleep: what would sleep answers kWouldBlock, and the caller waits on the
// Pollable side (EPOLLIN before reads, EPOLLOUT before writes). Thread-safe.
class File : public RefCounted, public Pollable {
 public:
  // Descriptions without a path (pipes, sockets, eventfd) still have a Path on an internal mount,
  // made by vfs/anon.h.
  File(Path path, uint32_t flags, Ref<const Credentials> creds);
  ~File() override;

  const Path& path() const { return path_; }
  Inode& inode() const { return *inode_; }
  const Credentials& creds() const { return *creds_; }

  // O_* status flags (access mode, O_APPEND, O_NONBLOCK, O_ASYNC, O_DIRECT, O_PATH, …).
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void SetFlags(uint32_t mask, uint32_t value);
  bool readable() const { return readable_; }
  bool writable() const { return writable_; }
  bool is_path_only() const { return path_only_; }
  bool nonblock() const;

  // Until when (monotonic ns) a read that answered kWouldBlock waits, for a call that began at
  // `began`; INT64_MAX: forever. At that time Read runs again with io.expired and does not answer
  // kWouldBlock. For files with a time-out of their own: VTIME of termios(3).
  virtual int64_t ReadDeadline(int64_t began) { return INT64_MAX; }

  // At the file offset, which advances. Streams override these; files with positions override the
  // *At forms and inherit these. Answers bytes moved; 0 is end of file. Files without positions
  // answer ESPIPE to the *At forms.
  virtual ErrnoOr<size_t> Read(IoContext& io, UserOut& dst);
  virtual ErrnoOr<size_t> Write(IoContext& io, UserIn& src);
  virtual ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t offset);
  // With io.append the offset is ignored and data goes to the end; `*end_offset` gets the offset
  // after the last byte written.
  virtual ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                                  uint64_t* end_offset);
  // lseek(2). Default: SEEK_SET, SEEK_CUR, SEEK_END by the inode's size; SEEK_DATA/HOLE through
  // SeekData. ESPIPE for streams (seekable() false).
  virtual ErrnoOr<int64_t> Seek(int64_t offset, int whence);
  virtual bool seekable() const { return true; }
  // Next data (or hole) offset at or after `offset`. Default: all data, a hole at the end. ENXIO.
  virtual ErrnoOr<uint64_t> SeekData(uint64_t offset, bool hole);
  // Lists from the file offset. ENOTDIR by default.
  virtual Status ReadDir(const OpContext& ctx, DirSink& sink);
  virtual Status Sync(bool data_only);
  virtual Status SyncRange(uint64_t start, uint64_t length) { return Sync(true); }
  // fallocate(2) modes. EOPNOTSUPP, ENODEV, ESPIPE.
  virtual Status Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length);
  virtual Status Truncate(const OpContext& ctx, uint64_t size);
  // ENOTTY for unknown commands. FIONBIO, FIOASYNC, FIOCLEX are served above.
  virtual ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request);
  // Object for mmap(2); ENODEV by default. May refuse by `shared` and `access`.
  virtual ErrnoOr<Ref<Mappable>> Map(bool shared, Access access);
  // A FIFO opened without O_NONBLOCK waits for its other end: kWouldBlock until it has come (the
  // file already counts as this end). open(2) waits with it before installing the descriptor.
  virtual Status FinishOpen() { return Ok(); }
  // Called at each close(2) of a descriptor (not at the last reference): flush, POSIX locks.
  virtual Status OnDescriptorClose(const OpContext& ctx) { return Ok(); }
  // Text after "pos, flags, mnt_id, ino" in /proc/pid/fdinfo.
  virtual std::string FdInfo() { return ""; }
  // What /proc/pid/fd/N reads as when the path is not a real one ("pipe:[12]"); empty: the path.
  virtual std::string Description() { return ""; }

  // Regular files and directories: always ready; no events.
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override {}
  void RemoveWaiter(Waiter* w) override {}

  // Offset as lseek(fd, 0, SEEK_CUR) answers.
  int64_t offset();
  void SetOffset(int64_t offset);
  // Unique while the description lives (fdinfo, kcmp, epoll keys).
  uint64_t id() const { return id_; }

  // Whom O_ASYNC tells (fcntl(2) F_SETOWN, F_SETSIG): null until one is kept, then the same for
  // good. Answers the one that is kept.
  Ref<IoOwner> io_owner();
  Ref<IoOwner> KeepIoOwner(Ref<IoOwner> owner);
  // Takes the file into signal-driven mode or out of it, and the flag with it. An owner is kept.
  // False: the file cannot, and nothing changed. ENOTTY for a terminal that hung up.
  ErrnoOr<bool> SetAsync(bool on);
  virtual ErrnoOr<AsyncLists> async_lists() { return AsyncLists(); }
  // Called when the file has come onto its lists.
  virtual void OnAsync() {}
  // Whether the open(2) that made this description made the file, too (F_CREATED_QUERY).
  void SetCreated() { created_ = true; }
  bool created() const { return created_; }
  // Set by vfs when opening for writing took Inode::GetWriteAccess: the last reference puts it.
  void SetCountsAsWriter() { counts_as_writer_ = true; }

  // A hook stays until it is removed or has been called. Any thread; the caller of Add has a
  // reference on the file.
  void AddReleaseHook(FileReleaseHook* hook);
  void RemoveReleaseHook(FileReleaseHook* hook);

 protected:
  void OnLastRef() const override;
  // One reader or writer moves the offset at a time (Linux f_pos_lock).
  Mutex<LockRank::kFile> offset_mu_;
  int64_t offset_ ABSL_GUARDED_BY(offset_mu_) = 0;

 private:
  const Path path_;
  const Ref<Inode> inode_;
  const Ref<const Credentials> creds_;
  const bool readable_;
  const bool writable_;
  const bool path_only_;
  const uint64_t id_;
  bool counts_as_writer_ = false;
  bool created_ = false;
  std::atomic<uint32_t> flags_;
  mutable Mutex<LockRank::kFileOwner> owner_mu_;
  mutable std::vector<FileReleaseHook*> hooks_ ABSL_GUARDED_BY(owner_mu_);
  Ref<IoOwner> io_owner_ ABSL_GUARDED_BY(owner_mu_);
};

}  // namespace runsc

#endif  // SENTRY_VFS_FILE_H_
