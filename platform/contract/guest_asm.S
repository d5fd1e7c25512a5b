// Guest code for the tests: position-independent snippets, copied into guest memory as one block.
  .section .rodata
  .balign 64
  .globl guest_code_start, guest_code_end
guest_code_start:

  .macro snippet name
  .balign 16
  .globl guest_\name
guest_\name:
  .endm

// System calls for ever; every register as given.
  snippet syscalls
1: syscall
  jmp 1b

// rbx, r12..r15 = results of five system calls 100..104.
  snippet five_calls
  mov $100, %eax
  syscall
  mov %rax, %rbx
  mov $101, %eax
  syscall
  mov %rax, %r12
  mov $102, %eax
  syscall
  mov %rax, %r13
  mov $103, %eax
  syscall
  mov %rax, %r14
  mov $104, %eax
  syscall
  mov %rax, %r15
  mov $105, %eax
  syscall
  ud2

// Adds one to rax a thousand times, then a call with number rax; again.
  snippet count
  mov $1000, %rcx
1: inc %rax
  dec %rcx
  jnz 1b
  mov %rax, %rbx
  mov $7, %eax
  syscall
  mov %rbx, %rax
  jmp guest_count

// r15 loops through memory, then a system call, for ever.
  snippet work
1: movq $0, -128(%rsp)
2: mov -128(%rsp), %rcx
  inc %rcx
  mov %rcx, -128(%rsp)
  cmp %r15, %rcx
  jb 2b
  syscall
  jmp 1b

// Runs until stopped; all registers stay as they are.
  snippet busy
1: jmp 1b

// Runs until stopped, counting in memory at rbx.
  snippet busy_count
1: lock incq (%rbx)
  jmp 1b

  snippet read
  mov (%rbx), %rax
  syscall
  snippet write
  mov %rax, (%rbx)
  syscall
  snippet jump
  jmp *%rbx
// Reads and writes the word at rbx for ever.
  snippet touch
1: mov (%rbx), %rax
  inc %rax
  mov %rax, (%rbx)
  jmp 1b

  snippet int3
  int3
  syscall
  snippet ud2
  ud2
  snippet div0
  xor %ecx, %ecx
  div %ecx
  snippet int80
  int $0x80
  nop
  snippet hlt
  hlt
// A push with a non-canonical rsp from rbx.
  snippet bad_stack
  mov %rbx, %rsp
  push %rax
  snippet misaligned_sse
  movaps 1(%rsp), %xmm0
  snippet sse_div0
  movl $0x1d80, -16(%rsp)   // all SSE exceptions but division by zero masked
  ldmxcsr -16(%rsp)
  mov $1, %eax
  cvtsi2ss %eax, %xmm0
  xorps %xmm1, %xmm1
  divss %xmm1, %xmm0
  snippet align_check
  pushfq
  orl $0x40000, (%rsp)
  popfq
  mov 1(%rsp), %eax
  snippet nops
  nop
  nop
  nop
  syscall
// Sets the nested-task flag, which makes iretq fault, and goes on.
  snippet nested_task
  pushfq
  orl $0x4000, (%rsp)
  popfq
  syscall
  jmp guest_busy

