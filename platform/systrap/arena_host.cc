#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/base/strings.h"
#include "platform/base/types.h"
#include "platform/systrap/arena.h"

namespace runsc::platform::systrap {
namespace {

constexpr uint8_t kBlob[] = {
#include "platform/systrap/stub_blob.inc"
};
static_assert(sizeof(kBlob) <= STUB_BLOB_SIZE);

constexpr uint64_t kSlotsSize = uint64_t{STUB_MAX_SLOTS} * STUB_SLOT_SIZE;
constexpr uint64_t kControlsSize = uint64_t{Arena::kMaxStubs} * 2 * kPageSize;
// The top of a slot is used by every thread: kept and zeroed; the rest is given back to the host.
constexpr uint64_t kWarmSlotBytes = 2 * kPageSize;

Fd MakeFile(const char* name, uint64_t size, std::string* why) {
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.ok() || ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    *why = StrPrintf("memfd_create %s: %s", name, strerror(errno));
    fd.Reset();
  }
  return fd;
}

void* MapFile(const Fd& fd, uint64_t size, std::string* why) {
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (p == MAP_FAILED) {
    *why =
        StrPrintf("mmap of %llu bytes: %s", static_cast<unsigned long long>(size), strerror(errno));
    return nullptr;
  }
  madvise(p, size, MADV_DONTDUMP);
  return p;
}

}  // namespace

uint32_t Arena::Ids::Take(uint32_t limit) {
  if (!free.empty()) {
    uint32_t id = free.back();
    free.pop_back();
    return id;
  }
  return next < limit ? next++ : kNone;
}

std::unique_ptr<Arena> Arena::Create(std::string* why) {
  std::unique_ptr<Arena> arena(new Arena());
  if (!arena->Map(why)) return nullptr;
  return arena;
}

bool Arena::Map(std::string* why) {
  blob_fd_ = MakeFile("runsc-stub", STUB_BLOB_SIZE, why);
  control_fd_ = MakeFile("runsc-control", kControlsSize, why);
  slots_fd_ = MakeFile("runsc-threads", kSlotsSize, why);
  template_fd_ = MakeFile("runsc-template", kPageSize, why);
  if (!blob_fd_.ok() || !control_fd_.ok() || !slots_fd_.ok() || !template_fd_.ok()) return false;
  if (pwrite(blob_fd_.get(), kBlob, sizeof(kBlob), 0) != static_cast<ssize_t>(sizeof(kBlob)) ||
      fcntl(blob_fd_.get(), F_ADD_SEALS,
            F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    *why = StrPrintf("stub image: %s", strerror(errno));
    return false;
  }
  controls_ = static_cast<uint8_t*>(MapFile(control_fd_, kControlsSize, why));
  slots_ = static_cast<uint8_t*>(MapFile(slots_fd_, kSlotsSize, why));
  template_page_ = static_cast<TemplatePage*>(MapFile(template_fd_, kPageSize, why));
  return controls_ != nullptr && slots_ != nullptr && template_page_ != nullptr;
}

Arena::~Arena() {
  if (controls_ != nullptr) munmap(controls_, kControlsSize);
  if (slots_ != nullptr) munmap(slots_, kSlotsSize);
  if (template_page_ != nullptr) munmap(template_page_, kPageSize);
}

ControlPage* Arena::control(uint32_t index) const {
  return reinterpret_cast<ControlPage*>(controls_ + uint64_t{index} * 2 * kPageSize);
}

HintPage* Arena::hint(uint32_t index) const {
  return reinterpret_cast<HintPage*>(controls_ + (uint64_t{index} * 2 + 1) * kPageSize);
}

ThreadCtx* Arena::ctx(uint32_t slot) const {
  return reinterpret_cast<ThreadCtx*>(this->slot(slot) + STUB_SLOT_SIZE - STUB_CTX_SIZE);
}

uint32_t Arena::AllocateStub() {
  MutexLock lock(mu_);
  return stub_ids_.Take(kMaxStubs);
}

void Arena::FreeStub(uint32_t index) {
  std::memset(control(index), 0, 2 * kPageSize);
  MutexLock lock(mu_);
  stub_ids_.free.push_back(index);
}

uint32_t Arena::AllocateSlot() {
  MutexLock lock(mu_);
  return slot_ids_.Take(STUB_MAX_SLOTS);
}

void Arena::FreeSlot(uint32_t slot) {
  uint8_t* base = this->slot(slot);
  madvise(base, STUB_SLOT_SIZE - kWarmSlotBytes, MADV_REMOVE);
  std::memset(base + STUB_SLOT_SIZE - kWarmSlotBytes, 0, kWarmSlotBytes);
  MutexLock lock(mu_);
  slot_ids_.free.push_back(slot);
}

}  // namespace runsc::platform::systrap
