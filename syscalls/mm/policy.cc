#include <linux/mempolicy.h>

#include "syscalls/mm/mm.h"

namespace runsc {
namespace {

// The machine the guest sees has one node, 0: every policy that can be asked for places memory
// the same way. Policies are checked and kept only so far as they can be told apart.
constexpr uint64_t kOnlyNode = 1;
constexpr uint64_t kMaxNodes = 8 * kPageSize;

// A node mask. Bits above the first word must be clear.
ErrnoOr<uint64_t> ReadMask(Task& t, UserAddr mask, uint64_t max_node) {
  // The count is one more than what is looked at, as in Linux's get_nodes().
  uint64_t bits = max_node == 0 ? 0 : max_node - 1;
  if (bits == 0 || mask.IsNull()) return uint64_t{0};
  if (bits > kMaxNodes) return Errno::kInval;
  uint64_t words = (bits + 63) / 64;
  std::vector<uint64_t> read = TRY(t.mem().GetArray<uint64_t>(mask, words));
  for (size_t i = 1; i < read.size(); ++i) {
    if (read[i] != 0) return Errno::kInval;
  }
  return bits >= 64 ? read[0] : read[0] & ((uint64_t{1} << bits) - 1);
}

Status CheckPolicy(int32_t mode, uint64_t nodes) {
  const uint32_t flags = static_cast<uint32_t>(mode) & MPOL_MODE_FLAGS;
  const uint32_t kind = static_cast<uint32_t>(mode) & ~uint32_t{MPOL_MODE_FLAGS};
  if (kind >= MPOL_MAX) return Errno::kInval;
  if ((flags & MPOL_F_STATIC_NODES) != 0 && (flags & MPOL_F_RELATIVE_NODES) != 0) {
    return Errno::kInval;
  }
  switch (kind) {
    case MPOL_DEFAULT:
    case MPOL_LOCAL:
      return nodes == 0 && flags == 0 ? Ok() : Status(Errno::kInval);
    case MPOL_PREFERRED:
      return nodes == 0 || (nodes & kOnlyNode) != 0 ? Ok() : Status(Errno::kInval);
    default:
      return (nodes & kOnlyNode) != 0 ? Ok() : Status(Errno::kInval);
  }
}

Status PutMask(Task& t, UserAddr mask, uint64_t max_node, uint64_t nodes) {
  if (mask.IsNull()) return Ok();
  if (max_node < 1 || max_node > kMaxNodes) return Errno::kInval;
  uint64_t bytes = (max_node + 63) / 64 * 8;
  TRY(t.mem().Put(mask, nodes));
  if (bytes > 8 && TRY(t.mem().ZeroPartial(mask + 8, bytes - 8)) != bytes - 8) {
    return Errno::kFault;
  }
  return Ok();
}

}  // namespace

ErrnoOr<void> GetMempolicy(Task& t, UserAddr mode, UserAddr mask, uint64_t max_node,
                           UserAddr addr, uint64_t flags) {
  if ((flags & ~uint64_t{MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED}) != 0) {
    return Errno::kInval;
  }
  if (!mask.IsNull() && max_node < 1) return Errno::kInval;
  if ((flags & MPOL_F_MEMS_ALLOWED) != 0) {
    if ((flags & (MPOL_F_NODE | MPOL_F_ADDR)) != 0) return Errno::kInval;
    if (!mode.IsNull()) TRY(t.mem().Put<int32_t>(mode, MPOL_DEFAULT));
    return PutMask(t, mask, max_node, kOnlyNode);
  }
  int32_t answer = MPOL_DEFAULT;
  if ((flags & MPOL_F_ADDR) != 0) {
    if (!t.mem().IsMapped(addr)) return Errno::kFault;
    if ((flags & MPOL_F_NODE) != 0) answer = 0;  // the node of the page
  } else {
    if (!addr.IsNull()) return Errno::kInval;
    // Of interleaving tasks only.
    if ((flags & MPOL_F_NODE) != 0) return Errno::kInval;
  }
  if (!mode.IsNull()) TRY(t.mem().Put(mode, answer));
  return PutMask(t, mask, max_node, 0);
}

ErrnoOr<void> SetMempolicy(Task& t, int32_t mode, UserAddr mask, uint64_t max_node) {
  TRY(CheckPolicy(mode, TRY(ReadMask(t, mask, max_node))));
  if (mode == MPOL_DEFAULT || mode == MPOL_LOCAL) return Ok();
  // It would have to be told back by get_mempolicy(2).
  return t.Unimplemented("set_mempolicy", Errno::kNosys);
}

ErrnoOr<void> Mbind(Task& t, UserAddr addr, uint64_t length, int32_t mode, UserAddr mask,
                    uint64_t max_node, uint32_t flags) {
  if ((flags & ~uint32_t{MPOL_MF_VALID}) != 0 || !PageAligned(addr.value)) return Errno::kInval;
  uint64_t size = PageUp(length);
  if (addr.value + size < addr.value) return Errno::kInval;
  TRY(CheckPolicy(mode, TRY(ReadMask(t, mask, max_node))));
  if (size == 0) return Ok();
  if (!t.mem().IsMapped(addr)) return Errno::kFault;
  if (mode == MPOL_DEFAULT || mode == MPOL_LOCAL) return Ok();
  return t.Unimplemented("mbind", Errno::kNosys);
}

// As on a CPU without protection keys (pkeys(7)).
ErrnoOr<int32_t> PkeyAlloc(Task&, uint64_t flags, uint64_t rights) {
  constexpr uint64_t kRights = 0x3;
  if (flags != 0 || (rights & ~kRights) != 0) return Errno::kInval;
  return Errno::kNospc;
}

ErrnoOr<void> PkeyFree(Task&, int32_t) { return Errno::kInval; }

ErrnoOr<void> PkeyMprotect(Task& t, UserAddr addr, uint64_t length, uint64_t prot, int32_t pkey) {
  if (pkey != -1) return Errno::kInval;
  return Mprotect(t, addr, length, prot);
}

}  // namespace runsc