// Vector registers from memory at rbx; a system call, or a wait until memory at r13 is not 0;
// back to memory at r12; a system call.
  snippet avx512_call
  vmovdqu64 0(%rbx), %zmm0
  vmovdqu64 64(%rbx), %zmm1
  vmovdqu64 128(%rbx), %zmm2
  vmovdqu64 192(%rbx), %zmm3
  vmovdqu64 256(%rbx), %zmm4
  vmovdqu64 320(%rbx), %zmm5
  vmovdqu64 384(%rbx), %zmm6
  vmovdqu64 448(%rbx), %zmm7
  vmovdqu64 512(%rbx), %zmm8
  vmovdqu64 576(%rbx), %zmm9
  vmovdqu64 640(%rbx), %zmm10
  vmovdqu64 704(%rbx), %zmm11
  vmovdqu64 768(%rbx), %zmm12
  vmovdqu64 832(%rbx), %zmm13
  vmovdqu64 896(%rbx), %zmm14
  vmovdqu64 960(%rbx), %zmm15
  vmovdqu64 1024(%rbx), %zmm16
  vmovdqu64 1088(%rbx), %zmm17
  vmovdqu64 1152(%rbx), %zmm18
  vmovdqu64 1216(%rbx), %zmm19
  vmovdqu64 1280(%rbx), %zmm20
  vmovdqu64 1344(%rbx), %zmm21
  vmovdqu64 1408(%rbx), %zmm22
  vmovdqu64 1472(%rbx), %zmm23
  vmovdqu64 1536(%rbx), %zmm24
  vmovdqu64 1600(%rbx), %zmm25
  vmovdqu64 1664(%rbx), %zmm26
  vmovdqu64 1728(%rbx), %zmm27
  vmovdqu64 1792(%rbx), %zmm28
  vmovdqu64 1856(%rbx), %zmm29
  vmovdqu64 1920(%rbx), %zmm30
  vmovdqu64 1984(%rbx), %zmm31
  mov $1, %eax
  syscall
  vmovdqu64 %zmm0, 0(%r12)
  vmovdqu64 %zmm1, 64(%r12)
  vmovdqu64 %zmm2, 128(%r12)
  vmovdqu64 %zmm3, 192(%r12)
  vmovdqu64 %zmm4, 256(%r12)
  vmovdqu64 %zmm5, 320(%r12)
  vmovdqu64 %zmm6, 384(%r12)
  vmovdqu64 %zmm7, 448(%r12)
  vmovdqu64 %zmm8, 512(%r12)
  vmovdqu64 %zmm9, 576(%r12)
  vmovdqu64 %zmm10, 640(%r12)
  vmovdqu64 %zmm11, 704(%r12)
  vmovdqu64 %zmm12, 768(%r12)
  vmovdqu64 %zmm13, 832(%r12)
  vmovdqu64 %zmm14, 896(%r12)
  vmovdqu64 %zmm15, 960(%r12)
  vmovdqu64 %zmm16, 1024(%r12)
  vmovdqu64 %zmm17, 1088(%r12)
  vmovdqu64 %zmm18, 1152(%r12)
  vmovdqu64 %zmm19, 1216(%r12)
  vmovdqu64 %zmm20, 1280(%r12)
  vmovdqu64 %zmm21, 1344(%r12)
  vmovdqu64 %zmm22, 1408(%r12)
  vmovdqu64 %zmm23, 1472(%r12)
  vmovdqu64 %zmm24, 1536(%r12)
  vmovdqu64 %zmm25, 1600(%r12)
  vmovdqu64 %zmm26, 1664(%r12)
  vmovdqu64 %zmm27, 1728(%r12)
  vmovdqu64 %zmm28, 1792(%r12)
  vmovdqu64 %zmm29, 1856(%r12)
  vmovdqu64 %zmm30, 1920(%r12)
  vmovdqu64 %zmm31, 1984(%r12)
  mov $2, %eax
  syscall
  ud2
  snippet avx_call
  vmovdqu 0(%rbx), %ymm0
  vmovdqu 32(%rbx), %ymm1
  vmovdqu 64(%rbx), %ymm2
  vmovdqu 96(%rbx), %ymm3
  vmovdqu 128(%rbx), %ymm4
  vmovdqu 160(%rbx), %ymm5
  vmovdqu 192(%rbx), %ymm6
  vmovdqu 224(%rbx), %ymm7
  vmovdqu 256(%rbx), %ymm8
  vmovdqu 288(%rbx), %ymm9
  vmovdqu 320(%rbx), %ymm10
  vmovdqu 352(%rbx), %ymm11
  vmovdqu 384(%rbx), %ymm12
  vmovdqu 416(%rbx), %ymm13
  vmovdqu 448(%rbx), %ymm14
  vmovdqu 480(%rbx), %ymm15
  mov $1, %eax
  syscall
  vmovdqu %ymm0, 0(%r12)
  vmovdqu %ymm1, 32(%r12)
  vmovdqu %ymm2, 64(%r12)
  vmovdqu %ymm3, 96(%r12)
  vmovdqu %ymm4, 128(%r12)
  vmovdqu %ymm5, 160(%r12)
  vmovdqu %ymm6, 192(%r12)
  vmovdqu %ymm7, 224(%r12)
  vmovdqu %ymm8, 256(%r12)
  vmovdqu %ymm9, 288(%r12)
  vmovdqu %ymm10, 320(%r12)
  vmovdqu %ymm11, 352(%r12)
  vmovdqu %ymm12, 384(%r12)
  vmovdqu %ymm13, 416(%r12)
  vmovdqu %ymm14, 448(%r12)
  vmovdqu %ymm15, 480(%r12)
  mov $2, %eax
  syscall
  ud2
  snippet sse_call
  movdqu 0(%rbx), %xmm0
  movdqu 16(%rbx), %xmm1
  movdqu 32(%rbx), %xmm2
  movdqu 48(%rbx), %xmm3
  movdqu 64(%rbx), %xmm4
  movdqu 80(%rbx), %xmm5
  movdqu 96(%rbx), %xmm6
  movdqu 112(%rbx), %xmm7
  movdqu 128(%rbx), %xmm8
  movdqu 144(%rbx), %xmm9
  movdqu 160(%rbx), %xmm10
  movdqu 176(%rbx), %xmm11
  movdqu 192(%rbx), %xmm12
  movdqu 208(%rbx), %xmm13
  movdqu 224(%rbx), %xmm14
  movdqu 240(%rbx), %xmm15
  mov $1, %eax
  syscall
  movdqu %xmm0, 0(%r12)
  movdqu %xmm1, 16(%r12)
  movdqu %xmm2, 32(%r12)
  movdqu %xmm3, 48(%r12)
  movdqu %xmm4, 64(%r12)
  movdqu %xmm5, 80(%r12)
  movdqu %xmm6, 96(%r12)
  movdqu %xmm7, 112(%r12)
  movdqu %xmm8, 128(%r12)
  movdqu %xmm9, 144(%r12)
  movdqu %xmm10, 160(%r12)
  movdqu %xmm11, 176(%r12)
  movdqu %xmm12, 192(%r12)
  movdqu %xmm13, 208(%r12)
  movdqu %xmm14, 224(%r12)
  movdqu %xmm15, 240(%r12)
  mov $2, %eax
  syscall
  ud2
  snippet avx512_wait
  vmovdqu64 0(%rbx), %zmm0
  vmovdqu64 64(%rbx), %zmm1
  vmovdqu64 128(%rbx), %zmm2
  vmovdqu64 192(%rbx), %zmm3
  vmovdqu64 256(%rbx), %zmm4
  vmovdqu64 320(%rbx), %zmm5
  vmovdqu64 384(%rbx), %zmm6
  vmovdqu64 448(%rbx), %zmm7
  vmovdqu64 512(%rbx), %zmm8
  vmovdqu64 576(%rbx), %zmm9
  vmovdqu64 640(%rbx), %zmm10
  vmovdqu64 704(%rbx), %zmm11
  vmovdqu64 768(%rbx), %zmm12
  vmovdqu64 832(%rbx), %zmm13
  vmovdqu64 896(%rbx), %zmm14
  vmovdqu64 960(%rbx), %zmm15
  vmovdqu64 1024(%rbx), %zmm16
  vmovdqu64 1088(%rbx), %zmm17
  vmovdqu64 1152(%rbx), %zmm18
  vmovdqu64 1216(%rbx), %zmm19
  vmovdqu64 1280(%rbx), %zmm20
  vmovdqu64 1344(%rbx), %zmm21
  vmovdqu64 1408(%rbx), %zmm22
  vmovdqu64 1472(%rbx), %zmm23
  vmovdqu64 1536(%rbx), %zmm24
  vmovdqu64 1600(%rbx), %zmm25
  vmovdqu64 1664(%rbx), %zmm26
  vmovdqu64 1728(%rbx), %zmm27
  vmovdqu64 1792(%rbx), %zmm28
  vmovdqu64 1856(%rbx), %zmm29
  vmovdqu64 1920(%rbx), %zmm30
  vmovdqu64 1984(%rbx), %zmm31
