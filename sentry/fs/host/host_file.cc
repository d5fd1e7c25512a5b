#include "sentry/fs/host/host_file.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "platform/abi/termios.h"
#include "sentry/fs/host/descriptor.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/fs/tty/terminal.h"
#include "sentry/fs/tty/tty_jobs.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/anon.h"

namespace runsc::host_fs {
namespace {

// A host terminal as the controlling terminal of a guest session. Settings, line discipline and
// size are the host's; sessions and jobs are the guest's.
class HostTerminal final : public ControllingTty {
 public:
  explicit HostTerminal(Ref<Descriptor> d) : descriptor_(std::move(d)), jobs_(this) {}
  TtyJobs& jobs() { return jobs_; }

  void OnDisassociate() override { jobs_.Forget(); }
  void HangUp() override { jobs_.Hangup(); }  // whoever started the sandbox keeps its terminal
  void OnAssociate(Session& session) override { jobs_.Associate(session); }
  DeviceId device() override { return devpts_ ? Terminal::DeviceOf(index_) : host_device(); }
  DeviceId host_device() const { return descriptor_->device(); }
  Ref<ProcessGroup> Foreground() override { return jobs_.Foreground(); }
  ErrnoOr<Ref<File>> OpenAgain(const OpContext& ctx, const Path& path, uint32_t flags) override;

  // Its name in a devpts of the guest's, until the last file of it is closed. Before it is used.
  void SetName(Ref<Devpts> devpts, int index) {
    devpts_ = std::move(devpts);
    index_ = index;
    named_.store(true);
  }
  void DropName() {
    if (named_.exchange(false)) devpts_->Remove(index_);
  }
  // Inode number if it has a name.
  std::optional<uint64_t> ino() const {
    return devpts_ ? std::optional(Devpts::InoOf(index_)) : std::nullopt;
  }
  void FileOpened() { files_.fetch_add(1); }
  void FileClosed() {
    if (files_.fetch_sub(1) == 1) DropName();
  }

 private:
  const Ref<Descriptor> descriptor_;
  TtyJobs jobs_;
  Ref<Devpts> devpts_;
  int index_ = 0;
  std::atomic<bool> named_{false};
  std::atomic<int> files_{0};
};

class HostInode final : public Inode {
 public:
  HostInode(Ref<Filesystem> fs, Ref<Descriptor> d, Ref<HostTerminal> tty, const Credentials& owner)
      : Inode(std::move(fs)),
        descriptor_(std::move(d)),
        tty_(std::move(tty)),
        permissions_(tty_ ? 0620 : 0600),
        owner_(owner.fsuid),
        group_(owner.fsgid) {}
  uint32_t type() const override { return descriptor_->mode() & S_IFMT; }
  ErrnoOr<Attr> GetAttr() override {
    Attr a = TRY(descriptor_->GetAttr());
    a.dev = fs().dev();
    if (tty_) {
      a.rdev = tty_->device();
      a.ino = tty_->ino().value_or(a.ino);
    }
    // The host's owner means nothing in here; whoever was given the file may use it.
    a.uid = owner_;
    a.gid = group_;
    a.mode = (a.mode & S_IFMT) | permissions_;
    return a;
  }
  // fchown(2), as login programs do: kept, but the host's file stays as it is.
  Status SetAttr(const OpContext& ctx, const AttrChange& change) override {
    if (change.uid) owner_ = *change.uid;
    if (change.gid) group_ = *change.gid;
    if (change.mode) permissions_ = *change.mode & 07777;
    if (change.size) return descriptor_->Truncate(*change.size);
    return Ok();
  }
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;

 private:
  const Ref<Descriptor> descriptor_;
  const Ref<HostTerminal> tty_;
  std::atomic<uint32_t> permissions_;
  std::atomic<Uid> owner_;
  std::atomic<Gid> group_;
};

class HostFile : public File {
 public:
  HostFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Descriptor> d)
      : File(std::move(path), flags, std::move(creds)), d_(std::move(d)) {}

