#include "sentry/fs/tty/pty_files.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/tty.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <cstring>

#include "sentry/kernel/task.h"

namespace runsc {
namespace {

abi::Termios2 Widen(const abi::Termios& narrow, const abi::Termios2& old) {
  abi::Termios2 wide = old;
  std::memcpy(&wide, &narrow, sizeof(narrow));
  return wide;
}

// TCSETS and the waiting and flushing forms; output drains at once, so W is plain.
ErrnoOr<int64_t> SetAttributes(Terminal& terminal, IoContext& io, const IoctlRequest& request,
                               bool slave) {
  if (slave && io.task != nullptr) {
    TRY(terminal.jobs().CheckBackground(*io.task, Signal(SIGTTOU)));
  }
  UserAddr arg(request.arg);
  bool flush = request.command == TCSETSF || request.command == TCSETAF ||
               request.command == abi::kTcsetsf2;
  if (request.command == TCSETA || request.command == TCSETAW || request.command == TCSETAF) {
    abi::Termio old = TRY(request.mem.Get<abi::Termio>(arg));
    terminal.SetTermios(abi::WithTermio(terminal.termios(), old), flush);
    return int64_t{0};
  }
  if (request.command == TCSETS || request.command == TCSETSW || request.command == TCSETSF) {
    abi::Termios narrow = TRY(request.mem.Get<abi::Termios>(arg));
    terminal.SetTermios(Widen(narrow, terminal.termios()), flush);
  } else {
    terminal.SetTermios(TRY(request.mem.Get<abi::Termios2>(arg)), flush);
  }
  return int64_t{0};
}

ErrnoOr<int64_t> GetAttributes(Terminal& terminal, const IoctlRequest& request) {
  abi::Termios2 wide = terminal.termios();
  abi::Termios narrow;
  std::memcpy(&narrow, &wide, sizeof(narrow));
  UserAddr arg(request.arg);
  if (request.command == TCGETA) {
    TRY(request.mem.Put(arg, abi::ToTermio(wide)));
  } else if (request.command == TCGETS) {
    TRY(request.mem.Put(arg, narrow));
  } else {
    TRY(request.mem.Put(arg, wide));
  }
  return int64_t{0};
}

ErrnoOr<int64_t> Done(Status s) {
  TRY(s);
  return int64_t{0};
}

// TIOCSIG: only what the keyboard could raise.
Status RaiseInForeground(Terminal& terminal, uint64_t signal) {
  if (signal != SIGINT && signal != SIGQUIT && signal != SIGTSTP) return Errno::kInval;
  terminal.jobs().SignalForeground(Signal(static_cast<int>(signal)));
  return Ok();
}

}  // namespace

ErrnoOr<int64_t> TerminalIoctl(Terminal& terminal, IoContext& io, const IoctlRequest& request,
                               bool slave) {
  UserAddr arg(request.arg);
  switch (request.command) {
    case TCGETA:
    case TCGETS:
    case abi::kTcgets2: return GetAttributes(terminal, request);
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case abi::kTcsets2:
    case abi::kTcsetsw2:
    case abi::kTcsetsf2: return SetAttributes(terminal, io, request, slave);
    case TIOCGLCKTRMIOS: return Done(request.mem.Put(arg, abi::Termios{}));  // nothing is locked
    case TIOCGETD: return Done(request.mem.Put(arg, int32_t{N_TTY}));
    case TIOCSETD:
      if (TRY(request.mem.Get<int32_t>(arg)) != N_TTY) return Errno::kInval;
      return int64_t{0};
    case TIOCGWINSZ: return Done(request.mem.Put(arg, terminal.winsize()));
    case TIOCSWINSZ:
      terminal.SetWinsize(TRY(request.mem.Get<abi::Winsize>(arg)));
      return int64_t{0};
    case TCFLSH: return Done(terminal.Flush(static_cast<int>(request.arg)));
    case TCXONC: return Done(terminal.Flow(static_cast<int>(request.arg)));
    case TIOCEXCL: terminal.SetExclusive(true); return int64_t{0};
    case TIOCNXCL: terminal.SetExclusive(false); return int64_t{0};
    case TIOCGEXCL: return Done(request.mem.Put(arg, int32_t{terminal.exclusive()}));
    case TIOCGDEV: return Done(request.mem.Put(arg, static_cast<uint32_t>(EncodeDevice(terminal.device()))));
    case TCSBRK:
    case TCSBRKP: return int64_t{0};  // a pty has no line to break, and output drains at once
    default: return Errno::kNotty;
  }
}

PtyMaster::PtyMaster(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Devpts> fs,
                     Ref<Terminal> terminal)
    : File(std::move(path), flags, std::move(creds)),
      fs_(std::move(fs)),
      terminal_(std::move(terminal)) {}

PtyMaster::~PtyMaster() {
  terminal_->MasterClosed();
  fs_->Remove(terminal_->index());
}

ErrnoOr<size_t> PtyMaster::Read(IoContext&, UserOut& dst) { return terminal_->MasterRead(dst); }
ErrnoOr<size_t> PtyMaster::Write(IoContext&, UserIn& src) {
  if (src.remaining() == 0) return size_t{0};
  return terminal_->MasterWrite(src);
}

ErrnoOr<int64_t> PtyMaster::OpenPeer(IoContext& io, uint32_t flags) {
  if (io.task == nullptr) return Errno::kInval;
  OpContext op{io.creds, io.task};
  Ref<File> slave = TRY(fs_->OpenSlave(op, path(), flags, terminal_));
  FdNum fd = TRY(io.task->fds().Install(std::move(slave), (flags & O_CLOEXEC) != 0,
                                        io.task->Limit(RLIMIT_NOFILE)));
  return int64_t{fd.value};
}

ErrnoOr<int64_t> PtyMaster::Ioctl(IoContext& io, const IoctlRequest& request) {
  UserAddr arg(request.arg);
  switch (request.command) {
    case TIOCGPTN: return Done(request.mem.Put(arg, terminal_->index()));
    case TIOCSPTLCK:
      terminal_->SetLocked(TRY(request.mem.Get<int32_t>(arg)) != 0);
      return int64_t{0};
    case TIOCGPTLCK: return Done(request.mem.Put(arg, terminal_->locked() ? 1 : 0));
    case TIOCGPTPEER: return OpenPeer(io, static_cast<uint32_t>(request.arg));
    case TIOCPKT:
      terminal_->SetPacketMode(TRY(request.mem.Get<int32_t>(arg)) != 0);
      return int64_t{0};
    case TIOCGPKT: return Done(request.mem.Put(arg, int32_t{terminal_->packet_mode()}));
    case TIOCSIG: return Done(RaiseInForeground(*terminal_, request.arg));
    case FIONREAD:
      return Done(request.mem.Put(arg, static_cast<int32_t>(terminal_->OutputPending())));
    default: break;
  }
  ErrnoOr<int64_t> common = TerminalIoctl(*terminal_, io, request, false);
  if (common.ok() || common.error() != Errno::kNotty || io.task == nullptr) return common;
  return terminal_->jobs().Ioctl(*io.task, request);
}

EventMask PtyMaster::Poll(EventMask mask) {
  return terminal_->PollMaster() & (mask | EPOLLERR | EPOLLHUP);
}
void PtyMaster::AddWaiter(Waiter* w, EventMask mask, bool exclusive) {
  terminal_->master_queue().Add(w, mask, exclusive);
}
void PtyMaster::RemoveWaiter(Waiter* w) { terminal_->master_queue().Remove(w); }

PtySlave::PtySlave(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Terminal> terminal)
    : File(std::move(path), flags, std::move(creds)),
      terminal_(std::move(terminal)),
      opened_at_(terminal_->hangups()) {
  terminal_->SlaveOpened();
}

PtySlave::~PtySlave() { terminal_->SlaveClosed(); }

ErrnoOr<size_t> PtySlave::Read(IoContext& io, UserOut& dst) {
  if (hung_up()) return size_t{0};
  if (io.task != nullptr) TRY(terminal_->jobs().CheckBackground(*io.task, Signal(SIGTTIN)));
  return terminal_->SlaveRead(dst, io.nonblock, io.expired);
}

ErrnoOr<size_t> PtySlave::Write(IoContext& io, UserIn& src) {
  if (hung_up()) return Errno::kIo;
  if (io.task != nullptr && terminal_->SlaveWritesSignal()) {
    TRY(terminal_->jobs().CheckBackground(*io.task, Signal(SIGTTOU)));
  }
  return terminal_->SlaveWrite(src);
}

// TIOCSTI, as Linux has it with dev.tty.legacy_tiocsti: into one's own terminal, or by privilege.
Status PtySlave::Inject(IoContext& io, const IoctlRequest& request) {
  Ref<Session> session = io.task != nullptr ? io.task->group().session() : nullptr;
  bool own = session && session->tty() == terminal_;
  if (!own && !io.creds.HasCap(CAP_SYS_ADMIN)) return Errno::kPerm;
  terminal_->Inject(TRY(request.mem.Get<char>(UserAddr(request.arg))));
  return Ok();
}

ErrnoOr<int64_t> PtySlave::Ioctl(IoContext& io, const IoctlRequest& request) {
  if (hung_up()) return Errno::kIo;
  if (request.command == TIOCSTI) return Done(Inject(io, request));
  if (request.command == FIONREAD) {
    return Done(request.mem.Put(UserAddr(request.arg),
                                static_cast<int32_t>(terminal_->InputAvailable())));
  }
  if (request.command == TIOCOUTQ) {
    return Done(request.mem.Put(UserAddr(request.arg),
                                static_cast<int32_t>(terminal_->OutputPending())));
  }
  ErrnoOr<int64_t> common = TerminalIoctl(*terminal_, io, request, true);
  if (common.ok() || common.error() != Errno::kNotty || io.task == nullptr) return common;
  return terminal_->jobs().Ioctl(*io.task, request);
}

EventMask PtySlave::Poll(EventMask mask) {
  constexpr EventMask kDead =
      EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLHUP | EPOLLERR;
  return (hung_up() ? kDead : terminal_->PollSlave()) & (mask | EPOLLERR | EPOLLHUP);
}
void PtySlave::AddWaiter(Waiter* w, EventMask mask, bool exclusive) {
  terminal_->slave_queue().Add(w, mask, exclusive);
}
void PtySlave::RemoveWaiter(Waiter* w) { terminal_->slave_queue().Remove(w); }

}  // namespace runsc
