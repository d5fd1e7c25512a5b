#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "platform/host/file.h"
#include "platform/host/process.h"

namespace runsc::host {
namespace {

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int ExecProgram(const ProgramOptions& options, int input) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(input, STDIN_FILENO);
  std::vector<char*> argv = PointerArray(options.argv);
  std::vector<char*> env = PointerArray(options.env);
  execve(options.path.c_str(), argv.data(), env.data());
  return 127;
}

}  // namespace

std::vector<char*> PointerArray(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

HostOr<Process> CloneProcess(uint64_t flags, const std::function<int()>& child) {
  int pidfd = -1;
  clone_args args{};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  long pid = syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return SysError("cannot start a process");
  if (pid == 0) _exit(child());
  return Process{static_cast<int>(pid), Fd(pidfd)};
}

uint64_t StartTime(int pid) {
  HostOr<std::string> stat = ReadFile(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat.ok()) return 0;
  size_t at = stat->rfind(')');  // the name before it may hold anything
  if (at == std::string::npos || at + 2 >= stat->size()) return 0;
  char state = (*stat)[at + 2];
  if (state == 'Z' || state == 'X') return 0;
  for (int field = 2; field < 22; ++field) {
    at = stat->find(' ', at + 1);
    if (at == std::string::npos) return 0;
  }
  return std::strtoull(stat->c_str() + at + 1, nullptr, 10);
}

HostOr<Fd> OpenProcess(int pid, uint64_t start_time) {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.ok()) return SysError("cannot open process %d", pid);
  uint64_t now = StartTime(pid);
  if (now == 0 || (start_time != 0 && now != start_time)) {
    errno = ESRCH;
    return SysError("cannot open process %d", pid);
  }
  return fd;
}

HostStatus SendSignal(const Fd& pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) < 0) {
    return SysError("cannot send signal %d", signal);
  }
  return HostOk();
}

HostOr<int> WaitChild(int pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return SysError("cannot wait for process %d", pid);
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool WaitGone(const Fd& pidfd, int timeout_ms) {
  int64_t end = NowMs() + timeout_ms;
  while (true) {
    pollfd wait{pidfd.get(), POLLIN, 0};
    int left = timeout_ms < 0 ? -1 : static_cast<int>(end - NowMs());
    int n = poll(&wait, 1, timeout_ms >= 0 && left < 0 ? 0 : left);
    if (n >= 0 || errno != EINTR) return n > 0;
  }
}

HostStatus RunProgram(const ProgramOptions& options) {
  int input[2];
  if (pipe2(input, O_CLOEXEC) < 0) return SysError("cannot create a pipe");
  Fd in(input[0]), out(input[1]);
  Process child =
      TRY(CloneProcess(0, [&] { return ExecProgram(options, in.get()); }));
  in.Reset();
  void (*old)(int) = signal(SIGPIPE, SIG_IGN);
  (void)WriteAll(out.get(), options.input);  // a program need not read its input
  out.Reset();
  signal(SIGPIPE, old);
  if (!WaitGone(child.pidfd, options.timeout_ms)) {
    (void)SendSignal(child.pidfd, SIGKILL);
    (void)WaitChild(child.pid);
    return TextError("%s took longer than %d ms and was killed", options.path.c_str(),
                     options.timeout_ms);
  }
  int status = TRY(WaitChild(child.pid));
  if (status != 0) return TextError("%s failed with status %d", options.path.c_str(), status);
  return HostOk();
}

}  // namespace runsc::host