1: pause
  cmpq $0, (%r13)
  je 1b
  vmovdqu64 %zmm0, 0(%r12)
  vmovdqu64 %zmm1, 64(%r12)
  vmovdqu64 %zmm2, 128(%r12)
  vmovdqu64 %zmm3, 192(%r12)
  vmovdqu64 %zmm4, 256(%r12)
  vmovdqu64 %zmm5, 320(%r12)
  vmovdqu64 %zmm6, 384(%r12)
  vmovdqu64 %zmm7, 448(%r12)
  vmovdqu64 %zmm8, 512(%r12)
  vmovdqu64 %zmm9, 576(%r12)
  vmovdqu64 %zmm10, 640(%r12)
  vmovdqu64 %zmm11, 704(%r12)
  vmovdqu64 %zmm12, 768(%r12)
  vmovdqu64 %zmm13, 832(%r12)
  vmovdqu64 %zmm14, 896(%r12)
  vmovdqu64 %zmm15, 960(%r12)
  vmovdqu64 %zmm16, 1024(%r12)
  vmovdqu64 %zmm17, 1088(%r12)
  vmovdqu64 %zmm18, 1152(%r12)
  vmovdqu64 %zmm19, 1216(%r12)
  vmovdqu64 %zmm20, 1280(%r12)
  vmovdqu64 %zmm21, 1344(%r12)
  vmovdqu64 %zmm22, 1408(%r12)
  vmovdqu64 %zmm23, 1472(%r12)
  vmovdqu64 %zmm24, 1536(%r12)
  vmovdqu64 %zmm25, 1600(%r12)
  vmovdqu64 %zmm26, 1664(%r12)
  vmovdqu64 %zmm27, 1728(%r12)
  vmovdqu64 %zmm28, 1792(%r12)
  vmovdqu64 %zmm29, 1856(%r12)
  vmovdqu64 %zmm30, 1920(%r12)
  vmovdqu64 %zmm31, 1984(%r12)
  mov $2, %eax
  syscall
  ud2
  snippet avx_wait
  vmovdqu 0(%rbx), %ymm0
  vmovdqu 32(%rbx), %ymm1
  vmovdqu 64(%rbx), %ymm2
  vmovdqu 96(%rbx), %ymm3
  vmovdqu 128(%rbx), %ymm4
  vmovdqu 160(%rbx), %ymm5
  vmovdqu 192(%rbx), %ymm6
  vmovdqu 224(%rbx), %ymm7
  vmovdqu 256(%rbx), %ymm8
  vmovdqu 288(%rbx), %ymm9
  vmovdqu 320(%rbx), %ymm10
  vmovdqu 352(%rbx), %ymm11
  vmovdqu 384(%rbx), %ymm12
  vmovdqu 416(%rbx), %ymm13
  vmovdqu 448(%rbx), %ymm14
  vmovdqu 480(%rbx), %ymm15
