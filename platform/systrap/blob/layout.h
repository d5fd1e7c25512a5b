#ifndef PLATFORM_SYSTRAP_BLOB_LAYOUT_H_
#define PLATFORM_SYSTRAP_BLOB_LAYOUT_H_

// What the stub's code (blob.c, blob_asm.S) and the sentry's side agree on: where the stub's own
// pages lie, and what is in them. Plain C, for the assembler too.

// The stub owns [STUB_HOLE, top of the 47-bit address space); all below is the guest's.
#define STUB_HOLE 0x7fff00000000
// One slot a guest thread, writable by the stub and so by the guest: alternate signal stack, then
// struct ThreadCtx in the last CTX_SIZE bytes.
#define STUB_SLOTS STUB_HOLE
#define STUB_SLOT_SIZE 0x10000
#define STUB_MAX_SLOTS 0xf000
#define STUB_CTX_SIZE 1024
// Everything else is at and above this; the low 32 bits are what the filters compare.
#define STUB_PRIVATE_LO 0xf0000000
#define STUB_HI 0x7fff
#define STUB_BLOB 0x7ffff0000000
#define STUB_BLOB_SIZE 0x4000
// struct ControlPage: read-only in the stub, written by the sentry through its own mapping.
#define STUB_CONTROL 0x7ffff0100000
// struct HintPage: results of control operations. Writable by the guest, so never believed.
#define STUB_HINT 0x7ffff0101000
// struct TemplatePage and the stack of the template process; not inherited by stubs.
#define STUB_TEMPLATE 0x7ffff0200000
#define STUB_TEMPLATE_STACK 0x7ffff0210000
#define STUB_TEMPLATE_STACK_SIZE 0x4000
#define STUB_TOP 0x7ffffffff000

// Stops a running guest thread (SIGURG: ignored by default, so harmless if it ever strays).
#define STUB_INTERRUPT_SIGNAL 23

// ThreadCtx::state.
#define STATE_SENTRY 0  // the sentry's turn: an event is posted, or the thread is new
#define STATE_GUEST 1   // the stub's turn: run the guest

#define CONTROL_MAX_OPS 56

// Offsets in the blob of its filtered system-call instructions; GATE_IP is what a filter sees.
#define GATE_OFFSET 0x40
#define GATE_STRIDE 16
#define GATE_CONTROL_WAIT 0
#define GATE_CONTROL_OP 1
#define GATE_CONTROL_CLONE 2
#define GATE_CONTROL_DONE 3
#define GATE_START_ALTSTACK 4
#define GATE_START_MASK 5
#define GATE_START_SECCOMP 6
#define GATE_GUEST_FUTEX 7
#define GATE_GUEST_CLOCK 8
#define GATE_COUNT 9
// An empty signal set, the only one that a guest thread may set.
#define NO_SIGNALS_OFFSET (GATE_OFFSET + GATE_STRIDE * GATE_COUNT)
// What a control thread adds to its event descriptor after a batch: it went well, or it did not.
#define BATCH_OK_OFFSET (NO_SIGNALS_OFFSET + 8)
#define BATCH_FAILED_OFFSET (NO_SIGNALS_OFFSET + 16)
#define BATCH_OK 1
#define BATCH_FAILED 0x10000
#define GATE_IP(slot) (STUB_PRIVATE_LO + GATE_OFFSET + GATE_STRIDE * (slot) + 2)
// CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM
#define STUB_CLONE_FLAGS 0x50f00

