#ifndef SENTRY_MM_MEMORY_MANAGER_H_
#define SENTRY_MM_MEMORY_MANAGER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "platform/memory/memory_file.h"
#include "sentry/mm/mappable.h"
#include "sentry/usermem/usermem.h"

namespace runsc {

// rlimits that memory calls check, in bytes (RLIM_INFINITY = UINT64_MAX), plus privilege.
struct MemoryLimits {
  uint64_t as = UINT64_MAX;
  uint64_t data = UINT64_MAX;
  uint64_t stack = 8 << 20;
  uint64_t memlock = UINT64_MAX;
  bool can_lock_any = false;  // CAP_IPC_LOCK
};

// Arguments of mmap(2), already decoded; offsets are hostile, alignment is checked by MMap.
struct MMapRequest {
  UserAddr addr;
  uint64_t length = 0;
  Access access;
  bool shared = false;          // MAP_SHARED, MAP_SHARED_VALIDATE
  bool fixed = false;
  bool fixed_noreplace = false;
  bool grows_down = false;
  bool noreserve = false;
  bool populate = false;
  bool locked = false;
  bool stack = false;           // place as a stack (MAP_STACK hint is ignored; loader sets this)
  Ref<Mappable> file;           // null: anonymous
  uint64_t offset = 0;
  Access max_access{true, true, true};  // what mprotect may later grant
  const char* name = "";        // "[heap]", "[stack]", "[vdso]"; static storage
  bool map_32bit = false;
};

// Addresses the loader fixes at exec; /proc and prctl(PR_SET_MM_*) read them.
struct ImageLayout {
  uint64_t start_code = 0, end_code = 0, start_data = 0, end_data = 0;
  uint64_t start_brk = 0, start_stack = 0;
  uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  uint64_t vdso = 0;
  std::vector<uint64_t> auxv;   // pairs, AT_NULL included
};

// What a fault led to.
struct FaultOutcome {
  bool handled = false;   // resume the guest
  Signal signal;          // else: SIGSEGV or SIGBUS
  int32_t code = 0;       // SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, ...
};

struct VmaInfo {
  AddrRange range;
  Access access, max_access;
  bool shared = false, grows_down = false, locked = false, dont_fork = false, wipe_on_fork = false;
  bool noreserve = false;
  uint64_t offset = 0;
  Mappable::Identity identity;   // name empty: anonymous
  uint64_t resident = 0, private_bytes = 0, anonymous_bytes = 0, swap = 0;  // bytes; filled for smaps only
};

struct MemoryUsage {
  uint64_t total_vm = 0, resident = 0, shared = 0, data = 0, stack = 0, exec = 0, locked = 0;  // bytes
  uint64_t peak_resident = 0, peak_vm = 0;
};

// One guest address space: VMAs, private pages, and the platform's AddressSpace that shows them
// to the guest. Shared by the tasks that share memory (CLONE_VM). Thread-safe.
class MemoryManager : public RefCounted, public UserMemory, public MappingSpace {
 public:
  struct Impl;  // mm_impl.h
  // Empty address space. ENOMEM/EAGAIN if the platform refuses.
  static ErrnoOr<Ref<MemoryManager>> Create(platform::Platform& platform, MemoryFile& memory);
  // fork(2): a copy with private pages shared copy-on-write. `stack_pointer`: the caller's, a hint
  // which pages both will touch at once.
  ErrnoOr<Ref<MemoryManager>> Fork(UserAddr stack_pointer = {});
  // RAM that the guest is told it has: longer private writable mappings are refused, as Linux's
  // heuristic overcommit does. For all address spaces; 0 (the default) is no limit.
  static void SetTotalMemory(uint64_t bytes);
  ~MemoryManager() override;

  platform::AddressSpace& address_space() { return *as_; }

  // Between the two, changes of an address space that no guest uses yet go to the platform together.
  // EndBatch answers its first error.
  void BeginBatch();
  Status EndBatch();

  // Chooses mmap_base and friends (ASLR unless `randomize` is false) for a program whose stack
  // limit is `stack_limit`. Called once, by the loader, on an empty address space.
  void SetLayout(bool randomize, uint64_t stack_limit);
  // Where the loader puts things, chosen as Linux does: top of the stack, load address of a PIE
  // with an interpreter, start of the heap for a program whose bss ends at `end_bss`.
  UserAddr ChooseStackTop(bool randomize);
  UserAddr ChoosePieBase(bool randomize);
  UserAddr ChooseBrkStart(UserAddr end_bss, bool randomize);

