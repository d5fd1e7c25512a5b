#ifndef SENTRY_FS_TTY_TERMINAL_H_
#define SENTRY_FS_TTY_TERMINAL_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/abi/termios.h"
#include "platform/base/mutex.h"
#include "sentry/fs/tty/tty_jobs.h"
#include "sentry/fs/tty/line_discipline.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/file.h"
#include "sentry/wait/wait.h"

namespace runsc {

// A pseudoterminal (pty(7)): what its master and slave files share. Thread-safe.
class Terminal final : public ControllingTty {
 public:
  static constexpr size_t kMaxOutput = 8192;

  explicit Terminal(int index) : index_(index), jobs_(this) {}

  int index() const { return index_; }
  TtyJobs& jobs() { return jobs_; }
  WaitQueue& master_queue() { return master_queue_; }
  WaitQueue& slave_queue() { return slave_queue_; }
  AsyncList& master_async() { return master_async_; }
  AsyncList& slave_async() { return slave_async_; }

  // The master's side: what is typed, what is displayed.
  ErrnoOr<size_t> MasterWrite(UserIn& src);
  ErrnoOr<size_t> MasterRead(UserOut& dst);
  EventMask PollMaster();
  // The slave's side. The caller checked background rules.
  ErrnoOr<size_t> SlaveRead(UserOut& dst, bool nonblock, bool expired);
  int64_t ReadDeadline(int64_t began);
  ErrnoOr<size_t> SlaveWrite(UserIn& src);
  EventMask PollSlave();

  void SlaveOpened();
  void SlaveClosed();
  void MasterClosed();
  // TIOCSPTLCK; a locked slave cannot be opened (EIO).
  bool locked();
  void SetLocked(bool locked);
  bool hung_up();
  // Slave files opened before a vhangup(2) are dead: each remembers the count it was opened at.
  uint32_t hangups() const { return hangups_.load(std::memory_order_acquire); }

  abi::Termios2 termios();
  void SetTermios(const abi::Termios2& termios, bool flush_input);
  abi::Winsize winsize();
  // SIGWINCH to the foreground if it changed.
  void SetWinsize(const abi::Winsize& size);
  // TCFLSH, TCXONC.
  Status Flush(int what);
  Status Flow(int what);
  size_t InputAvailable();
  size_t OutputPending();
  bool SlaveWritesSignal();  // TOSTOP
  void SetPacketMode(bool on);
  bool packet_mode();
  // TIOCSTI: as if typed at the keyboard.
  void Inject(char c);
  // TIOCEXCL: opening is for the privileged only.
  bool exclusive() const { return exclusive_.load(std::memory_order_relaxed); }
  void SetExclusive(bool on) { exclusive_.store(on, std::memory_order_relaxed); }

  // ControllingTty.
  void OnDisassociate() override;
  void HangUp() override;
  void OnAssociate(Session& session) override { jobs_.Associate(session); }
  ErrnoOr<Ref<File>> OpenAgain(const OpContext& ctx, const Path& path, uint32_t flags) override;
  Ref<ProcessGroup> Foreground() override { return jobs_.Foreground(); }
  DeviceId device() override { return DeviceOf(index_); }
  // Of a slave, by its number in devpts.
  static DeviceId DeviceOf(int index) { return {136, static_cast<uint32_t>(index)}; }

 private:
  // What typing changed for readers of both sides.
  struct Typed {
    std::vector<int> signals;
    int slave_events = 0;  // a line each, or more to read at all
    bool echoed = false;
  };
  size_t TypeLocked(std::string_view bytes, Typed* typed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellTyped(const Typed& typed);
  // TIOCPKT: the master reads a byte of these, TIOCPKT_*, before data.
  void NotePacketLocked(uint8_t set, uint8_t clear = 0) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteStoppedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Signals the slave if it waits for room and there is some.
  void SignalRoom();

  const int index_;
  TtyJobs jobs_;
  WaitQueue master_queue_;
  WaitQueue slave_queue_;
  AsyncList master_async_, slave_async_;
  std::atomic<bool> exclusive_{false};
  std::atomic<uint32_t> hangups_{0};

  Mutex<LockRank::kTty> mu_;
  LineDiscipline discipline_ ABSL_GUARDED_BY(mu_);
  std::string output_ ABSL_GUARDED_BY(mu_);  // to be read by the master
  bool slave_short_ ABSL_GUARDED_BY(mu_) = false;  // a write of the slave found too little room
  int64_t last_typed_ ABSL_GUARDED_BY(mu_) = 0;  // monotonic ns
  abi::Winsize winsize_ ABSL_GUARDED_BY(mu_) = {};
  int slaves_ ABSL_GUARDED_BY(mu_) = 0;
  bool slave_was_open_ ABSL_GUARDED_BY(mu_) = false;
  bool master_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool locked_ ABSL_GUARDED_BY(mu_) = true;
  bool packet_ ABSL_GUARDED_BY(mu_) = false;
  uint8_t packet_status_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_FS_TTY_TERMINAL_H_