1: pause
  cmpq $0, (%r13)
  je 1b
  vmovdqu %ymm0, 0(%r12)
  vmovdqu %ymm1, 32(%r12)
  vmovdqu %ymm2, 64(%r12)
  vmovdqu %ymm3, 96(%r12)
  vmovdqu %ymm4, 128(%r12)
  vmovdqu %ymm5, 160(%r12)
  vmovdqu %ymm6, 192(%r12)
  vmovdqu %ymm7, 224(%r12)
  vmovdqu %ymm8, 256(%r12)
  vmovdqu %ymm9, 288(%r12)
  vmovdqu %ymm10, 320(%r12)
  vmovdqu %ymm11, 352(%r12)
  vmovdqu %ymm12, 384(%r12)
  vmovdqu %ymm13, 416(%r12)
  vmovdqu %ymm14, 448(%r12)
  vmovdqu %ymm15, 480(%r12)
  mov $2, %eax
  syscall
  ud2
  snippet sse_wait
  movdqu 0(%rbx), %xmm0
  movdqu 16(%rbx), %xmm1
  movdqu 32(%rbx), %xmm2
  movdqu 48(%rbx), %xmm3
  movdqu 64(%rbx), %xmm4
  movdqu 80(%rbx), %xmm5
  movdqu 96(%rbx), %xmm6
  movdqu 112(%rbx), %xmm7
  movdqu 128(%rbx), %xmm8
  movdqu 144(%rbx), %xmm9
  movdqu 160(%rbx), %xmm10
  movdqu 176(%rbx), %xmm11
  movdqu 192(%rbx), %xmm12
  movdqu 208(%rbx), %xmm13
  movdqu 224(%rbx), %xmm14
  movdqu 240(%rbx), %xmm15
