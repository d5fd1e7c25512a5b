#include "platform/arch/signal_frame.h"

#include <algorithm>
#include <cstring>

#include "platform/arch/xsave_layout.h"

namespace runsc::arch {
namespace {

constexpr uint64_t kRedZone = 128;
constexpr uint64_t kSaSiginfo = 4;
constexpr uint64_t kSaRestorer = 0x04000000;
constexpr uint64_t kSaOnstack = 0x08000000;
constexpr uint32_t kSsAutodisarm = 1U << 31;

constexpr uint64_t kUcFpXstate = 1;
constexpr uint64_t kUcSigcontextSs = 2;
constexpr uint64_t kUcStrictRestoreSs = 4;

constexpr uint32_t kFpMagic1 = 0x46505853;
constexpr uint32_t kFpMagic2 = 0x46505845;
constexpr uint32_t kFpMagic2Size = 4;

constexpr uint64_t kEflagsDf = 0x400;
constexpr uint64_t kEflagsTf = 0x100;
constexpr uint64_t kEflagsRf = 0x10000;
constexpr uint16_t kUserCs = 0x33;
constexpr uint16_t kUserSs = 0x2b;
// Guest memory ends here (TASK_SIZE_MAX with four page-table levels).
constexpr uint64_t kTaskSize = (uint64_t{1} << 47) - 4096;

// struct sigcontext_64
struct SigContext {
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2, fpstate;
  uint64_t reserved[8];
};

// struct ucontext
struct UContext {
  uint64_t flags;
  uint64_t link;
  uint64_t stack_sp;
  uint32_t stack_flags;
  uint32_t stack_pad;
  uint64_t stack_size;
  SigContext mcontext;
  uint64_t sigmask;
};

// struct rt_sigframe
struct RtSigFrame {
  uint64_t pretcode;
  UContext uc;
  SigInfoBytes info;
};
static_assert(sizeof(SigContext) == 256 && sizeof(UContext) == 304);
static_assert(sizeof(RtSigFrame) == kSignalFrameSize);

// struct _fpx_sw_bytes
struct FpxSwBytes {
  uint32_t magic1;
  uint32_t extended_size;
  uint64_t xfeatures;
  uint32_t xstate_size;
  uint32_t padding[7];
};
static_assert(sizeof(FpxSwBytes) == kFxsaveSize - kSwReservedOffset);

bool OnStack(const AltStack& s, uint64_t at) { return at > s.sp && at - s.sp <= s.size; }

// r.X <-> c.Y of the registers that move unchanged in both directions.
#define SIGCONTEXT_REGISTERS(V)                                                              \
  V(r8, r8) V(r9, r9) V(r10, r10) V(r11, r11) V(r12, r12) V(r13, r13) V(r14, r14) V(r15, r15) \
  V(rdi, di) V(rsi, si) V(rbp, bp) V(rbx, bx) V(rdx, dx) V(rax, ax) V(rcx, cx) V(rsp, sp)     \
  V(rip, ip) V(eflags, flags)

SigContext ToSigContext(const SignalDelivery& d, uint64_t fpstate) {
  SigContext c{};
#define COPY(r, s) c.s = d.regs.r;
  SIGCONTEXT_REGISTERS(COPY)
#undef COPY
  c.cs = kUserCs;
  c.ss = kUserSs;
  c.err = d.error_code;
  c.trapno = d.trap_number;
  c.oldmask = d.mask;
  c.cr2 = d.fault_address;
  c.fpstate = fpstate;
  return c;
}

void WriteFpu(const FpuState* fpu, uint8_t* out) {
  FpuState state = fpu != nullptr ? *fpu : InitialFpuState();
  SanitizeFpuState(state);
  const uint32_t size = XsaveSize();
  FpxSwBytes sw{};
  sw.magic1 = kFpMagic1;
  sw.extended_size = size + kFpMagic2Size;
  sw.xfeatures = XsaveFeatures();
  sw.xstate_size = size;
  std::memcpy(out, state.data(), size);
  StoreAt(out, kMxcsrMaskOffset, MxcsrMask());
  StoreAt(out, kSwReservedOffset, sw);
  // Linux marks both valid whatever XSAVE found, for programs that edit the legacy area.
  const uint64_t bv = LoadAt<uint64_t>(out, kXstateBvOffset) | kXfeatureX87 | kXfeatureSse;
  StoreAt(out, kXstateBvOffset, bv);
  StoreAt(out, size, kFpMagic2);
}

// An area with valid x87 and SSE state only, from the first 512 bytes.
FpuState FromLegacyArea(const uint8_t* legacy) {
  FpuState state(XsaveSize());
  std::memcpy(state.data(), legacy, kFxsaveSize);
  StoreAt<uint64_t>(state.data(), kXstateBvOffset, kXfeatureX87 | kXfeatureSse);
  return state;
}

// Whether XRSTOR would take the header and MXCSR.
bool Loadable(const FpuState& state) {
  const uint8_t* p = state.data();
  if ((LoadAt<uint32_t>(p, kMxcsrOffset) & ~MxcsrMask()) != 0) return false;
  if ((LoadAt<uint64_t>(p, kXstateBvOffset) & ~XsaveFeatures()) != 0) return false;
  return std::all_of(p + kXcompBvOffset, p + kXsaveHeaderEnd, [](uint8_t b) { return b == 0; });
}

ErrnoOr<FpuState> ReadFpu(uint64_t at, const GuestReader& read) {
  if (at == 0) return InitialFpuState();
  if (at > kTaskSize - FpuFrameSize() || at % 64 != 0) return Errno::kFault;
  uint8_t legacy[kFxsaveSize];
  if (!read(at, legacy, sizeof(legacy))) return Errno::kFault;
  const FpxSwBytes sw = LoadAt<FpxSwBytes>(legacy, kSwReservedOffset);
  const bool extended = sw.magic1 == kFpMagic1 && sw.xstate_size >= kXsaveHeaderEnd &&
                        sw.xstate_size <= XsaveSize() && sw.xstate_size <= sw.extended_size;
  uint32_t magic2 = 0;
  FpuState state;
  if (extended && !read(at + sw.xstate_size, &magic2, sizeof(magic2))) return Errno::kFault;
  if (magic2 == kFpMagic2) {
    state.resize(XsaveSize());
    if (!read(at, state.data(), sw.xstate_size)) return Errno::kFault;
    if (!Loadable(state)) return Errno::kFault;
    const uint64_t bv = LoadAt<uint64_t>(state.data(), kXstateBvOffset) & sw.xfeatures;
    StoreAt(state.data(), kXstateBvOffset, bv);
  } else {
    state = FromLegacyArea(legacy);
    if (!Loadable(state)) return Errno::kFault;
  }
  SanitizeFpuState(state);
  return state;
}

}  // namespace

bool AltStack::Contains(uint64_t at) const {
  return (flags & kSsAutodisarm) == 0 && size != 0 && OnStack(*this, at);
}

uint32_t FpuFrameSize() { return XsaveSize() + kFpMagic2Size; }

FrameLayout LayoutSignalFrame(uint64_t sp) {
  FrameLayout l;
  l.fpstate = (sp - FpuFrameSize()) & ~uint64_t{63};
  l.end = l.fpstate + FpuFrameSize();
  // As if the handler had been called: sp + 8 is a multiple of 16.
  l.frame = ((l.fpstate - kSignalFrameSize) & ~uint64_t{15}) - 8;
  return l;
}

ErrnoOr<SignalFrame> BuildSignalFrame(const SignalDelivery& d) {
  if ((d.flags & kSaRestorer) == 0) return Errno::kFault;
  const bool nested = d.altstack.Contains(d.regs.rsp);
  uint64_t sp = d.regs.rsp - kRedZone;
  const bool entering =
      (d.flags & kSaOnstack) != 0 && d.altstack.size != 0 && !d.altstack.Contains(sp);
  if (entering) sp = d.altstack.sp + d.altstack.size;
  const FrameLayout l = LayoutSignalFrame(sp);
  if ((nested || entering) && !OnStack(d.altstack, l.frame)) return Errno::kFault;
  if (l.frame >= l.end || l.end > kTaskSize) return Errno::kFault;

  SignalFrame out;
  out.address = l.frame;
  out.bytes.resize(l.end - l.frame);
  RtSigFrame frame{};
  frame.pretcode = d.restorer;
  frame.uc.flags = kUcFpXstate | kUcSigcontextSs | kUcStrictRestoreSs;
  frame.uc.stack_sp = d.altstack.sp;
  frame.uc.stack_flags = d.altstack.flags;
  frame.uc.stack_size = d.altstack.size;
  frame.uc.mcontext = ToSigContext(d, l.fpstate);
  frame.uc.sigmask = d.mask;
  if ((d.flags & kSaSiginfo) != 0) frame.info = d.info;
  StoreAt(out.bytes.data(), 0, frame);
  WriteFpu(d.fpu, out.bytes.data() + (l.fpstate - l.frame));

  out.regs = d.regs;
  out.regs.rdi = static_cast<uint64_t>(static_cast<int64_t>(d.signo));
  out.regs.rax = 0;  // for handlers that are declared without prototype
  out.regs.rsi = l.frame + offsetof(RtSigFrame, info);
  out.regs.rdx = l.frame + offsetof(RtSigFrame, uc);
  out.regs.rip = d.handler;
  out.regs.rsp = l.frame;
  out.regs.orig_rax = ~uint64_t{0};
  out.regs.eflags &= ~(kEflagsDf | kEflagsTf | kEflagsRf);
  return out;
}

ErrnoOr<SignalReturn> ParseSignalFrame(const Registers& regs, const GuestReader& read) {
  // The handler's return popped pretcode.
  const uint64_t at = regs.rsp - 8;
  if (at > kTaskSize - sizeof(RtSigFrame)) return Errno::kFault;
  UContext uc{};
  if (!read(at + offsetof(RtSigFrame, uc), &uc, sizeof(uc))) return Errno::kFault;
  const SigContext& c = uc.mcontext;
  // Only 64-bit code runs here; Linux faults on the way back to selectors that do not exist.
  if ((c.cs | 3) != kUserCs) return Errno::kFault;
  const uint64_t strict = kUcSigcontextSs | kUcStrictRestoreSs;
  if ((uc.flags & strict) == strict && (c.ss | 3) != kUserSs) return Errno::kFault;

  SignalReturn out;
  out.regs = regs;
#define COPY(r, s) out.regs.r = c.s;
  SIGCONTEXT_REGISTERS(COPY)
#undef COPY
  out.regs.orig_rax = ~uint64_t{0};
  if (!SanitizeRegisters(out.regs)) return Errno::kFault;
  out.fpu = TRY(ReadFpu(c.fpstate, read));
  out.mask = uc.sigmask;
  out.altstack = {uc.stack_sp, uc.stack_flags, uc.stack_size};
  return out;
}

}  // namespace runsc::arch