  ErrnoOr<size_t> Read(IoContext&, UserOut& dst) override { return d_->Read(dst, -1); }
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override {
    if (!io.append || !seekable()) return d_->Write(src, -1);
    MutexLock l(offset_mu_);
    TRY(d_->Seek(0, SEEK_END));
    return d_->Write(src, -1);
  }
  ErrnoOr<size_t> ReadAt(IoContext&, UserOut& dst, uint64_t offset) override {
    if (!seekable()) return Errno::kSpipe;
    return d_->Read(dst, static_cast<int64_t>(offset));
  }
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                          uint64_t* end_offset) override {
    if (!seekable()) return Errno::kSpipe;
    if (io.append) offset = TRY(d_->GetAttr()).size;
    size_t n = TRY(d_->Write(src, static_cast<int64_t>(offset)));
    if (end_offset != nullptr) *end_offset = offset + n;
    return n;
  }
  ErrnoOr<int64_t> Seek(int64_t offset, int whence) override {
    if (!seekable()) return Errno::kSpipe;
    return d_->Seek(offset, whence);
  }
  bool seekable() const override { return d_->seekable(); }
  Status Sync(bool data_only) override { return d_->Sync(data_only); }
  Status Truncate(const OpContext&, uint64_t size) override { return d_->Truncate(size); }
  ErrnoOr<int64_t> Ioctl(IoContext&, const IoctlRequest& request) override {
    if (request.command != FIONREAD) return Errno::kNotty;
    int32_t waiting = 0;
    TRY(d_->Ioctl(FIONREAD, &waiting));
    TRY(request.mem.Put(UserAddr(request.arg), waiting));
    return int64_t{0};
  }

  EventMask Poll(EventMask mask) override {
    return d_->Ready(mask | EPOLLERR | EPOLLHUP) & (mask | EPOLLERR | EPOLLHUP);
  }
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override {
    d_->queue().Add(w, mask, exclusive);
    d_->Watch();
  }
  void RemoveWaiter(Waiter* w) override { d_->queue().Remove(w); }
  ErrnoOr<AsyncLists> async_lists() override {
    if (!d_->terminal() && !S_ISFIFO(d_->mode()) && !S_ISSOCK(d_->mode())) return AsyncLists();
    return AsyncLists{.in = &d_->async(), .default_owner = d_->terminal()};
  }
  void OnAsync() override { d_->Watch(); }

 protected:
  Descriptor& descriptor() { return *d_; }

 private:
  const Ref<Descriptor> d_;
};

class HostTerminalFile final : public HostFile, public TerminalFile {
 public:
  HostTerminalFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Descriptor> d,
                   Ref<HostTerminal> tty)
      : HostFile(std::move(path), flags, std::move(creds), std::move(d)), tty_(std::move(tty)) {
    tty_->FileOpened();
  }
  ~HostTerminalFile() override { tty_->FileClosed(); }

  Ref<ControllingTty> terminal() override { return tty_; }
  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override {
    if (io.task != nullptr) TRY(tty_->jobs().CheckBackground(*io.task, Signal(SIGTTIN)));
    ReadRule rule = GetReadRule();
    bool enough = io.nonblock || io.expired;
    if (!rule.lines) TRY(AwaitLeast(rule, enough, dst));
    ErrnoOr<size_t> n = HostFile::Read(io, dst);
    if (n.ok() || n.error() != Errno::kWouldBlock) return n;
    bool ends = rule.least == 0 && (rule.time == 0 || io.expired);
    return ends ? ErrnoOr<size_t>(size_t{0}) : n;
  }
  // VTIME runs from the call, or with VMIN from the byte that came last.
  int64_t ReadDeadline(int64_t began) override {
    ReadRule rule = GetReadRule();
    if (rule.time == 0) return INT64_MAX;
    if (rule.least == 0) return began + rule.time;
    return seen_.load() == 0 ? INT64_MAX : seen_at_.load() + rule.time;
  }
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override {
    if (io.task != nullptr && ToStop()) {
      TRY(tty_->jobs().CheckBackground(*io.task, Signal(SIGTTOU)));
    }
    return HostFile::Write(io, src);
  }
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override;

 private:
  bool ToStop() {
    abi::Termios2 settings{};
    constexpr uint32_t kTostop = 0400;
    return descriptor().Ioctl(abi::kTcgets2, &settings).ok() && (settings.lflag & kTostop) != 0;
  }
  struct ReadRule {
    bool lines = true;
    size_t least = 1;
    int64_t time = 0;  // ns
  };
  // The host would sleep until there are VMIN bytes or VTIME is over; so it is asked for what it
  // has only, once that is enough. kWouldBlock until then.
  Status AwaitLeast(const ReadRule& rule, bool enough, UserOut& dst) {
    int32_t waiting = 0;
    TRY(descriptor().Ioctl(FIONREAD, &waiting));
    size_t have = static_cast<size_t>(std::max(waiting, 0));
    if (seen_.exchange(have) != have) seen_at_ = MonotonicNanos();
    const size_t least = std::min(rule.least, dst.remaining());
    if (have == 0) {
      // A byte that comes only now must not be taken for all there is; a hang-up is read.
      const bool any = enough || least <= 1 || descriptor().Ready(EPOLLHUP) != 0;
      return any ? Ok() : Status(Errno::kWouldBlock);
    }
    if (have < least && !enough) return Errno::kWouldBlock;
    seen_ = 0;
    if (have < dst.remaining()) dst.Truncate(have);
    return Ok();
  }
  // VMIN and VTIME; a line is at least one byte and takes any time.
  ReadRule GetReadRule() {
    abi::Termios2 settings{};
    constexpr uint32_t kIcanon = 2;
    constexpr int kVtime = 5, kVmin = 6;
    if (!descriptor().Ioctl(abi::kTcgets2, &settings).ok()) return {};
    if ((settings.lflag & kIcanon) != 0) return {};
    return {false, settings.cc[kVmin], settings.cc[kVtime] * int64_t{100'000'000}};
  }
  ErrnoOr<int64_t> GetSettings(const IoctlRequest& request);
  ErrnoOr<int64_t> SetSettings(IoContext& io, const IoctlRequest& request);
  ErrnoOr<int64_t> WindowSize(const IoctlRequest& request);

  const Ref<HostTerminal> tty_;
  std::atomic<size_t> seen_{0};  // bytes that waited at the last look, and since when so many
  std::atomic<int64_t> seen_at_{0};
};

