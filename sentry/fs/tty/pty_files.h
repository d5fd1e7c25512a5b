#ifndef SENTRY_FS_TTY_PTY_FILES_H_
#define SENTRY_FS_TTY_PTY_FILES_H_

#include "sentry/fs/tty/devpts.h"
#include "sentry/fs/tty/terminal.h"
#include "sentry/vfs/file.h"

namespace runsc {

// The two kinds of open file of a pty.
class PtyMaster final : public File {
 public:
  PtyMaster(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Devpts> fs,
            Ref<Terminal> terminal);
  ~PtyMaster() override;

  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override;
  bool seekable() const override { return false; }
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override;
  ErrnoOr<AsyncLists> async_lists() override {
    return AsyncLists{.in = &terminal_->master_async(), .default_owner = true};
  }
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override;
  void RemoveWaiter(Waiter* w) override;

 private:
  ErrnoOr<int64_t> OpenPeer(IoContext& io, uint32_t flags);

  const Ref<Devpts> fs_;
  const Ref<Terminal> terminal_;
};

class PtySlave final : public File, public TerminalFile {
 public:
  PtySlave(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<Terminal> terminal);
  ~PtySlave() override;

  Ref<ControllingTty> terminal() override { return terminal_; }
  ErrnoOr<AsyncLists> async_lists() override {
    if (hung_up()) return Errno::kNotty;
    return AsyncLists{.in = &terminal_->slave_async(), .default_owner = true};
  }
  int64_t ReadDeadline(int64_t began) override { return terminal_->ReadDeadline(began); }
  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override;
  bool seekable() const override { return false; }
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override;
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override;
  void RemoveWaiter(Waiter* w) override;

 private:
  bool hung_up() const { return terminal_->hung_up() || terminal_->hangups() != opened_at_; }
  Status Inject(IoContext& io, const IoctlRequest& request);

  const Ref<Terminal> terminal_;
  const uint32_t opened_at_;  // Terminal::hangups
};

// Commands that both sides serve alike: settings, window size, flushing. ENOTTY for others.
ErrnoOr<int64_t> TerminalIoctl(Terminal& terminal, IoContext& io, const IoctlRequest& request,
                               bool slave);

}  // namespace runsc

#endif  // SENTRY_FS_TTY_PTY_FILES_H_
