#ifndef SENTRY_MM_FAKE_PLATFORM_H_
#define SENTRY_MM_FAKE_PLATFORM_H_

#include <unistd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "platform/api/platform.h"

namespace runsc {

// A platform for tests: remembers what is mapped where, page by page, and makes guest accesses by
// reading and writing the host files behind.
class FakeAddressSpace : public platform::AddressSpace {
 public:
  struct Page {
    int fd;
    uint64_t offset;
    Access access;
  };

  Status MapFile(AddrRange range, platform::MapSource source, Access access, bool) override {
    ++calls;
    if (refuse_maps) return Errno::kNomem;
    for (uint64_t at = range.start; at < range.end; at += kPageSize) {
      pages[at] = {source.fd, source.offset + (at - range.start), access};
    }
    return Ok();
  }
  void Unmap(AddrRange range) override {
    ++calls;
    pages.erase(pages.lower_bound(range.start), pages.lower_bound(range.end));
  }
  Status Protect(AddrRange range, Access access) override {
    ++calls;
    auto end = pages.lower_bound(range.end);
    for (auto it = pages.lower_bound(range.start); it != end; ++it) it->second.access = access;
    return Ok();
  }

  void Close(std::unique_ptr<platform::Baggage>) override { pages.clear(); }

  // The hardware's view: what a guest access does without help; nullopt: it faults.
  std::optional<uint64_t> Read(uint64_t addr) {
    auto it = pages.find(PageDown(addr));
    if (it == pages.end() || !it->second.access.Any()) return std::nullopt;
    uint64_t value = 0;
    ssize_t n = pread(it->second.fd, &value, sizeof(value),
                      static_cast<off_t>(it->second.offset + (addr & kPageMask)));
    if (n != sizeof(value)) return std::nullopt;
    return value;
  }
  bool Write(uint64_t addr, uint64_t value) {
    auto it = pages.find(PageDown(addr));
    if (it == pages.end() || !it->second.access.write) return false;
    return pwrite(it->second.fd, &value, sizeof(value),
                  static_cast<off_t>(it->second.offset + (addr & kPageMask))) == sizeof(value);
  }

  std::map<uint64_t, Page> pages;
  int calls = 0;
  bool refuse_maps = false;
};

class FakePlatform : public platform::Platform {
 public:
  const char* name() const override { return "fake"; }
  AddrRange user_range() const override { return {0x10000, 0x7ffffffff000}; }
  ErrnoOr<std::unique_ptr<platform::AddressSpace>> NewAddressSpace() override {
    return std::unique_ptr<platform::AddressSpace>(new FakeAddressSpace());
  }
  ErrnoOr<std::unique_ptr<platform::Context>> NewContext() override { return Errno::kNosys; }
};

}  // namespace runsc

#endif  // SENTRY_MM_FAKE_PLATFORM_H_
