#ifndef PLATFORM_SYSTRAP_ARENA_H_
#define PLATFORM_SYSTRAP_ARENA_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "platform/systrap/blob/layout.h"

namespace runsc::platform::systrap {

// The memory that the sentry shares with its stubs: one control and one hint page a stub, one slot
// a guest thread, the blob, and the template's page. Sparse; mapped once in the sentry.
class Arena {
 public:
  // nullptr and a text that says what the host forbids.
  static std::unique_ptr<Arena> Create(std::string* why);
  ~Arena();
  Arena(const Arena&) = delete;

  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kMaxStubs = 0x10000;

  // A zeroed pair of control and hint page, or kNone. Freed only when the stub's process is gone.
  uint32_t AllocateStub();
  void FreeStub(uint32_t index);
  // A zeroed slot, or kNone.
  uint32_t AllocateSlot();
  void FreeSlot(uint32_t slot);

  ControlPage* control(uint32_t index) const;
  HintPage* hint(uint32_t index) const;
  // The slot's memory in the sentry, STUB_SLOT_SIZE bytes.
  uint8_t* slot(uint32_t slot) const { return slots_ + uint64_t{slot} * STUB_SLOT_SIZE; }
  ThreadCtx* ctx(uint32_t slot) const;
  TemplatePage* template_page() const { return template_page_; }

  int control_fd() const { return control_fd_.get(); }
  int slots_fd() const { return slots_fd_.get(); }
  int blob_fd() const { return blob_fd_.get(); }
  int template_fd() const { return template_fd_.get(); }

 private:
  Arena() = default;
  bool Map(std::string* why);

  // Smallest-first would be nicer to the host's page cache; last-freed-first keeps pages warm.
  struct Ids {
    uint32_t next = 0;
    std::vector<uint32_t> free;
    uint32_t Take(uint32_t limit);
  };

  Fd control_fd_, slots_fd_, blob_fd_, template_fd_;
  uint8_t* controls_ = nullptr;
  uint8_t* slots_ = nullptr;
  TemplatePage* template_page_ = nullptr;

  Mutex<LockRank::kPlatformArena> mu_;
  Ids stub_ids_ ABSL_GUARDED_BY(mu_);
  Ids slot_ids_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_ARENA_H_
