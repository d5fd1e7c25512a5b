#ifndef SENTRY_LOADER_VDSO_PAGES_H_
#define SENTRY_LOADER_VDSO_PAGES_H_

#include "platform/memory/memory_file.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/memory_manager.h"

namespace runsc {

// The pages that every program maps: the clock data page, then the vDSO image. Kept up to date by
// TimeKeeper::Get() from now on, so the memory file must live as long as the process. ENOMEM.
ErrnoOr<Ref<Mappable>> NewVdsoPages(MemoryFile& memory, uint32_t cpus);

// Maps them somewhere in `mm`; answers the address of the image (AT_SYSINFO_EHDR).
ErrnoOr<UserAddr> MapVdso(MemoryManager& mm, const Ref<Mappable>& pages,
                          const MemoryLimits& limits);

}  // namespace runsc

#endif  // SENTRY_LOADER_VDSO_PAGES_H_
