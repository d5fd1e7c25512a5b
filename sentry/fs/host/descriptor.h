#ifndef SENTRY_FS_HOST_DESCRIPTOR_H_
#define SENTRY_FS_HOST_DESCRIPTOR_H_

#include <atomic>
#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/fd.h"
#include "platform/base/ref.h"
#include "sentry/usermem/usermem.h"
#include "sentry/vfs/async.h"
#include "sentry/vfs/types.h"
#include "sentry/wait/wait.h"

namespace runsc::host_fs {

// A host descriptor shared by all guest files that stand for it. Its calls never sleep: what would
// is answered kWouldBlock (if the host gave us a blocking description, it is asked first whether
// it is ready, and only what then fits is written).
class Descriptor : public RefCounted {
 public:
  static ErrnoOr<Ref<Descriptor>> New(Fd fd);

  int fd() const { return fd_.get(); }
  uint32_t mode() const { return mode_; }        // type and permission bits
  uint32_t access_flags() const { return access_; }  // O_ACCMODE and O_APPEND as the host has them
  DeviceId device() const { return device_; }
  bool terminal() const { return terminal_; }
  bool seekable() const { return seekable_; }

  // `offset` -1: at the host's own offset. Regular files transfer all that is there.
  ErrnoOr<size_t> Read(UserOut& dst, int64_t offset);
  ErrnoOr<size_t> Write(UserIn& src, int64_t offset);
  ErrnoOr<int64_t> Seek(int64_t offset, int whence);
  ErrnoOr<Attr> GetAttr();
  Status Truncate(uint64_t size);
  Status Sync(bool data_only);
  // An ioctl(2) whose argument is at `arg` in the sentry.
  Status Ioctl(unsigned long command, void* arg);
  Status IoctlValue(unsigned long command, unsigned long arg);
  EventMask Ready(EventMask mask);

  // Woken by the poller thread when the host reports a change.
  WaitQueue& queue() { return queue_; }
  AsyncList& async() { return async_; }
  // Makes the poller watch the descriptor as long as somebody waits.
  void Watch();
  bool IsAwaited() { return !queue_.IsEmpty() || !async_.IsEmpty(); }

 private:
  template <typename Move>
  ErrnoOr<size_t> Once(bool write, int64_t offset, size_t surely, Move move);
  // The host reports `events`.
  void Tell(EventMask events);
  ErrnoOr<size_t> ReadOnce(UserOut& dst, int64_t offset);
  ErrnoOr<size_t> WriteOnce(UserIn& src, int64_t offset);
  friend class Poller;
  Descriptor(Fd fd, uint32_t mode, uint32_t access);
  ~Descriptor() override;

  const Fd fd_;
  const uint32_t mode_;
  const uint32_t access_;
  bool nonblocking_ = false;
  std::atomic<bool> nowait_{false};  // the host serves RWF_NOWAIT; learnt by asking
  bool terminal_ = false;
  bool seekable_ = false;
  DeviceId device_;
  WaitQueue queue_;
  AsyncList async_;
  std::atomic<bool> short_{false};  // a write found too little room: more is worth a signal
  uint64_t watch_id_ = 0;  // at the poller; 0: always ready, as regular files are
  std::atomic<bool> armed_{false};
};

}  // namespace runsc::host_fs

#endif  // SENTRY_FS_HOST_DESCRIPTOR_H_
