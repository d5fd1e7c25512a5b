#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "sentry/vfs/anon.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/special_files.h"
#include "sentry/vfs/vfs.h"
#include "platform/base/strings.h"
#include "sentry/fs/pipe/pipe.h"

namespace runsc {
namespace {

// The pipe that belongs to a FIFO's inode, made at its first open.
Ref<Pipe> PipeOfInode(Inode& inode) {
  static auto* const mu = new Mutex<LockRank::kFifoTable>;
  MutexLock l(*mu);
  Ref<RefCounted> held = inode.bound_socket();
  if (!held) {
    held = MakeRef<Pipe>();
    inode.SetBoundSocket(held);
  }
  return Ref<Pipe>(static_cast<Pipe*>(held.get()));
}

ErrnoOr<Ref<File>> OpenFifo(const OpContext& ctx, const Path& path, const OpenRequest& request,
                            DeviceId) {
  Ref<Pipe> pipe = PipeOfInode(*path.dentry->inode());
  bool nonblock = (request.flags & O_NONBLOCK) != 0;
  uint32_t mode = request.flags & O_ACCMODE;
  if (mode == O_WRONLY && nonblock && !pipe->has_readers()) return Errno::kNxio;
  bool wait = !nonblock && mode != O_RDWR;
  return Ref<File>(MakeRef<PipeFile>(path, request.flags, Ref<const Credentials>(&ctx.creds),
                                     std::move(pipe), wait));
}

// The inode of a pipe without a name. Opening it again (/proc/pid/fd/N) is opening a FIFO.
class PipeInode final : public InternalInode {
 public:
  explicit PipeInode(const Credentials& creds)
      : InternalInode(InternalFilesystem("pipefs"), S_IFIFO | 0600, creds.fsuid, creds.fsgid) {}
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override {
    // Unlike a FIFO it does not wait for its other end.
    return Ref<File>(MakeRef<PipeFile>(path, request.flags, Ref<const Credentials>(&ctx.creds),
                                       PipeOfInode(*this), false));
  }
};

}  // namespace

void RegisterFifos() { RegisterFifoOpener(&OpenFifo); }

PipeFile::PipeFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Pipe> pipe,
                   bool wait_for_peer)
    : File(std::move(path), flags, std::move(creds)),
      pipe_(std::move(pipe)),
      wait_for_peer_(wait_for_peer) {
  if (wait_for_peer_) {
    bool present = readable() ? pipe_->has_writers() : pipe_->has_readers();
    peers_before_ = PeersOpened() - (present ? 1 : 0);
  }
  pipe_->AddEnd(readable(), writable());
}

PipeFile::~PipeFile() { pipe_->RemoveEnd(readable(), writable()); }

uint64_t PipeFile::PeersOpened() const {
  return readable() ? pipe_->writers_opened() : pipe_->readers_opened();
}

Status PipeFile::FinishOpen() {
  if (!wait_for_peer_ || PeersOpened() != peers_before_) return Ok();
  return Errno::kWouldBlock;
}

ErrnoOr<AsyncLists> PipeFile::async_lists() {
  return AsyncLists{.in = readable() ? &pipe_->async_readers() : nullptr,
                    .out = writable() ? &pipe_->async_writers() : nullptr};
}

ErrnoOr<size_t> PipeFile::Read(IoContext&, UserOut& dst) { return pipe_->Read(dst); }

ErrnoOr<size_t> PipeFile::Write(IoContext&, UserIn& src) {
  return pipe_->Write(src, (flags() & O_DIRECT) != 0);
}

ErrnoOr<int64_t> PipeFile::Ioctl(IoContext& io, const IoctlRequest& request) {
  if (request.command != FIONREAD) return File::Ioctl(io, request);
  int available = static_cast<int>(pipe_->Available());
  TRY(request.mem.Put(UserAddr(request.arg), available));
  return int64_t{0};
}

EventMask PipeFile::Poll(EventMask mask) {
  return pipe_->Poll(readable(), writable()) & (mask | EPOLLERR | EPOLLHUP);
}

void PipeFile::AddWaiter(Waiter* w, EventMask mask, bool exclusive) {
  pipe_->queue().Add(w, mask, exclusive);
}

void PipeFile::RemoveWaiter(Waiter* w) { pipe_->queue().Remove(w); }

std::pair<Ref<File>, Ref<File>> NewPipe(const Ref<const Credentials>& creds, uint32_t flags) {
  Ref<PipeInode> inode = MakeRef<PipeInode>(*creds);
  Ref<Pipe> pipe = MakeRef<Pipe>();
  inode->SetBoundSocket(pipe);
  std::string name = StrPrintf("pipe:[%llu]", static_cast<unsigned long long>(inode->ino()));
  Path path = vfs::AnonPath(inode, std::move(name));
  flags &= O_NONBLOCK | O_DIRECT;
  Ref<File> reader = MakeRef<PipeFile>(path, O_RDONLY | flags, creds, pipe, false);
  Ref<File> writer = MakeRef<PipeFile>(path, O_WRONLY | flags, creds, pipe, false);
  return {std::move(reader), std::move(writer)};
}

Pipe* PipeOf(File& file) {
  auto* pipe = dynamic_cast<PipeFile*>(&file);
  return pipe == nullptr ? nullptr : &pipe->pipe();
}

}  // namespace runsc