  // mmap(2). EINVAL, ENOMEM, EEXIST, EAGAIN, EPERM, EACCES as the man page says.
  ErrnoOr<UserAddr> MMap(const MMapRequest& request, const MemoryLimits& limits);
  Status MUnmap(UserAddr addr, uint64_t length);
  Status MProtect(UserAddr addr, uint64_t length, Access access, bool grows_down,
                  const MemoryLimits& limits);
  // mremap(2); flags are MREMAP_*.
  ErrnoOr<UserAddr> MRemap(UserAddr old_addr, uint64_t old_size, uint64_t new_size, int flags,
                           UserAddr new_addr, const MemoryLimits& limits);
  // brk(2): answers the break after the call.
  UserAddr Brk(UserAddr addr, const MemoryLimits& limits);
  void SetBrkStart(UserAddr start);
  Status MAdvise(UserAddr addr, uint64_t length, int advice);
  Status MSync(UserAddr addr, uint64_t length, int flags);
  // mincore(2): one byte a page.
  ErrnoOr<std::vector<uint8_t>> MinCore(UserAddr addr, uint64_t length);
  Status MLock(UserAddr addr, uint64_t length, bool on_fault, const MemoryLimits& limits);
  Status MUnlock(UserAddr addr, uint64_t length);
  Status MLockAll(int flags, const MemoryLimits& limits);
  Status MUnlockAll();
  // remap_file_pages(2): `range` of one shared mapping shows the file from `offset` on.
  Status RemapFilePages(UserAddr addr, uint64_t length, uint64_t offset);
  // Whether anything is mapped at `addr`.
  bool IsMapped(UserAddr addr);
  // mseal(2).
  Status MSeal(UserAddr addr, uint64_t length);
  // Removes every mapping (exit: memory goes back at once even if the object is still referenced).
  void Clear();

  // A guest access that trapped. Grows the stack, breaks copy-on-write, maps lazily.
  FaultOutcome HandleFault(UserAddr addr, Access access, const MemoryLimits& limits);

  // UserMemory.
  ErrnoOr<size_t> CopyInPartial(void* dst, UserAddr src, size_t n) override;
  ErrnoOr<size_t> CopyOutPartial(UserAddr dst, const void* src, size_t n) override;
  ErrnoOr<size_t> ZeroPartial(UserAddr dst, size_t n) override;
  ErrnoOr<size_t> WithPieces(UserAddr addr, size_t n, Access want, PieceSink& sink) override;
  ErrnoOr<uint32_t> Load32(UserAddr addr) override;
  ErrnoOr<uint32_t> CompareExchange32(UserAddr addr, uint32_t old, uint32_t desired) override;
  // As CopyIn/CopyOut but past the VMAs' protection (ptrace, /proc/pid/mem); EFAULT on unmapped.
  ErrnoOr<size_t> PeekPartial(void* dst, UserAddr src, size_t n);
  ErrnoOr<size_t> PokePartial(UserAddr dst, const void* src, size_t n);

  // Identity of a futex word: for private futexes the address space and address; for shared ones
  // the object and offset behind it, so that it is the same in every process. EFAULT.
  struct FutexKey {
    const void* object = nullptr;  // MemoryManager, Mappable, or the memory file
    uint64_t offset = 0;
    auto operator<=>(const FutexKey&) const = default;
  };
  ErrnoOr<FutexKey> GetFutexKey(UserAddr addr, bool process_private);

  ImageLayout layout();
  void SetImageLayout(const ImageLayout& layout);
  // The executable, for /proc/pid/exe and ETXTBSY; an object of vfs that mm need not know.
  void SetExecutable(Ref<RefCounted> file);
  Ref<RefCounted> executable();

  std::vector<VmaInfo> ListVmas(bool with_usage);
  MemoryUsage Usage();
  // For a task that exits or execs: the largest resident size known of, bytes. Looks at the pages
  // only if nobody else uses the address space, and only estimates how much of files was touched.
  uint64_t PeakResidentAtEnd();
  // prctl(PR_SET_DUMPABLE).
  int dumpable();
  void SetDumpable(int value);

  // Panics if the parts of the state contradict each other. For tests; slow.
  void CheckConsistency();

  // MappingSpace.
  void InvalidateMappable(Mappable* object, uint64_t start, uint64_t end,
                          bool private_copies) override;
  bool Pin() override { return TryIncRef(); }
  void Unpin() override { DecRef(); }

 private:
  MemoryManager(platform::Platform& platform, MemoryFile& memory,
                std::unique_ptr<platform::AddressSpace> as);

  std::unique_ptr<platform::AddressSpace> as_;
  std::unique_ptr<Impl> impl_;
};

// Anonymous shared memory (MAP_SHARED|MAP_ANONYMOUS, memfd and tmpfs pages use their own).
Ref<Mappable> NewSharedAnonymous(MemoryFile& memory, uint64_t size);

}  // namespace runsc

#endif  // SENTRY_MM_MEMORY_MANAGER_H_
