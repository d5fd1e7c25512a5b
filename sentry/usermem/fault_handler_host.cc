#include <signal.h>
#include <ucontext.h>

#include "platform/base/log.h"
#include "sentry/usermem/recover_table.h"
#include "sentry/usermem/usermem.h"

namespace runsc {
namespace {

struct sigaction g_previous_segv;
struct sigaction g_previous_bus;

// What happens to a fault that is not at one of the copy instructions: what would have happened
// without us. With the default action the instruction runs again and the process dies of it.
void PassOn(int signo, siginfo_t* info, void* context) {
  const struct sigaction& previous = signo == SIGBUS ? g_previous_bus : g_previous_segv;
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signo, info, context);
    return;
  }
  sigaction(signo, &previous, nullptr);
}

void OnFault(int signo, siginfo_t* info, void* context) {
  greg_t& pc = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  // A positive si_code comes from the kernel: nobody can send us past an instruction by kill(2).
  uint64_t to = info->si_code > 0 ? internal::RecoverAddress(static_cast<uint64_t>(pc)) : 0;
  if (to == 0) return PassOn(signo, info, context);
  pc = static_cast<greg_t>(to);
}

}  // namespace

void InstallFaultHandler() {
  struct sigaction action{};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  struct sigaction current{};
  if (sigaction(SIGSEGV, nullptr, &current) == 0 && current.sa_sigaction == OnFault) return;
  if (sigaction(SIGSEGV, &action, &g_previous_segv) != 0 ||
      sigaction(SIGBUS, &action, &g_previous_bus) != 0) {
    Panic("usermem: cannot install the fault handler");
  }
}

}  // namespace runsc
