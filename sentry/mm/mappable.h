#ifndef SENTRY_MM_MAPPABLE_H_
#define SENTRY_MM_MAPPABLE_H_

#include <cstdint>
#include <string>

#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"

namespace runsc {

// Where the bytes of one run of file pages are.
struct Backing {
  int fd = -1;             // host descriptor to map: the memory file's or a donated host file's
  uint64_t offset = 0;     // page-aligned offset in it
  uint64_t length = 0;     // page-aligned length of the run, > 0
  char* sentry = nullptr;  // sentry address of the first byte; readable, writable if `writable`.
                           // Accessed only through SafeCopy and friends.
  bool writable = false;   // stores are allowed (to the file: shared mappings)
  bool reusable = false;   // pages of the memory file that serve others once the file lets go of them
};

class Mappable;

// An address space in which a Mappable is mapped, to be told when pages go away.

class MappingSpace {
 public:
  // File bytes [start, end) (page aligned; end may be UINT64_MAX) have new backing or none:
  // removes their translations from the address space; next access asks Translate again.
  // `private_copies` too: drops private copies as truncate(2) does.
  // Called without locks ranked kMmMap or higher (so not under the Mappable's own lock): use
  // MappingSet (mapping_set.h), which also keeps the space alive meanwhile.
  virtual void InvalidateMappable(Mappable* object, uint64_t start, uint64_t end, bool private_copies) = 0;
  // Keeps the space from being destroyed until Unpin; false if it is being destroyed already (its
  // mappings are then going away by themselves).
  virtual bool Pin() = 0;
  virtual void Unpin() = 0;

 protected:
  virtual ~MappingSpace() = default;
};

// Something mmap(2) can map: the pages of a file, shared anonymous memory. An object of its own that
// an inode owns, so that mappings outlive names and open files.
class Mappable : public RefCounted {
 public:
  // Backing of the run that starts at page-aligned `offset`, up to `length` bytes. A run may be
  // shorter or longer. ENXIO beyond the end of the file (SIGBUS to the guest); ENOMEM, EIO
  // likewise. Called with MemoryManager locks held: takes only locks ranked kMappable or higher.
  virtual ErrnoOr<Backing> Translate(uint64_t offset, uint64_t length, Access want) = 0;
  // A reference on the pages of a Backing that was handed out is kept by the Mappable: it must not
  // free or replace them without first calling InvalidateMappable on every space it was told of.
  // `writable`: a shared mapping that may write (for F_SEAL_WRITE, ETXTBSY). Ranges may be added
  // and removed in different pieces: what counts is the bytes a space has (see MappingSet).
  virtual Status AddMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                            bool writable) = 0;
  virtual void RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                             bool writable) = 0;
  // msync(2) with MS_SYNC.
  virtual Status SyncMapped(uint64_t start, uint64_t end) = 0;
  // madvise(2) with MADV_REMOVE: frees [start, end), which reads as zero afterwards. Takes only
  // locks ranked kMappable or higher and does not call InvalidateMappable: the backing stays what
  // it is or the caller's range is translated again. EOPNOTSUPP where holes cannot be made.
  virtual Status PunchHole(uint64_t start, uint64_t end) { return Errno::kOpnotsupp; }
  // What /proc/pid/maps shows.
  struct Identity {
    DeviceId dev;
    uint64_t ino = 0;
    std::string name;  // may be empty; " (deleted)" included
  };
  virtual Identity MappedIdentity() = 0;

 protected:
  ~Mappable() override = default;
};

}  // namespace runsc

#endif  // SENTRY_MM_MAPPABLE_H_
