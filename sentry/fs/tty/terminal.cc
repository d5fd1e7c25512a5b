#include "sentry/fs/tty/terminal.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cstring>

#include "sentry/time/clock.h"

namespace runsc {

namespace {

// Ctrl-S and Ctrl-Q, which a remote terminal in packet mode can then do by itself.
bool HasUsualFlowControl(const abi::Termios2& t) {
  return (t.iflag & IXON) != 0 && t.cc[VSTOP] == 023 && t.cc[VSTART] == 021;
}

}  // namespace

size_t Terminal::TypeLocked(std::string_view bytes, Typed* typed) {
  size_t lines = discipline_.lines(), available = discipline_.available(), shown = output_.size();
  const size_t signals = typed->signals.size();
  const bool stopped = discipline_.stopped();
  size_t n = discipline_.Type(bytes, &output_, &typed->signals);
  last_typed_ = MonotonicNanos();
  if (!discipline_.canonical()) {
    typed->slave_events += discipline_.available() > available ? 1 : 0;
  } else if (discipline_.lines() > lines) {
    typed->slave_events += static_cast<int>(discipline_.lines() - lines);
  }
  typed->echoed |= output_.size() > shown;
  const bool flushed =
      typed->signals.size() > signals && (discipline_.termios().lflag & NOFLSH) == 0;
  if (flushed) NotePacketLocked(TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
  if (discipline_.stopped() != stopped) NoteStoppedLocked();
  return n;
}

void Terminal::NotePacketLocked(uint8_t set, uint8_t clear) {
  if (packet_) packet_status_ = static_cast<uint8_t>((packet_status_ & ~clear) | set);
}

void Terminal::NoteStoppedLocked() {
  const bool stopped = discipline_.stopped();
  NotePacketLocked(stopped ? TIOCPKT_STOP : TIOCPKT_START, stopped ? TIOCPKT_START : TIOCPKT_STOP);
}

void Terminal::TellTyped(const Typed& typed) {
  for (int signal : typed.signals) jobs_.SignalForeground(Signal(signal));
  slave_queue_.Notify(EPOLLIN | EPOLLRDNORM | EPOLLOUT);
  master_queue_.Notify(EPOLLIN | EPOLLRDNORM | EPOLLPRI);
  for (int i = 0; i < typed.slave_events; ++i) slave_async_.Notify(IoEvent::kIn);
  if (typed.echoed) master_async_.Notify(IoEvent::kIn);
}

ErrnoOr<size_t> Terminal::MasterWrite(UserIn& src) {
  char chunk[512];
  Typed typed;
  size_t total = 0;
  ErrnoOr<size_t> failed = size_t{0};
  {
    MutexLock l(mu_);
    // A piece a call: what it rings and echoes is bounded, and a signal can end the write.
    while (src.remaining() > 0 && total < LineDiscipline::kMaxInput) {
      UserIn look = src;
      failed = look.Read(chunk, sizeof(chunk));
      if (!failed.ok()) break;
      size_t n = TypeLocked({chunk, *failed}, &typed);
      src.Skip(n);
      total += n;
      if (n < *failed) break;
    }
  }
  TellTyped(typed);
  if (total > 0) return total;
  return failed.ok() ? Errno::kWouldBlock : failed.error();
}

ErrnoOr<size_t> Terminal::MasterRead(UserOut& dst) {
  size_t n = 0;
  {
    MutexLock l(mu_);
    if (packet_ && packet_status_ != 0) {
      if (dst.remaining() == 0) return size_t{0};
      n = TRY(dst.Write(&packet_status_, 1));
      packet_status_ = 0;
      return n;
    }
    if (output_.empty()) {
      return slaves_ == 0 && slave_was_open_ ? Errno::kIo : Errno::kWouldBlock;
    }
    if (dst.remaining() == 0) return size_t{0};
    size_t header = 0;
    if (packet_) header = TRY(dst.Write("\0", 1));
    size_t want = std::min(output_.size(), dst.remaining());
    n = want > 0 ? TRY(dst.Write(output_.data(), want)) : 0;
    output_.erase(0, n);
    n += header;
  }
  slave_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  SignalRoom();
  return n;
}

EventMask Terminal::PollMaster() {
  MutexLock l(mu_);
  EventMask ready = EPOLLOUT | EPOLLWRNORM;
  if (!output_.empty()) ready |= EPOLLIN | EPOLLRDNORM;
  if (packet_ && packet_status_ != 0) ready |= EPOLLPRI | EPOLLIN | EPOLLRDNORM;
  if (slaves_ == 0 && slave_was_open_) ready |= EPOLLHUP;
  return ready;
}

void Terminal::Inject(char c) {
  Typed typed;
  {
    MutexLock l(mu_);
    TypeLocked({&c, 1}, &typed);
  }
  TellTyped(typed);
}

int64_t Terminal::ReadDeadline(int64_t began) {
  MutexLock l(mu_);
  return discipline_.ReadDeadline(began, last_typed_);
}

ErrnoOr<size_t> Terminal::SlaveRead(UserOut& dst, bool nonblock, bool expired) {
  ErrnoOr<size_t> n = Errno::kWouldBlock;
  {
    MutexLock l(mu_);
    if (master_closed_) return size_t{0};
    n = discipline_.Read(dst, nonblock, expired);
  }
  if (n.ok()) master_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  return n;
}

ErrnoOr<size_t> Terminal::SlaveWrite(UserIn& src) {
  size_t total = 0;
  {
    MutexLock l(mu_);
    if (master_closed_) return Errno::kIo;
    char chunk[1024];
    while (src.remaining() > 0 && output_.size() < kMaxOutput && !discipline_.stopped()) {
      UserIn look = src;
      ErrnoOr<size_t> n = look.Read(chunk, sizeof(chunk));
      if (!n.ok()) return total > 0 ? ErrnoOr<size_t>(total) : n;
      size_t used = discipline_.Display({chunk, *n}, kMaxOutput + 8 - output_.size(), &output_);
      src.Skip(used);
      total += used;
      if (used < *n) break;
    }
    slave_short_ |= src.remaining() > 0;
    if (total == 0 && src.remaining() > 0) return Errno::kWouldBlock;
  }
  master_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  if (total > 0) master_async_.Notify(IoEvent::kIn);
  return total;
}

void Terminal::SignalRoom() {
  {
    MutexLock l(mu_);
    if (!slave_short_ || output_.size() >= kMaxOutput || discipline_.stopped()) return;
    slave_short_ = false;
  }
  slave_async_.Notify(IoEvent::kOut);
}

EventMask Terminal::PollSlave() {
  MutexLock l(mu_);
  if (master_closed_) return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLHUP | EPOLLERR;
  EventMask ready = 0;
  if (discipline_.readable()) ready |= EPOLLIN | EPOLLRDNORM;
  if (output_.size() < kMaxOutput && !discipline_.stopped()) ready |= EPOLLOUT | EPOLLWRNORM;
  return ready;
}

void Terminal::SlaveOpened() {
  MutexLock l(mu_);
  ++slaves_;
  slave_was_open_ = true;
}

void Terminal::SlaveClosed() {
  {
    MutexLock l(mu_);
    if (--slaves_ > 0) return;
  }
  master_queue_.Notify(EPOLLIN | EPOLLHUP);
}

void Terminal::MasterClosed() {
  {
    MutexLock l(mu_);
    master_closed_ = true;
    output_.clear();
  }
  jobs_.Hangup();
  slave_async_.Clear();
  slave_queue_.Notify(EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR);
}

bool Terminal::locked() {
  MutexLock l(mu_);
  return locked_;
}
void Terminal::SetLocked(bool locked) {
  MutexLock l(mu_);
  locked_ = locked;
}
bool Terminal::hung_up() {
  MutexLock l(mu_);
  return master_closed_;
}
abi::Termios2 Terminal::termios() {
  MutexLock l(mu_);
  return discipline_.termios();
}
abi::Winsize Terminal::winsize() {
  MutexLock l(mu_);
  return winsize_;
}
size_t Terminal::InputAvailable() {
  MutexLock l(mu_);
  return discipline_.available();
}
size_t Terminal::OutputPending() {
  MutexLock l(mu_);
  return output_.size();
}
bool Terminal::SlaveWritesSignal() {
  MutexLock l(mu_);
  return (discipline_.termios().lflag & TOSTOP) != 0;
}
void Terminal::SetPacketMode(bool on) {
  MutexLock l(mu_);
  if (on && !packet_) packet_status_ = 0;
  packet_ = on;
}

void Terminal::SetTermios(const abi::Termios2& termios, bool flush_input) {
  {
    MutexLock l(mu_);
    if (flush_input) {
      discipline_.FlushInput();
      NotePacketLocked(TIOCPKT_FLUSHREAD);
    }
    const bool before = HasUsualFlowControl(discipline_.termios());
    const bool after = HasUsualFlowControl(termios);
    discipline_.SetTermios(termios);
    if (before != after) {
      NotePacketLocked(after ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP, TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
    }
  }
  slave_queue_.Notify(EPOLLIN | EPOLLOUT);
  master_queue_.Notify(EPOLLOUT | EPOLLWRNORM | EPOLLIN | EPOLLRDNORM | EPOLLPRI);
}

void Terminal::SetWinsize(const abi::Winsize& size) {
  {
    MutexLock l(mu_);
    if (std::memcmp(&winsize_, &size, sizeof(size)) == 0) return;
    winsize_ = size;
  }
  jobs_.SignalForeground(Signal(SIGWINCH));
}

Status Terminal::Flush(int what) {
  if (what != TCIFLUSH && what != TCOFLUSH && what != TCIOFLUSH) return Errno::kInval;
  {
    MutexLock l(mu_);
    if (what != TCOFLUSH) {
      discipline_.FlushInput();
      NotePacketLocked(TIOCPKT_FLUSHREAD);
    }
    if (what != TCIFLUSH) {
      output_.clear();
      NotePacketLocked(TIOCPKT_FLUSHWRITE);
    }
  }
  slave_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  master_queue_.Notify(EPOLLOUT | EPOLLWRNORM | EPOLLIN | EPOLLRDNORM | EPOLLPRI);
  SignalRoom();
  return Ok();
}

Status Terminal::Flow(int what) {
  {
    MutexLock l(mu_);
    switch (what) {
      case TCOOFF:
      case TCOON: {
        const bool before = discipline_.stopped();
        discipline_.SetStopped(what == TCOOFF);
        if (discipline_.stopped() != before) NoteStoppedLocked();
        break;
      }
      case TCIOFF:
      case TCION: break;  // asks the other side to pause; a pty's master has no keyboard to stop
      default: return Errno::kInval;
    }
  }
  slave_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  master_queue_.Notify(EPOLLIN | EPOLLRDNORM | EPOLLPRI);
  SignalRoom();
  return Ok();
}

bool Terminal::packet_mode() {
  MutexLock l(mu_);
  return packet_;
}

// The kernel has told the foreground process group.
void Terminal::OnDisassociate() { jobs_.Forget(); }

void Terminal::HangUp() {
  jobs_.Hangup();
  hangups_.fetch_add(1, std::memory_order_acq_rel);
  slave_async_.Clear();
  slave_queue_.Notify(EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR);
}

}  // namespace runsc
