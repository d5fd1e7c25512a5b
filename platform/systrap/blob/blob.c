// The stub's C part: signal handlers of guest threads, and the template process.
// Nothing here protects anything: a guest may run any of it with any registers and write all its
// memory. What it may ask of the host is decided by the two filters alone (filters.inc).
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/systrap/blob/layout.h"

#define OFFSET_IS(type, field, value) \
  _Static_assert(offsetof(struct type, field) == (value), #field)
OFFSET_IS(ThreadCtx, state, CTX_STATE);
OFFSET_IS(ThreadCtx, irq, CTX_IRQ);
OFFSET_IS(ThreadCtx, sig, CTX_SIG);
OFFSET_IS(ThreadCtx, fpu, CTX_FPU);
OFFSET_IS(ThreadCtx, regs, CTX_REGS);
OFFSET_IS(ThreadCtx, regs.rdi, REGS_RDI);
OFFSET_IS(ThreadCtx, regs.rip, REGS_RIP);
OFFSET_IS(ThreadCtx, regs.eflags, REGS_EFLAGS);
OFFSET_IS(ThreadCtx, regs.gs_base, REGS_GS_BASE);
OFFSET_IS(ThreadCtx, xmask, CTX_XMASK);
OFFSET_IS(ThreadCtx, fast, CTX_FAST);
OFFSET_IS(ThreadCtx, altstack, CTX_ALTSTACK);
OFFSET_IS(ThreadCtx, start_sp, CTX_START_SP);
OFFSET_IS(ControlPage, seq, CONTROL_SEQ);
OFFSET_IS(ControlPage, count, CONTROL_COUNT);
OFFSET_IS(ControlPage, event_fd, CONTROL_EVENT_FD);
OFFSET_IS(ControlPage, ops, CONTROL_OPS);
OFFSET_IS(HintPage, error, HINT_ERROR);
OFFSET_IS(HintPage, results, HINT_RESULTS);
_Static_assert(sizeof(struct ThreadCtx) <= STUB_CTX_SIZE, "ThreadCtx");
_Static_assert(sizeof(struct ControlPage) <= 4096, "ControlPage");
_Static_assert(sizeof(struct HintPage) <= 4096, "HintPage");
_Static_assert(sizeof(struct TemplatePage) <= 4096, "TemplatePage");
_Static_assert(sizeof(struct ControlOp) == CONTROL_OP_SIZE, "ControlOp");

#define NR_write 1
#define NR_mmap 9
#define NR_mprotect 10
#define NR_munmap 11
#define NR_rt_sigaction 13
#define NR_rt_sigprocmask 14
#define NR_madvise 28
#define NR_clone 56
#define NR_sigaltstack 131
#define NR_futex 202
#define NR_clock_gettime 228
#define NR_seccomp 317

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

#define EFLAGS_TF 0x100ull
#define EFLAGS_NT 0x4000ull
#define EFLAGS_AC 0x40000ull

// From the assembly. Hidden, so that it is reached pc-relative and not through a table.
#pragma GCC visibility push(hidden)
extern const char blob_entry[], restore_start[], restore_fpu_done[], restore_end[], no_restorer[];
extern const char blob_text_end[];
long raw_syscall(long nr, long a, long b, long c, long d, long e, long f);
long spawn_stub(uint32_t index, int control_fd, int sentry_pid);
long guest_futex(uint32_t* word, long op, uint32_t value);
long guest_clock(void* timespec);
__attribute__((noreturn)) void restore_guest(struct ThreadCtx* ctx);
__attribute__((noreturn)) void resume_stub(const uint64_t* gregs, uint64_t cs, uint64_t ss);
__attribute__((noreturn)) void wait_for_sentry(struct ThreadCtx* ctx);
__attribute__((noreturn)) void post(struct ThreadCtx* ctx);
__attribute__((noreturn)) void post_from_start(struct ThreadCtx* ctx);
__attribute__((noreturn)) void post_interrupted(struct ThreadCtx* ctx);

#pragma GCC visibility pop

#include "platform/systrap/blob/filters.inc"

static uint64_t Tsc(void) { return __builtin_ia32_rdtsc(); }

static uint32_t Load(uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }

// Spins for a while, then sleeps, until it is the guest's turn; and goes there.
void wait_for_sentry(struct ThreadCtx* ctx) {
  uint64_t start = Tsc();
  uint32_t turn;
  while ((turn = Load(&ctx->state)) != STATE_GUEST) {
    if (Tsc() - start > __atomic_load_n(&ctx->spin, __ATOMIC_RELAXED)) break;
    __builtin_ia32_pause();
  }
  while (turn != STATE_GUEST) {
    __atomic_store_n(&ctx->stub_waiting, 1, __ATOMIC_SEQ_CST);
    if (Load(&ctx->state) == STATE_SENTRY) guest_futex(&ctx->state, FUTEX_WAIT, STATE_SENTRY);
    turn = Load(&ctx->state);
  }
  if (ctx->stub_waiting) ctx->stub_waiting = 0;
  const struct StubRegs* r = &ctx->regs;
  ctx->fast = r->rcx == r->rip && r->r11 == r->eflags &&
              (r->eflags & (EFLAGS_TF | EFLAGS_NT | EFLAGS_AC)) == 0;
  restore_guest(ctx);
}

// Gives the turn to the sentry. Interrupts until here need no mark: the sentry looks for them
// itself before it sends the guest on.
void post(struct ThreadCtx* ctx) {
  uint64_t now = Tsc();
  if (now - ctx->clock_tsc > ctx->clock_period) {
    guest_clock(&ctx->cpu_sec);
    ctx->clock_tsc = now;
  }
  ctx->irq = 0;
  __atomic_exchange_n(&ctx->state, STATE_SENTRY, __ATOMIC_SEQ_CST);
  if (Load(&ctx->sentry_waiting)) guest_futex(&ctx->state, FUTEX_WAKE, 1);
  wait_for_sentry(ctx);
}

static void SaveRegisters(struct StubRegs* r, const struct sigcontext_64* c) {
  r->r15 = c->r15;
  r->r14 = c->r14;
  r->r13 = c->r13;
  r->r12 = c->r12;
  r->rbp = c->bp;
  r->rbx = c->bx;
  r->r11 = c->r11;
  r->r10 = c->r10;
  r->r9 = c->r9;
  r->r8 = c->r8;
  r->rax = c->ax;
  r->rcx = c->cx;
  r->rdx = c->dx;
  r->rsi = c->si;
  r->rdi = c->di;
  r->rip = c->ip;
  r->eflags = c->flags;
  r->rsp = c->sp;
  __asm__ volatile("rdfsbase %0" : "=r"(r->fs_base));
  __asm__ volatile("rdgsbase %0" : "=r"(r->gs_base));
}

// Moves the guest's FPU state to where it does not depend on the stack.
static void HomeFpu(struct ThreadCtx* ctx, uint64_t from) {
  uint64_t to = ctx->fpu_home, words = ctx->fpu_size / 8;
  if (to < from) {
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
  } else if (to > from) {
    to += (words - 1) * 8;
    from += (words - 1) * 8;
    __asm__ volatile("std; rep movsq; cld" : "+D"(to), "+S"(from), "+c"(words)::"memory", "cc");
  }
  ctx->fpu = ctx->fpu_home;
}

static struct ThreadCtx* CtxOfStack(const void* sp) {
  uint64_t top = ((uint64_t)sp | (STUB_SLOT_SIZE - 1)) + 1;
  return (struct ThreadCtx*)(top - STUB_CTX_SIZE);
}

struct StubFrame {
  unsigned long uc_flags;
  void* uc_link;
  stack_t uc_stack;
  struct sigcontext_64 mc;
};

// Handler of every signal that a guest thread takes, on its own signal stack; never returns.
static void HandleSignal(int sig, const siginfo_t* info, const struct StubFrame* frame) {
  struct ThreadCtx* ctx = CtxOfStack(__builtin_frame_address(0));
  const struct sigcontext_64* mc = &frame->mc;
  const uint64_t ip = mc->ip;
  // Both survive into a handler: NT makes iretq fault, AC every misaligned access, of which
  // compilers make some: hence the volatile.
  if (*(const volatile uint64_t*)&mc->flags & (EFLAGS_NT | EFLAGS_AC)) {
    __asm__ volatile("pushfq; andq %0, (%%rsp); popfq" ::"er"((int64_t) ~(EFLAGS_NT | EFLAGS_AC))
                     : "memory", "cc");
  }
  const int restoring = ip >= (uint64_t)restore_start && ip < (uint64_t)restore_end;
  // Else each stop on the way into the guest would go on deeper in the stack than the one before.
  if (restoring) {
    HomeFpu(ctx, ip >= (uint64_t)restore_fpu_done ? (uint64_t)mc->fpstate : ctx->fpu);
  }
  if (sig == STUB_INTERRUPT_SIGNAL) {
    if (restoring) post_interrupted(ctx);
    if (ip >= (uint64_t)blob_entry && ip < (uint64_t)blob_text_end) {
      ctx->irq = 1;
      resume_stub((const uint64_t*)mc, mc->cs, mc->ss);
    }
  }
  if (!restoring) {
    SaveRegisters(&ctx->regs, mc);
    ctx->fpu = (uint64_t)mc->fpstate;
  }
  ctx->sig = (uint32_t)sig;
  ctx->code = info->si_code;
  if (sig == SIGSYS) {
    ctx->sysno = (uint32_t)info->si_syscall;
    ctx->arch = info->si_arch;
  } else {
    ctx->addr = (uint64_t)info->si_addr;
    ctx->err = (uint32_t)mc->err;
    ctx->trapno = (uint32_t)mc->trapno;
  }
  if (restoring) post_from_start(ctx);
  post(ctx);
}

// --- template process ---

struct KernelSigaction {
  uint64_t handler, flags, restorer, mask;
};

static long InstallSignals(void) {
  const uint32_t ours = 1u << SIGSYS | 1u << SIGSEGV | 1u << SIGBUS | 1u << SIGFPE | 1u << SIGILL |
                        1u << SIGTRAP | 1u << STUB_INTERRUPT_SIGNAL;
  for (int sig = 1; sig <= 64; ++sig) {
    if (sig == SIGKILL || sig == SIGSTOP || sig == SIGCHLD) continue;
    struct KernelSigaction act = {1 /* SIG_IGN */, 0x04000000, (uint64_t)no_restorer, 0};
    if (sig < 32 && (ours >> sig & 1)) {
      act.handler = (uint64_t)HandleSignal;
      act.flags |= SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    }
    long rc = raw_syscall(NR_rt_sigaction, sig, (long)&act, 0, 8, 0, 0);
    if (rc != 0) return rc;
  }
  return 0;
}

// Leaves nothing mapped but the stub's own pages, and those of the template only in the template.
static long ForgetSentry(void) {
  static const uint64_t kUnmap[][2] = {
      {0, STUB_BLOB},
      {STUB_BLOB + STUB_BLOB_SIZE, STUB_TEMPLATE},
      {STUB_TEMPLATE + 4096, STUB_TEMPLATE_STACK},
      {STUB_TEMPLATE_STACK + STUB_TEMPLATE_STACK_SIZE, STUB_TOP},
  };
  const long kDontFork = 10;
  long rc = 0;
  for (int i = 0; i < 4 && rc == 0; ++i) {
    rc = raw_syscall(NR_munmap, kUnmap[i][0], kUnmap[i][1] - kUnmap[i][0], 0, 0, 0, 0);
  }
  if (rc == 0) rc = raw_syscall(NR_madvise, STUB_TEMPLATE, 4096, kDontFork, 0, 0, 0);
  if (rc == 0) {
    rc = raw_syscall(NR_madvise, STUB_TEMPLATE_STACK, STUB_TEMPLATE_STACK_SIZE, kDontFork, 0, 0, 0);
  }
  return rc;
}

static void Wake(uint32_t* word) { raw_syscall(NR_futex, (long)word, FUTEX_WAKE, 1, 0, 0, 0); }

__attribute__((noreturn)) void template_main(void) {
  struct TemplatePage* page = (struct TemplatePage*)STUB_TEMPLATE;
  long rc = ForgetSentry();
  if (rc == 0) rc = InstallSignals();
  __atomic_store_n(&page->ready, rc == 0 ? 1 : (int32_t)rc, __ATOMIC_RELEASE);
  Wake((uint32_t*)&page->ready);
  const int control_fd = page->control_fd, sentry_pid = page->sentry_pid;
  uint32_t done = 0;
  for (;;) {
    uint32_t requested = Load(&page->requested);
    while (done != requested) {
      const uint32_t at = done % TEMPLATE_RING;
      page->pid[at] = (int32_t)spawn_stub(page->index[at], control_fd, sentry_pid);
      __atomic_store_n(&page->done, ++done, __ATOMIC_RELEASE);
      Wake(&page->done);
    }
    raw_syscall(NR_futex, (long)&page->requested, FUTEX_WAIT, requested, 0, 0, 0);
  }
}
