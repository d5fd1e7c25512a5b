#include "sentry/vfs/special_files.h"

#include <sys/stat.h>

#include <vector>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"

namespace runsc {
namespace {

struct DeviceRange {
  bool block;
  uint32_t major, first, last;
  SpecialOpener opener;
};

// Written at start-up only, before the first guest runs.
struct Registry {
  SpecialOpener fifo = nullptr;
  std::vector<DeviceRange> devices;
};

Registry& Openers() {
  static Registry* registry = new Registry;
  return *registry;
}

}  // namespace

void RegisterFifoOpener(SpecialOpener opener) { Openers().fifo = opener; }

void RegisterDevice(bool block, uint32_t major, uint32_t first, uint32_t last,
                    SpecialOpener opener) {
  Openers().devices.push_back({block, major, first, last, opener});
}

ErrnoOr<Ref<File>> OpenSpecial(const OpContext& ctx, const Path& path, const OpenRequest& request,
                               DeviceId dev) {
  uint32_t type = path.dentry->get_inode()->type();
  if (type == S_IFIFO) {
    if (Openers().fifo == nullptr) return Errno::kNxio;
    return Openers().fifo(ctx, path, request, dev);
  }
  if (type != S_IFCHR && type != S_IFBLK) return Errno::kNxio;
  for (const DeviceRange& r : Openers().devices) {
    if (r.block == (type == S_IFBLK) && r.major == dev.major && dev.minor >= r.first &&
        dev.minor <= r.last) {
      return r.opener(ctx, path, request, dev);
    }
  }
  return Errno::kNxio;
}

}  // namespace runsc
