#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "platform/base/log.h"
#include "runsc/filters/filters.h"

namespace runsc::filters {
namespace {

// Runs on the refused call's thread; only calls that the filter allows.
void OnViolation(int, siginfo_t* info, void* context) {
  const auto* uc = static_cast<const ucontext_t*>(context);
  const auto& regs = uc->uc_mcontext.gregs;
  char line[256];
  int n = std::snprintf(line, sizeof(line),
                        "runsc: the sentry's filter refuses system call %d(%llx, %llx, %llx, %llx, "
                        "%llx, %llx) at %p; add a rule with its reason to runsc/filters\n",
                        info->si_syscall, regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
                        regs[REG_R10], regs[REG_R8], regs[REG_R9], info->si_call_addr);
  ssize_t ignored = write(STDERR_FILENO, line, static_cast<size_t>(n));
  (void)ignored;
  LOG_WARNING("%.*s", n - 1, line);
  _exit(128 + SIGSYS);
}

HostStatus CatchViolations() {
  struct sigaction action{};
  action.sa_sigaction = OnViolation;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  if (sigaction(SIGSYS, &action, nullptr) < 0 || sigprocmask(SIG_UNBLOCK, &set, nullptr) < 0) {
    return SysError("cannot catch SIGSYS");
  }
  return HostOk();
}

}  // namespace

HostStatus Install(std::span<const Rule> rules, const InstallOptions& options) {
  if (options.report) TRY(CatchViolations());
  uint32_t deny = options.report ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS;
  std::vector<sock_filter> code = Compile(rules, deny);
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return SysError("cannot set no_new_privs");
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (result > 0) return TextError("thread %ld cannot take the seccomp filter", result);
  if (result < 0) return SysError("this host refuses the sentry's seccomp filter");
  LOG_DEBUG("seccomp filter of %zu instructions installed", code.size());
  return HostOk();
}

}  // namespace runsc::filters
