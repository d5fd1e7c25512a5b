#ifndef SENTRY_FS_PIPE_PIPE_H_
#define SENTRY_FS_PIPE_PIPE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/file.h"
#include "sentry/wait/wait.h"

namespace runsc {

// A pipe's buffer and the count of its ends (pipe(7)); shared by pipe(2) and FIFOs. The bytes are
// in one ring that grows with use up to the capacity. Thread-safe.
class Pipe : public RefCounted {
 public:
  static constexpr size_t kDefaultCapacity = 65536;
  static constexpr size_t kMaxCapacity = 1 << 20;  // /proc/sys/fs/pipe-max-size
  static constexpr size_t kAtomic = 4096;          // PIPE_BUF
  static constexpr size_t kLargest = 256 << 20;    // kmalloc's 4 MiB of Linux's 40-byte slots

  // 0 at end of file (no writers); kWouldBlock if empty. Packets (O_DIRECT) are read one at a
  // time; what does not fit of one is dropped.
  ErrnoOr<size_t> Read(UserOut& dst);
  // EPIPE without readers; kWouldBlock if nothing fits, or if at most kAtomic bytes do not fit
  // whole. May be short otherwise.
  ErrnoOr<size_t> Write(UserIn& src, bool packet);
  // Copies up to `n` bytes into `dst` without consuming (tee(2)).
  ErrnoOr<size_t> Peek(UserOut& dst, size_t n);

  EventMask Poll(bool reader, bool writer);
  WaitQueue& queue() { return queue_; }
  // Readers hear of each write, writers of each read, both of the other side's end.
  AsyncList& async_readers() { return async_readers_; }
  AsyncList& async_writers() { return async_writers_; }

  void AddEnd(bool reader, bool writer);
  void RemoveEnd(bool reader, bool writer);
  // Ends opened so far, for FIFO rendezvous.
  uint64_t readers_opened();
  uint64_t writers_opened();
  bool has_readers();
  bool has_writers();

  size_t Available();
  size_t capacity();
  // fcntl(F_SETPIPE_SZ): rounds up to a power of two pages; EBUSY if more is buffered, EPERM to grow
  // above kMaxCapacity unless `privileged`, ENOMEM above what Linux can allocate. Answers the new
  // capacity.
  ErrnoOr<size_t> SetCapacity(uint64_t bytes, bool privileged);

 private:
  void CopyOutLocked(char* to, size_t at, size_t n) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> TakeLocked(UserOut& dst, size_t n) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> PutLocked(UserIn& src, size_t n) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Each packet takes a page's place, as in Linux: else packets of a byte could fill memory.
  bool NoSlotLocked(bool packet) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GrowLocked(size_t need) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> ReadLocked(UserOut& dst) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> WriteLocked(UserIn& src, bool packet) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  WaitQueue queue_;
  AsyncList async_readers_, async_writers_;
  Mutex<LockRank::kPipe> mu_;
  std::unique_ptr<char[]> ring_ ABSL_GUARDED_BY(mu_);
  size_t ring_size_ ABSL_GUARDED_BY(mu_) = 0;
  size_t head_ ABSL_GUARDED_BY(mu_) = 0;  // index of the first byte
  size_t used_ ABSL_GUARDED_BY(mu_) = 0;
  size_t capacity_ ABSL_GUARDED_BY(mu_) = kDefaultCapacity;
  // What is buffered, in order: a packet, or a run of stream bytes.
  struct Segment {
    size_t length;
    bool packet;
  };
  std::deque<Segment> segments_ ABSL_GUARDED_BY(mu_);
  uint32_t readers_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t writers_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t readers_opened_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t writers_opened_ ABSL_GUARDED_BY(mu_) = 0;
};

// One open end (or both: a FIFO opened O_RDWR).
class PipeFile final : public File {
 public:
  // `wait_for_peer`: FinishOpen waits until the other end is or has been open.
  PipeFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Pipe> pipe,
           bool wait_for_peer);
  ~PipeFile() override;

  Pipe& pipe() { return *pipe_; }
  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override;
  bool seekable() const override { return false; }
  Status Sync(bool) override { return Errno::kInval; }
  Status FinishOpen() override;
  ErrnoOr<AsyncLists> async_lists() override;
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override;
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override;
  void RemoveWaiter(Waiter* w) override;

 private:
  uint64_t PeersOpened() const;

  const Ref<Pipe> pipe_;
  const bool wait_for_peer_;
  uint64_t peers_before_ = 0;
};

// pipe2(2): read end and write end. `flags`: O_NONBLOCK, O_DIRECT.
std::pair<Ref<File>, Ref<File>> NewPipe(const Ref<const Credentials>& creds, uint32_t flags);

// Makes open(2) of FIFO inodes work (vfs/special_files.h). ENXIO for O_WRONLY|O_NONBLOCK without a
// reader; blocking opens wait in FinishOpen. Called once at boot.
void RegisterFifos();

// The pipe behind a file, or null (splice, fcntl).
Pipe* PipeOf(File& file);

}  // namespace runsc

#endif  // SENTRY_FS_PIPE_PIPE_H_