1: pause
  cmpq $0, (%r13)
  je 1b
  movdqu %xmm0, 0(%r12)
  movdqu %xmm1, 16(%r12)
  movdqu %xmm2, 32(%r12)
  movdqu %xmm3, 48(%r12)
  movdqu %xmm4, 64(%r12)
  movdqu %xmm5, 80(%r12)
  movdqu %xmm6, 96(%r12)
  movdqu %xmm7, 112(%r12)
  movdqu %xmm8, 128(%r12)
  movdqu %xmm9, 144(%r12)
  movdqu %xmm10, 160(%r12)
  movdqu %xmm11, 176(%r12)
  movdqu %xmm12, 192(%r12)
  movdqu %xmm13, 208(%r12)
  movdqu %xmm14, 224(%r12)
  movdqu %xmm15, 240(%r12)
  mov $2, %eax
  syscall
  ud2

// x87 and SSE control: rax = control words after a system call that follows setting them.
  snippet control_words
  movw $0x27f, -16(%rsp)
  fldcw -16(%rsp)
  movl $0x5f80, -16(%rsp)
  ldmxcsr -16(%rsp)
  mov $1, %eax
  syscall
  movl $0, -16(%rsp)
  fnstcw -16(%rsp)
  movl -16(%rsp), %ebx
  stmxcsr -16(%rsp)
  movl -16(%rsp), %r12d
  mov $2, %eax
  syscall
  ud2

// rbx = word at fs:0, r12 = word at gs:8.
  snippet tls
  mov %fs:0, %rbx
  mov %gs:8, %r12
  mov $1, %eax
  syscall
  jmp guest_tls
// Sets its own bases from rbx and r12, if the CPU lets it.
  snippet set_bases
  wrfsbase %rbx
  wrgsbase %r12
  mov $1, %eax
  syscall
  rdfsbase %r13
  rdgsbase %r14
  mov $2, %eax
  syscall
  ud2

// For ever: sleeps on the word at rbx through the futex call at r12.
  snippet hide
1: mov %rbx, %rdi
  xor %esi, %esi
  mov (%rdi), %edx
  xor %r10d, %r10d
  mov $202, %eax
  call *%r12
  jmp 1b
// Ways into the kernel that are not the 64-bit syscall instruction.
  snippet sysenter
  sysenter
  ud2
  snippet compat_int80
  pushq $0x23
  lea 1f(%rip), %rcx
  push %rcx
  lretq
1: .byte 0xb8, 1, 0, 0, 0   // 32-bit code: mov $1, %eax
  int $0x80
  ud2
  snippet compat_syscall
  pushq $0x23
  lea 1f(%rip), %rcx
  push %rcx
  lretq
1: .byte 0xb8, 1, 0, 0, 0
  syscall
  ud2
  snippet compat_sysenter
  pushq $0x23
  lea 1f(%rip), %rcx
  push %rcx
  lretq
1: .byte 0xb8, 1, 0, 0, 0
  sysenter
  ud2

// Writes r12 to rbx, rbx + r13, ... r14 times; then a system call.
  snippet scribble
1: mov %r12, (%rbx)
  add %r13, %rbx
  dec %r14
  jnz 1b
  syscall
  ud2

guest_code_end:
  .byte 0
  .section .note.GNU-stack, "", @progbits
