#include <cstring>

#include "platform/base/mutex.h"
#include "platform/base/random.h"
#include "sentry/fs/dev/dev.h"

namespace runsc {
namespace {

constexpr size_t kPool = 4096;
constexpr size_t kSmall = 512;

struct Pool {
  Mutex<LockRank::kRandom> mu;
  size_t left ABSL_GUARDED_BY(mu) = 0;
  unsigned char bytes[kPool] ABSL_GUARDED_BY(mu);
};

}  // namespace

void FillRandom(void* out, size_t size) {
  static Pool* pool = new Pool;
  if (size > kSmall) return HostRandom(out, size);
  MutexLock l(pool->mu);
  if (pool->left < size) {
    HostRandom(pool->bytes, kPool);
    pool->left = kPool;
  }
  // Used bytes do not stay: what was given out cannot be read back later.
  unsigned char* from = pool->bytes + (kPool - pool->left);
  memcpy(out, from, size);
  memset(from, 0, size);
  pool->left -= size;
}

}  // namespace runsc