ErrnoOr<Ref<File>> Reopen(const Path& path, uint32_t flags, Ref<const Credentials> creds,
                          const Ref<Descriptor>& d, const Ref<HostTerminal>& tty) {
  uint32_t have = d->access_flags() & O_ACCMODE;
  uint32_t want = flags & O_ACCMODE;
  if (have != O_RDWR && have != want) return Errno::kAcces;
  if (tty) return Ref<File>(MakeRef<HostTerminalFile>(path, flags, std::move(creds), d, tty));
  return Ref<File>(MakeRef<HostFile>(path, flags, std::move(creds), d));
}

ErrnoOr<Ref<File>> HostTerminal::OpenAgain(const OpContext& ctx, const Path& path, uint32_t flags) {
  return Reopen(path, flags, Ref<const Credentials>(&ctx.creds), descriptor_,
                Ref<HostTerminal>(this));
}

// By a terminal's name, or through /proc/self/fd: another description of the same host file.
ErrnoOr<Ref<File>> HostInode::Open(const OpContext& ctx, const Path& path,
                                   const OpenRequest& request) {
  Ref<File> file =
      TRY(Reopen(path, request.flags, Ref<const Credentials>(&ctx.creds), descriptor_, tty_));
  const bool may_control = tty_ && (request.flags & O_NOCTTY) == 0 && ctx.task != nullptr;
  if (may_control) tty_->jobs().AdoptOnOpen(*ctx.task);
  return file;
}

ErrnoOr<int64_t> HostTerminalFile::GetSettings(const IoctlRequest& request) {
  abi::Termios2 settings{};
  TRY(descriptor().Ioctl(abi::kTcgets2, &settings));
  UserAddr arg(request.arg);
  if (request.command == abi::kTcgets2) {
    TRY(request.mem.Put(arg, settings));
  } else if (request.command == TCGETA) {
    TRY(request.mem.Put(arg, abi::ToTermio(settings)));
  } else {
    abi::Termios narrow;
    __builtin_memcpy(&narrow, &settings, sizeof(narrow));
    TRY(request.mem.Put(arg, narrow));
  }
  return int64_t{0};
}

ErrnoOr<int64_t> HostTerminalFile::SetSettings(IoContext& io, const IoctlRequest& request) {
  if (io.task != nullptr) TRY(tty_->jobs().CheckBackground(*io.task, Signal(SIGTTOU)));
  UserAddr arg(request.arg);
  abi::Termios2 settings{};
  uint32_t command = request.command;
  if (command == TCSETA || command == TCSETAW || command == TCSETAF) {
    TRY(descriptor().Ioctl(abi::kTcgets2, &settings));
    settings = abi::WithTermio(settings, TRY(request.mem.Get<abi::Termio>(arg)));
    command = command - TCSETA + abi::kTcsets2;
  } else if (command == TCSETS || command == TCSETSW || command == TCSETSF) {
    TRY(descriptor().Ioctl(abi::kTcgets2, &settings));
    abi::Termios narrow = TRY(request.mem.Get<abi::Termios>(arg));
    __builtin_memcpy(&settings, &narrow, sizeof(narrow));
    command = command - TCSETS + abi::kTcsets2;
  } else {
    settings = TRY(request.mem.Get<abi::Termios2>(arg));
  }
  // Draining could sleep for as long as nobody reads the terminal: what is written is with the
  // host already, so the order stays.
  if (command == abi::kTcsetsw2) command = abi::kTcsets2;
  if (command == abi::kTcsetsf2) {
    TRY(descriptor().IoctlValue(TCFLSH, 0 /* TCIFLUSH */));
    command = abi::kTcsets2;
  }
  TRY(descriptor().Ioctl(command, &settings));
  return int64_t{0};
}