// Offsets for assembly, checked in blob.c.
#define CTX_STATE 0
#define CTX_IRQ 12
#define CTX_SIG 16
#define CTX_FPU 48
#define CTX_REGS 64
#define CTX_XMASK 336
#define CTX_FAST 344
#define CTX_ALTSTACK 384
#define CTX_START_SP 408
#define REGS_R15 (CTX_REGS + 0)
#define REGS_R14 (CTX_REGS + 8)
#define REGS_R13 (CTX_REGS + 16)
#define REGS_R12 (CTX_REGS + 24)
#define REGS_RBP (CTX_REGS + 32)
#define REGS_RBX (CTX_REGS + 40)
#define REGS_R11 (CTX_REGS + 48)
#define REGS_R10 (CTX_REGS + 56)
#define REGS_R9 (CTX_REGS + 64)
#define REGS_R8 (CTX_REGS + 72)
#define REGS_RAX (CTX_REGS + 80)
#define REGS_RCX (CTX_REGS + 88)
#define REGS_RDX (CTX_REGS + 96)
#define REGS_RSI (CTX_REGS + 104)
#define REGS_RDI (CTX_REGS + 112)
#define REGS_RIP (CTX_REGS + 128)
#define REGS_EFLAGS (CTX_REGS + 144)
#define REGS_FS_BASE (CTX_REGS + 168)
#define REGS_GS_BASE (CTX_REGS + 176)
#define CONTROL_SEQ 0
#define CONTROL_COUNT 4
#define CONTROL_EVENT_FD 8
#define CONTROL_OPS 64
#define CONTROL_OP_SIZE 64
#define HINT_ERROR 0
#define HINT_RESULTS 64

#ifndef __ASSEMBLER__

#include <stdint.h>

// In the order of runsc::arch::Registers; rip..ss is what iretq takes.
struct StubRegs {
  uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
  uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

// Shared by one sentry thread and one stub thread. The guest can write all of it at any time.
struct ThreadCtx {
  // First cache line: all that one event needs beside the registers.
  uint32_t state;           // futex; STATE_*
  uint32_t stub_waiting;    // the stub (may) sleep on state
  uint32_t sentry_waiting;  // the sentry (may) sleep on state
  uint32_t irq;             // an interrupt came while the stub was not in the guest
  uint32_t sig;             // the signal that stopped the guest: SIGSYS, a fault, the interrupt
  int32_t code;             // si_code
  uint32_t sysno, arch;     // SIGSYS: as seccomp saw them
  uint64_t addr;            // si_addr
  uint32_t err, trapno;     // faults: page fault error code and exception vector
  uint64_t fpu;             // address in the stub of the guest's XSAVE area
  uint32_t spin;            // TSC ticks that the stub may spin for an answer
  uint32_t pad0;
  struct StubRegs regs;     // at 64
  uint64_t pad1[5];
  uint64_t fpu_home, fpu_size;  // the XSAVE area above start_sp, where `fpu` points at first
  uint64_t xmask;           // at 336: XCR0 features to restore
  uint32_t fast;            // registers are what SYSRET would leave; set by the stub itself
  uint32_t clock_period;    // TSC ticks between readings of the CPU clock
  uint64_t clock_tsc;       // when it was last read
  int64_t cpu_sec, cpu_nsec;  // CPU time of this stub thread then
  uint64_t pad2[1];
  uint64_t altstack[3];     // at 384: stack_t for sigaltstack(2)
  uint64_t start_sp;        // stack of a new thread, and of one that was stopped on its way out
};

struct ControlOp {
  uint64_t nr;
  uint64_t args[6];
  uint64_t pad;
};

// Batch of host calls for the control thread, which sleeps on seq and adds BATCH_OK or BATCH_FAILED
// to event_fd when it is done.
struct ControlPage {
  uint32_t seq;
  uint32_t count;
  int32_t event_fd;
  uint32_t pad[13];
  struct ControlOp ops[CONTROL_MAX_OPS];
};

struct HintPage {
  int64_t error;  // first error of the batch, -errno
  uint64_t pad[7];
  int64_t results[CONTROL_MAX_OPS];
};

#define TEMPLATE_RING 64
// Requests to the template process. Only it and the sentry map this page.
struct TemplatePage {
  uint32_t requested;  // futex
  uint32_t done;       // futex
  int32_t control_fd;
  int32_t sentry_pid;
  int32_t ready;       // 1, or -errno of what failed
  uint32_t pad[11];
  uint32_t index[TEMPLATE_RING];
  int32_t pid[TEMPLATE_RING];  // or -errno
};

#endif  // __ASSEMBLER__

#endif  // PLATFORM_SYSTRAP_BLOB_LAYOUT_H_
