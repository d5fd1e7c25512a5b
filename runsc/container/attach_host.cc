#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "platform/base/log.h"
#include "runsc/container/attach.h"

namespace runsc::container {
namespace {

using control::SignalTarget;

// Sent by a terminal to the foreground job.
constexpr int kTerminalSignals[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH};
// Never passed on: our own business, a terminal's judgement of us, or (32, 33) the C library's.
constexpr int kOwnSignals[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU, 32, 33};

bool IsTerminalSignal(int signal) {
  for (int s : kTerminalSignals) {
    if (s == signal) return true;
  }
  return false;
}

sigset_t ForwardedSignals(bool terminal) {
  // A fault of our own still kills: the kernel sees to that when its signal is blocked.
  sigset_t set;
  sigfillset(&set);
  for (int s : kOwnSignals) sigdelset(&set, s);
  // What our caller has us ignore (nohup, a shell's background job) is not for the guest either.
  for (int s = 1; s <= SIGRTMAX; ++s) {
    struct sigaction now{};
    if (sigaction(s, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) sigdelset(&set, s);
  }
  // Without a terminal of the guest's, Ctrl-Z stops runsc as any program; SIGCONT wakes it.
  if (!terminal) {
    sigdelset(&set, SIGTSTP);
    sigdelset(&set, SIGCONT);
  }
  return set;
}

}  // namespace

struct Attachment::Saved {
  termios settings;
};

Attachment::Attachment() = default;

HostOr<std::unique_ptr<Attachment>> Attachment::Create(int terminal) {
  std::unique_ptr<Attachment> a(new Attachment);
  a->terminal_ = terminal;
  sigset_t set = ForwardedSignals(terminal >= 0);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  a->signals_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!a->signals_.ok()) return SysError("cannot watch signals");
  signal(SIGPIPE, SIG_IGN);
  if (terminal >= 0) {
    a->saved_ = std::make_unique<Saved>();
    if (tcgetattr(terminal, &a->saved_->settings) < 0) a->saved_.reset();
  }
  return a;
}

Attachment::~Attachment() {
  if (saved_ == nullptr) return;
  // From the background this would stop us; the shell then owns the terminal's settings.
  sigset_t ttou, old;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU);
  sigprocmask(SIG_BLOCK, &ttou, &old);
  if (tcgetpgrp(terminal_) == getpgrp()) tcsetattr(terminal_, TCSADRAIN, &saved_->settings);
  sigprocmask(SIG_SETMASK, &old, nullptr);
}

void Attachment::Forward(control::Client& client, const std::string& container, int32_t pid) {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    int signal = static_cast<int>(info.ssi_signo);
    // SI_KERNEL: from the terminal. A person's kill(1) is for the process itself.
    bool job = IsTerminalSignal(signal) && info.ssi_code == SI_KERNEL;
    control::SignalRequest request{container, SignalTarget::kInit, pid, signal};
    if (pid != 0) request.target = SignalTarget::kPid;
    if (job || signal == SIGWINCH) request.target = SignalTarget::kForeground;
    LOG_DEBUG("passing signal %d on", signal);
    // Its reply is dropped when it comes; a process that has ended is no error.
    (void)client.Send(control::Type::kSignal, control::Encode(request));
  }
}

HostOr<int> Attachment::Wait(control::Client& client, uint32_t wait, const std::string& container,
                             int32_t pid) {
  while (true) {
    pollfd fds[2] = {{client.fd(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return SysError("cannot wait for the sandbox");
    if (fds[1].revents != 0) Forward(client, container, pid);
    if (fds[0].revents == 0) continue;
    std::optional<std::string> bytes = TRY(client.TryFinish(wait));
    if (!bytes) continue;
    control::WaitReply reply;
    if (!control::Decode(*bytes, &reply)) return TextError("the sandbox sent a malformed reply");
    return reply.status;
  }
}

HostStatus TakeTerminal(int terminal) {
  setsid();
  if (ioctl(terminal, TIOCSCTTY, 0) < 0) return SysError("cannot take the terminal");
  return HostOk();
}

}  // namespace runsc::container
