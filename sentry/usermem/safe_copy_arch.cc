// The instructions that may fault on a sentry mapping, and where each one continues if it does.

#include "sentry/usermem/recover_table.h"
#include "sentry/usermem/usermem.h"

#if !defined(__x86_64__)
#error "SafeCopy is written for x86-64 only so far"
#endif

// System V calling convention. Each *_at label is the one instruction that may fault and the
// matching *_to label where it continues. The string instructions leave what is not yet done in
// rcx, wherever they stopped.
__asm__(R"(
.text
.p2align 4
runsc_copy:                     # (dst, src, n) -> bytes not copied
  mov %rdx, %rcx
runsc_copy_at:
  rep movsb
runsc_copy_to:
  mov %rcx, %rax
  ret
.p2align 4
runsc_copy8:                    # (dst, src) -> 0 or 8
runsc_copy8_load_at:
  mov (%rsi), %rax
runsc_copy8_store_at:
  mov %rax, (%rdi)
  xor %eax, %eax
  ret
runsc_copy8_to:
  mov $8, %eax
  ret
.p2align 4
runsc_copy4:                    # (dst, src) -> 0 or 4
runsc_copy4_load_at:
  mov (%rsi), %eax
runsc_copy4_store_at:
  mov %eax, (%rdi)
  xor %eax, %eax
  ret
runsc_copy4_to:
  mov $4, %eax
  ret
.p2align 4
runsc_zero:                     # (dst, n) -> bytes not zeroed
  mov %rsi, %rcx
  xor %eax, %eax
runsc_zero_at:
  rep stosb
runsc_zero_to:
  mov %rcx, %rax
  ret
.p2align 4
runsc_cas4:                     # (addr, expected, desired, found) -> 0 or 1 if it faulted
  mov %rcx, %r8
  mov %esi, %eax
runsc_cas4_at:
  lock cmpxchg %edx, (%rdi)
  mov %eax, (%r8)
  xor %eax, %eax
  ret
runsc_cas4_to:
  mov $1, %eax
  ret
)");

extern "C" {
size_t runsc_copy(void* dst, const void* src, size_t n);
size_t runsc_copy8(void* dst, const void* src);
size_t runsc_copy4(void* dst, const void* src);
size_t runsc_zero(void* dst, size_t n);
int runsc_cas4(uint32_t* addr, uint32_t expected, uint32_t desired, uint32_t* found);
extern const char runsc_copy_at[], runsc_copy_to[], runsc_copy8_load_at[], runsc_copy8_store_at[],
    runsc_copy8_to[], runsc_copy4_load_at[], runsc_copy4_store_at[], runsc_copy4_to[],
    runsc_zero_at[], runsc_zero_to[], runsc_cas4_at[], runsc_cas4_to[];
}

namespace runsc {
namespace {

struct Recovery {
  const char* at;
  const char* to;
};
constexpr Recovery kRecoveries[] = {
    {runsc_copy_at, runsc_copy_to},         {runsc_copy8_load_at, runsc_copy8_to},
    {runsc_copy8_store_at, runsc_copy8_to}, {runsc_copy4_load_at, runsc_copy4_to},
    {runsc_copy4_store_at, runsc_copy4_to}, {runsc_zero_at, runsc_zero_to},
    {runsc_cas4_at, runsc_cas4_to},
};

}  // namespace

uint64_t internal::RecoverAddress(uint64_t pc) {
  for (const Recovery& r : kRecoveries) {
    if (pc == reinterpret_cast<uint64_t>(r.at)) return reinterpret_cast<uint64_t>(r.to);
  }
  return 0;
}

size_t SafeCopy(void* dst, const void* src, size_t n) {
  if (n == 8) return 8 - runsc_copy8(dst, src);
  if (n == 4) return 4 - runsc_copy4(dst, src);
  return n - runsc_copy(dst, src, n);
}

size_t SafeZero(void* dst, size_t n) { return n - runsc_zero(dst, n); }

bool SafeLoad32(const uint32_t* addr, uint32_t* out) { return runsc_copy4(out, addr) == 0; }

bool SafeCompareExchange32(uint32_t* addr, uint32_t expected, uint32_t desired, uint32_t* found) {
  return runsc_cas4(addr, expected, desired, found) == 0;
}

}  // namespace runsc