ErrnoOr<int64_t> HostTerminalFile::WindowSize(const IoctlRequest& request) {
  abi::Winsize size{};
  UserAddr arg(request.arg);
  if (request.command == TIOCGWINSZ) {
    TRY(descriptor().Ioctl(TIOCGWINSZ, &size));
    TRY(request.mem.Put(arg, size));
  } else {
    size = TRY(request.mem.Get<abi::Winsize>(arg));
    TRY(descriptor().Ioctl(TIOCSWINSZ, &size));
  }
  return int64_t{0};
}

ErrnoOr<int64_t> HostTerminalFile::Ioctl(IoContext& io, const IoctlRequest& request) {
  switch (request.command) {
    case TCGETA:
    case TCGETS:
    case abi::kTcgets2:
      return GetSettings(request);
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case abi::kTcsets2:
    case abi::kTcsetsw2:
    case abi::kTcsetsf2:
      return SetSettings(io, request);
    case TIOCGWINSZ:
    case TIOCSWINSZ:
      return WindowSize(request);
    case TIOCOUTQ: {
      int32_t waiting = 0;
      TRY(descriptor().Ioctl(TIOCOUTQ, &waiting));
      TRY(request.mem.Put(UserAddr(request.arg), waiting));
      return int64_t{0};
    }
    case TCFLSH:
    case TCXONC:
      TRY(descriptor().IoctlValue(request.command, request.arg & 7));
      return int64_t{0};
    case TCSBRK:
    case TCSBRKP:
      return int64_t{0};  // a break means nothing here, and draining could sleep
    default:
      break;
  }
  ErrnoOr<int64_t> plain = HostFile::Ioctl(io, request);
  if (plain.ok() || plain.error() != Errno::kNotty || io.task == nullptr) return plain;
  return tty_->jobs().Ioctl(*io.task, request);
}

const char* Label(uint32_t mode) {
  if (S_ISFIFO(mode)) return "pipe";
  if (S_ISSOCK(mode)) return "socket";
  return "host";
}

ErrnoOr<Path> PlaceOf(const LookupContext& ctx, const Ref<Descriptor>& d,
                      const Ref<HostTerminal>& tty) {
  Path place = TRY(vfs::Lookup(ctx, "/dev/pts", true));
  Ref<Devpts> devpts(dynamic_cast<Devpts*>(&place.dentry->get_inode()->fs()));
  if (!devpts) return Errno::kNoent;
  const int index = TRY(devpts->Adopt([&](int i) {
    tty->SetName(devpts, i);
    return Ref<Inode>(MakeRef<HostInode>(devpts, d, tty, ctx.op.creds));
  }));
  ErrnoOr<Path> named = vfs::Lookup(ctx, "/dev/pts/" + std::to_string(index), false);
  if (!named.ok()) tty->DropName();
  return named;
}

Path NamelessPath(const Ref<Descriptor>& d, const Ref<HostTerminal>& tty,
                  const Credentials& creds) {
  Ref<Filesystem> fs = InternalFilesystem("hostfs");
  auto inode = MakeRef<HostInode>(fs, d, tty, creds);
  ErrnoOr<Attr> attr = inode->GetAttr();
  std::string name =
      std::string(Label(d->mode())) + ":[" + std::to_string(attr.ok() ? attr->ino : 0) + "]";
  Ref<Dentry> dentry = Dentry::NewDisconnected(std::move(inode), std::move(name));
  return Path(MakeRef<Mount>(fs, dentry, 0, "none"), dentry);
}

}  // namespace

bool IsTerminal(File& file) { return dynamic_cast<HostTerminalFile*>(&file) != nullptr; }

ErrnoOr<std::array<Ref<File>, 3>> NewStdio(std::array<Fd, 3> fds, Ref<const Credentials> creds,
                                           FsContext* container) {
  std::array<Ref<File>, 3> files;
  Ref<HostTerminal> terminal;  // the first, and where it is
  Path place;
  for (size_t i = 0; i < fds.size(); ++i) {
    Ref<Descriptor> d = TRY(Descriptor::New(std::move(fds[i])));
    Ref<HostTerminal> tty;
    Path path;
    if (d->terminal()) {
      const bool same = terminal && terminal->host_device() == d->device();
      tty = same ? terminal : MakeRef<HostTerminal>(d);
      if (same) {
        path = place;
      } else if (container != nullptr) {
        const OpContext op{*creds, nullptr};
        path = PlaceOf({op, *container, container->root(), 0}, d, tty).value_or(Path());
      }
      if (!terminal) {
        terminal = tty;
        place = path;
      }
    }
    if (!path.dentry) path = NamelessPath(d, tty, *creds);
    files[i] = TRY(Reopen(path, d->access_flags(), creds, d, tty));
  }
  return files;
}

}  // namespace runsc::host_fs
